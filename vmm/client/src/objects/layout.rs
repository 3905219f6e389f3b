// SPDX-License-Identifier: BSD-2-Clause
//! Every message: its number, its words in their order, and the capabilities that are due with it.
//!
//! ```text
//!   label (20 bits)          words of the machine
//!  ┌─────────┬───────────┐  ┌──────┬──────┬─ ─ ─
//!  │ version │ number    │  │      │      │          just as many as the fields below have
//!  └─────────┴───────────┘  └──────┴──────┴─ ─ ─
//!    19 … 12   11 … 0         numbers: requests from 0x001, answers from 0x100, refusals from 0x200
//! ```
//!
//! A field of type `usize` takes all of a word; amounts take a word for each resource, text one for
//! each four bytes, a piece one more than that, and everything else one word, in which no bit
//! beyond the lower 32 is set.

use super::fields::{Field, Reader, Writer};
use super::items::{
    AccountOptions, Amounts, FaultKind, FaultPolicy, ImageFault, Kind, MemoryOptions, Piece,
    ProgramOptions, Registers, Resource, Rights, State, Supply,
};
use super::table::messages;
use crate::messages::message::Message;
use crate::types::malformed::Malformed;
use crate::types::text::{Line, Name};

/// The version of the layout of messages.
pub const VERSION: u32 = 13;
/// The most capabilities of a message: as many as the kernel transfers.
pub const MAX_CAPABILITIES: usize = 3;

const VERSION_SHIFT: u32 = 12;
const NUMBER_MASK: u32 = (1 << VERSION_SHIFT) - 1;
const FIRST_REFUSAL: u32 = 0x200;

/// A capability that is due with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// To what kind of object; `None` for any.
    pub kind: Option<Kind>,
    /// The rights that it must have.
    pub rights: Rights,
    /// Whether it is one that is not the service's: the last of its message.
    pub foreign: bool,
}

/// A capability to any object.
const fn any(rights: Rights) -> Due {
    Due { kind: None, rights, foreign: false }
}

/// A capability to an object of this kind.
const fn to(kind: Kind, rights: Rights) -> Due {
    Due { kind: Some(kind), rights, foreign: false }
}

/// A capability that is not the service's.
const FOREIGN: Due = Due { kind: None, rights: Rights::empty(), foreign: true };

/// The account that pays.
const PAYER: Due = to(Kind::Account, Rights::USE);
/// The space in which something is mapped.
const SPACE: Due = to(Kind::Space, Rights::USE);
/// A program that is not the sender, as a rule.
const PROGRAM: Due = to(Kind::Program, Rights::USE);
/// A thread of any program.
const THREAD: Due = to(Kind::Thread, Rights::USE);
/// Paged memory, as its pager has it.
const PAGED: Due = to(Kind::Memory, Rights::PAGE);

messages! {
    /// A request. Behind each stand the capabilities that are due, in their order.
    Request {
        /// What there is to say of an object.
        0x001 Info {} [any(Rights::empty())]
        /// A capability to the same object, with fewer rights, that [`Request::Revoke`] of this
        /// one ends. The account pays for it.
        0x002 Restrict {
            /// Its rights.
            rights: Rights,
            /// The empty slot for it.
            slot: u32,
        } [any(Rights::empty()), PAYER]
        /// Ends all capabilities that were derived from this one, with the mappings that were made
        /// by them; and all copies of this one, the sender's own too. Answered with
        /// [`Answer::More`] while there is more to do.
        0x003 Revoke {
            /// The empty slot for a new capability in the place of this one; 0: there is to be
            /// none.
            slot: u32,
        } [any(Rights::REVOKE)]
        /// Ends an object, which is not in use. All capabilities to it are gone. Answered with
        /// [`Answer::More`] while there is more to do.
        0x004 Destroy {} [any(Rights::DESTROY)]

        /// An account, with amounts that are taken from another.
        0x010 CreateAccount {
            /// Its amounts.
            amounts: Amounts,
            /// What it is to be.
            options: AccountOptions,
            /// The empty slot for the capability to it.
            slot: u32,
        } [PAYER]
        /// Moves amounts from the first account to the second, its child, or back.
        0x011 Give {
            /// Amounts.
            amounts: Amounts,
            /// Back, to the first account.
            back: bool,
        } [PAYER, PAYER]
        /// Has it told when less than `amount` of a resource is left of the account: the
        /// capability, one to a notification, is signalled once, between two requests; at once, if
        /// that is so already; and then no more, before this is asked for again. What is left are
        /// the account's limits less what is used of them, as [`Request::Info`] says: what an
        /// account above it lacks is told of that one. Also, whenever a thread begins to wait for
        /// memory that this account pays for. It is kept until the account ends. Who asks
        /// again has another amount told, by another capability: one that was given before is not
        /// signalled any more. With 0 nothing is told from then on, and nothing kept.
        0x012 TellAccount {
            /// Of what.
            resource: Resource,
            /// How much; 0: nothing is told.
            amount: u32,
        } [PAYER, FOREIGN]

        /// Memory, zero, whose pages are there when they are touched. The account pays for all of
        /// them from now on.
        ///
        /// With [`MemoryOptions::LARGE`] it pays for large pages ([`Resource::LargePages`]) and for
        /// no others, and those are reserved: none of its touches finds that there is none.
        /// [`Refusal::BadLength`] where `pages` are no multiple of a large page. It is mapped,
        /// protected, moved and unmapped in whole large pages: [`Refusal::BadAddress`] and
        /// [`Refusal::BadLength`] for others. Its bytes are read and written and its pages located
        /// as those of other memory. It is resized by whole large pages, and its clones are copies,
        /// made in pieces. It is not loaded from, nor supplied from or taken back into:
        /// [`Refusal::Large`].
        0x020 CreateMemory {
            /// Its pages.
            pages: u32,
            /// What it is to be.
            options: MemoryOptions,
            /// The empty slot for the capability to it.
            slot: u32,
        } [PAYER]
        /// Memory at a physical address. All of it is taken when any of it is mapped first, and it
        /// has that memory until its end. It is cached in one way wherever it is mapped; it is not
        /// resized, cloned, read, written or supplied from.
        0x021 CreatePhysical {
            /// The address of the first page.
            address: usize,
            /// Its pages.
            pages: u32,
            /// What it is to be.
            options: MemoryOptions,
            /// The empty slot for the capability to it.
            slot: u32,
        } [to(Kind::Account, Rights::USE.union(Rights::PHYSICAL))]
        /// Memory that shows what another object holds, copy-on-write. Answered with
        /// [`Answer::More`] while there is more to do: whoever asks for the same again goes on with
        /// it, and when all is done the capability is in the slot. A program that asks for another
        /// clone in pieces ends that; so does a change of the object by a request, whoever makes
        /// it, and then it is begun anew.
        ///
        /// Of an object that is mapped, that was located, or whose pages a pager shares, the pages
        /// are copied, 32 with a request: no mapping of it is touched. What threads write to it
        /// between two of the requests is in the clone where that page's turn comes later.
        0x022 Clone {
            /// The empty slot for the capability to it.
            slot: u32,
        } [to(Kind::Memory, Rights::USE.union(Rights::READ)), PAYER]

        /// Makes a memory object smaller or larger, one of large pages by whole ones. The account is the one that it is charged to.
        /// What it loses of its end is given back, and is zero if it grows again. Answered with
        /// [`Answer::More`] while there is more to do.
        ///
        /// Refused with [`Refusal::Pinned`] once [`Request::Locate`] told of it, and with
        /// [`Refusal::NoRoom`] where there is no room behind it and its pages lie too scattered for
        /// the service to move them: in more than [`MAX_RUNS`](super::MAX_RUNS) runs.
        0x023 Resize {
            /// Its pages from now on: not 0, nor less than its mappings reach over.
            pages: u32,
        } [to(Kind::Memory, Rights::USE), PAYER]

        /// Tells the physical address of a page, for a device: it is there from now on, and its
        /// memory object stays where it is until it ends. What would have another page in its place
        /// is refused with [`Refusal::Pinned`]: to give its pages, to take pages back into it, to
        /// resize or clone it. Its end is not refused: whose device writes to it has that stopped
        /// first, or it writes to what is another's. Answered with [`Answer::Located`].
        0x027 Locate {
            /// The page.
            page: u32,
        } [to(Kind::Memory, Rights::USE), to(Kind::Account, Rights::ADDRESS)]

        /// An address space.
        0x030 CreateSpace {
            /// The empty slot for the capability to it.
            slot: u32,
        } [PAYER]
        /// Maps pages of a memory object in a space: they appear when they are touched, or by
        /// [`Request::Populate`]. Answered with [`Answer::More`] while memory at a physical address
        /// is taken, some pages at a time, and then with [`Answer::Mapped`].
        0x031 Map {
            /// Where, or 0 for anywhere.
            address: usize,
            /// The first page of the object.
            first: u32,
            /// How many.
            pages: u32,
            /// The rights: [`Rights::READ`], or that and [`Rights::WRITE`].
            rights: Rights,
        } [SPACE, to(Kind::Memory, Rights::empty()), PAYER]
        /// Maps pages of a mapping before they are touched, as far as one request does.
        0x032 Populate {
            /// The address of the first page.
            address: usize,
            /// How many.
            pages: u32,
        } [SPACE]
        /// Ends a mapping: of one of which pages were given other rights, or unmapped, the part
        /// that begins there. Answered with [`Answer::More`] while there is more to do.
        0x033 Unmap {
            /// The address where it begins.
            address: usize,
        } [SPACE]

        /// A kernel endpoint.
        0x040 CreateEndpoint {
            /// The empty slot for the capability to the object of the service, which ends it.
            object: u32,
            /// The empty slot for the kernel's own capability, with all rights.
            slot: u32,
        } [PAYER]
        /// A kernel notification.
        0x041 CreateNotification {
            /// The empty slot for the capability to the object of the service, which ends it.
            object: u32,
            /// The empty slot for the kernel's own capability, with all rights.
            slot: u32,
        } [PAYER]

        /// Ends the sender. It is not answered.
        0x050 Exit {
            /// What its starter is told.
            code: u32,
        } []
        /// A line for people. What it takes to show it is the sender's time.
        0x051 Say {
            /// The line.
            line: Line,
        } [to(Kind::Console, Rights::WRITE)]

        /// A program, with a space and an account of its own, which end with it. It is charged to
        /// the account that pays, and outlives what it has: so its end can be asked for.
        0x060 CreateProgram {
            /// What it may use: taken from the account that pays.
            amounts: Amounts,
            /// What it is to be.
            options: ProgramOptions,
            /// Its name, for people.
            name: Name,
            /// The empty slot for the capability to it.
            slot: u32,
            /// The empty slot for a capability to its space, or 0: none.
            space: u32,
            /// The empty slot for a capability to its account, or 0: none.
            account: u32,
        } [PAYER]
        /// Loads the program's image from an ELF file. Segments that are not written are mapped
        /// from the memory object, by the capability that is given, where the file lies in pages as
        /// they do; all else is copied. Answered with [`Answer::More`] while there is more to do.
        0x061 Load {} [PROGRAM, to(Kind::Memory, Rights::READ)]
        /// Gives a program a capability to an object, which [`Request::Revoke`] of the sender's
        /// ends. The program's account pays for it.
        0x062 Grant {
            /// Its rights.
            rights: Rights,
            /// The empty slot of the program's for it.
            slot: u32,
        } [PROGRAM, any(Rights::empty())]
        /// Gives a program a copy of a capability that is not the service's.
        0x063 GrantKernel {
            /// The empty slot of the program's for it.
            slot: u32,
        } [PROGRAM, FOREIGN]
        /// Lets a program run that is loaded.
        0x064 Start {
            /// What it is called with.
            argument: usize,
            /// The pages of its stack, from 1 to [`MAX_PAGES`](super::MAX_PAGES): the highest is
            /// there from the start, others when they are touched.
            stack: u32,
            /// Its priority, not above the sender's.
            priority: u32,
        } [PROGRAM]
        /// Lets a program go on that a fault suspended, at the instruction that faulted (another
        /// thread's fault is told next, if one has faulted since), or that
        /// [`Request::SuspendProgram`] did: then answered with [`Answer::More`] where the kernel
        /// has refused a part of it. Or a thread, which a fault or [`Request::Suspend`] suspended.
        0x066 Resume {} [any(Rights::USE)]
        /// Ends a program: its threads run no more.
        0x067 Kill {} [to(Kind::Program, Rights::DESTROY)]
        /// Has the end of a program or a thread told: the capability, one to a notification, is
        /// signalled when it has ended and all is given back that it had; with
        /// [`ProgramOptions::SUSPEND_AT_FAULT`], or [`FaultPolicy::Suspend`], also when a fault
        /// suspended it; and when it is suspended by request. At once, if that is so already.
        /// One that was given before is not signalled any more.
        0x068 TellEnd {} [any(Rights::USE), FOREIGN]
        /// A further thread of the sender's, which runs at once. It has local storage as the first
        /// has at its start. The account pays for its record, the program's for all it has; it ends
        /// with either.
        0x06a CreateThread {
            /// The address of its first instruction.
            entry: usize,
            /// What it is called with, behind the address of its IPC buffer.
            argument: usize,
            /// The pages of its stack, from 1 to [`MAX_PAGES`](super::MAX_PAGES): the highest is
            /// there from the start, others when they are touched.
            stack: u32,
            /// Pages below its stack that are never there: at most 16.
            guard: u32,
            /// Its priority, not above that of the program's first.
            priority: u32,
            /// What becomes of it, or of its program, when it has a fault.
            policy: FaultPolicy,
            /// The empty slot for the capability to it.
            slot: u32,
        } [PAYER]
        /// Ends a thread: it runs no more.
        0x06b EndThread {
            /// What is told who joins it.
            code: u32,
            /// Whether it is the one that sends this: then it is not answered, unless it is another
            /// program's.
            own: bool,
        } [to(Kind::Thread, Rights::DESTROY)]
        /// Reads bytes of a memory object; what is not there yet is zero. Answered with
        /// [`Answer::Piece`], which has the first of them: at the most as many as a piece has, and
        /// none of a further page.
        0x024 Read {
            /// The number of the first byte.
            offset: usize,
            /// How many.
            bytes: u32,
        } [to(Kind::Memory, Rights::USE.union(Rights::READ))]
        /// Writes bytes of a memory object. Answered with [`Answer::Bytes`]: none of a further page
        /// are written.
        0x025 Write {
            /// The number of the first byte.
            offset: usize,
            /// The bytes.
            piece: Piece,
        } [to(Kind::Memory, Rights::USE.union(Rights::WRITE))]
        /// Gives pages of a mapping another place and other rights: no more than they could have
        /// where they were mapped. They appear there when they are touched. Answered with
        /// [`Answer::More`] while there is more to do, and then with [`Answer::Mapped`]. Pages that
        /// were given different rights are no longer of one mapping.
        0x034 Move {
            /// The address of the first page.
            address: usize,
            /// How many.
            pages: u32,
            /// Where that is to be, or 0 for anywhere: nothing lies there, nor the pages
            /// themselves.
            to: usize,
            /// The rights: [`Rights::READ`], or that and [`Rights::WRITE`].
            rights: Rights,
        } [SPACE]

        /// Has the sender's first thread receive what is signalled to the notification, of which
        /// this is a capability, where it waits at an endpoint: so one thread serves both. Until
        /// [`Request::Unbind`], or the notification ends. Refused with [`Refusal::Bound`] where one
        /// is bound to it already.
        0x069 Bind {} [FOREIGN]

        /// Memory whose pages come from a pager: who has a capability to it with [`Rights::PAGE`].
        /// A thread that touches a page that is not there waits until it is supplied, or refused.
        /// The account pays for as many pages as can be there at a time.
        0x026 CreatePaged {
            /// Its pages.
            pages: u32,
            /// How many of them can be there at a time.
            most: u32,
            /// The empty slot for the capability to it.
            slot: u32,
        } [PAYER]
        /// Asks which page is waited for, of those that the pager was not told of yet: the longest.
        /// Answered with [`Answer::Wanted`]: at once if there is one. If there is none the answer is
        /// kept for as long as `wait` says, until there is. Of several that wait to be told of a
        /// page of the same memory the first is told, and no notification is signalled for what one
        /// is told of.
        ///
        /// Refused with [`Refusal::TooManyWaiting`] where as many requests wait as there are
        /// threads, with [`Refusal::NoClock`] where there is none for a limit, and while it waits
        /// with [`Refusal::Gone`] when the memory object ends, or the capability to it.
        0x070 NextFault {
            /// How many milliseconds at the most the answer is kept; 0: it is given at once;
            /// [`FOREVER`](super::FOREVER): there is no limit.
            wait: u32,
        } [PAGED]
        /// Supplies pages, which are not there, from the second memory object. Those who wait for
        /// them go on. Answered with [`Answer::Wanted`], which says what is waited for next when
        /// all of them are there; if nothing is, the answer is kept as that to
        /// [`Request::NextFault`]. What would have that refused while it waits has this answered
        /// without a page, as its pages were supplied.
        /// What is given or shared takes [`Rights::WRITE`] to the second object.
        0x071 Supply {
            /// The first page.
            first: u32,
            /// How many: at most [`MAX_SUPPLY`](super::MAX_SUPPLY).
            pages: u32,
            /// The first page of the second object.
            from: u32,
            /// How.
            how: Supply,
            /// Whether they may be written: the first write of each is noted. Without it, who
            /// writes to one waits, and the pager is told.
            write: bool,
            /// How long the answer is kept, as in [`Request::NextFault`].
            wait: u32,
        } [PAGED, to(Kind::Memory, Rights::USE.union(Rights::READ))]
        /// Lets pages that are there be written. Answered as [`Request::Supply`].
        0x072 AllowWrite {
            /// The first page.
            first: u32,
            /// How many: at most [`MAX_SUPPLY`](super::MAX_SUPPLY).
            pages: u32,
            /// How long the answer is kept, as in [`Request::NextFault`].
            wait: u32,
        } [PAGED]
        /// Takes pages back: they are unmapped everywhere, and are pages of the second memory
        /// object from then on, instead of those that it has there. Pages that it shares it has
        /// already. Answered with [`Answer::Taken`], which may be of less than all.
        0x073 TakeBack {
            /// The first page.
            first: u32,
            /// How many: at most [`MAX_SUPPLY`](super::MAX_SUPPLY).
            pages: u32,
            /// The first page of the second object.
            into: u32,
        } [PAGED, to(Kind::Memory, Rights::USE.union(Rights::WRITE))]
        /// Takes pages back that nobody needs any more. Answered as [`Request::TakeBack`].
        0x074 Decommit {
            /// The first page.
            first: u32,
            /// How many: at most [`MAX_SUPPLY`](super::MAX_SUPPLY).
            pages: u32,
        } [PAGED]
        /// Says that a page cannot be had: for who waits for it that is a fault. Answered as
        /// [`Request::Supply`].
        0x075 Refuse {
            /// The page.
            page: u32,
            /// How long the answer is kept, as in [`Request::NextFault`].
            wait: u32,
        } [PAGED]
        /// Has the notification signalled, of which this is a capability, when a page is waited
        /// for, and at once if one is; unless somebody waits to be told of it
        /// ([`Request::NextFault`]). What was told of is told again: to a pager that begins anew.
        /// One that was given before is not signalled any more.
        0x076 TellFaults {} [PAGED, FOREIGN]

        /// Gives pages of a mapping other rights, where they are: no more than they could have when
        /// they were mapped. Answered with [`Answer::Pages`], which says how many are done: ask
        /// again for the others.
        0x080 Protect {
            /// The address of the first page.
            address: usize,
            /// How many.
            pages: u32,
            /// The rights: [`Rights::READ`], or that and [`Rights::WRITE`].
            rights: Rights,
        } [SPACE]
        /// Unmaps pages of a mapping; the others stay. Answered with [`Answer::More`] while there
        /// is more to do, and then with [`Answer::Pages`], which says how many are done: ask again
        /// for the others.
        0x081 UnmapPart {
            /// The address of the first page.
            address: usize,
            /// How many.
            pages: u32,
        } [SPACE]
        /// Reserves addresses: a capability to them is one to a space in which nothing can be
        /// mapped but there. Nothing else is mapped there, unless by it.
        0x082 Reserve {
            /// The address of the first page, or 0 for anywhere.
            address: usize,
            /// How many pages.
            pages: u32,
            /// The most rights of what is mapped there: [`Rights::READ`], or that and
            /// [`Rights::WRITE`].
            ceiling: Rights,
            /// The empty slot for the capability to it.
            slot: u32,
        } [SPACE, PAYER]

        /// As [`Request::Bind`], of any thread.
        0x090 BindThread {} [THREAD, FOREIGN]
        /// Undoes [`Request::BindThread`]: also where that notification has ended since.
        0x091 UnbindThread {} [THREAD]
        /// Undoes [`Request::Bind`], of the sender's first thread.
        0x092 Unbind {} []
        /// The registers of a thread that is suspended: by its fault, by [`Request::Suspend`], or
        /// with its program; or of the one by whose fault its program is, of which this is a
        /// capability. Answered with [`Answer::Registers`]. This and the next are requests on IA32
        /// and x86_64 alone, and elsewhere numbers that are unknown.
        0x093 ReadRegisters {} [any(Rights::USE)]
        /// Changes the registers of such a thread: it goes on with them when it is resumed. Of the
        /// flags, those that are not a program's to change stay as they are.
        0x094 WriteRegisters {
            /// All of them.
            registers: Registers,
        } [any(Rights::USE)]
        /// Suspends a thread: it executes no further instruction before [`Request::Resume`]. A
        /// system call that it is in goes to its end first, and is not made twice: until then the
        /// thread is [`State::Suspending`], and its registers are not told.
        0x095 Suspend {} [THREAD]
        /// Suspends a program that was started, with all its threads, as [`Request::Suspend`] does
        /// one: they execute no further instruction before [`Request::Resume`] of the program.
        /// Until each of them has come to its next instruction, waits for a page, or has stopped
        /// for a fault, the program is [`State::Suspending`], then [`State::Suspended`]. A thread
        /// that is made meanwhile executes none either. What threads are suspended for by
        /// themselves, by request or by a fault, stays so when the program is resumed, and a
        /// program that a fault had suspended is suspended by it still.
        ///
        /// Answered with [`Answer::More`] where the kernel has refused a part of it: then the
        /// program is [`State::Suspending`] with some of its threads.
        0x096 SuspendProgram {} [to(Kind::Program, Rights::DESTROY)]
        /// A capability to the first thread of a program, as to any other, whether it was started
        /// or not; and what becomes of it when it has a fault. It has the rights that the one to
        /// the program has, and is derived from that. To end this thread, by
        /// [`Request::EndThread`] or a fault, ends its program. The account pays for a record of
        /// it, if there is none. That ends when it is destroyed, with the account, or with the
        /// last capability to it, and then the thread goes on, if it was suspended by it, and its
        /// faults are its program's.
        0x097 FirstThread {
            /// What becomes of the thread, or of its program, when it has a fault.
            policy: FaultPolicy,
            /// The empty slot for the capability to it.
            slot: u32,
        } [PROGRAM, PAYER]
        /// Maps pages of paged memory privately: a page that is read is the one that its pager
        /// supplied; the first write to it makes a copy, which the mapping has in its place from
        /// then on. Its pager is not told of that, and takes copies back no more than others see
        /// them; they end with the mapping. The account pays for as many as there can be. What is
        /// moved of it by one request ([`Request::Move`]) are at most
        /// [`MAX_PAGES`](super::MAX_PAGES) pages.
        ///
        /// Refused with [`Refusal::Paged`] for memory that has no pager: a clone of that has pages
        /// of its own.
        0x0a0 MapPrivate {
            /// Where, or 0 for anywhere.
            address: usize,
            /// The first page of the object.
            first: u32,
            /// How many.
            pages: u32,
            /// The rights: [`Rights::READ`], or that and [`Rights::WRITE`], whether the capability
            /// has that or not.
            rights: Rights,
        } [SPACE, to(Kind::Memory, Rights::READ), PAYER]
        /// Says how long a thread of a program waits for a page of paged memory: then the touch is
        /// a fault, and the program's state is [`State::TimedOut`] where it is suspended for that.
        /// It holds for those, too, who wait already, from now on. A program that goes on touches
        /// the page again, and waits as long once more.
        ///
        /// Refused with [`Refusal::NoClock`] where the service has no clock; to take a limit away
        /// is not.
        0x0a1 LimitWaits {
            /// How many milliseconds at least; 0: there is no limit, as at the beginning.
            ms: u32,
        } [PROGRAM]
        /// Is answered when so much time has passed, at the earliest. Refused with
        /// [`Refusal::NoClock`] where the service has no clock, or has it no more; and with
        /// [`Refusal::TooManyWaiting`] where as many threads wait already as there are.
        0x0a2 Sleep {
            /// How many milliseconds; 0: it is answered at once.
            ms: u32,
        } []
    }
}

messages! {
    /// An answer to a request that was not refused.
    Answer {
        /// It is done.
        0x100 Done {}
        /// A part of it is done: ask again.
        0x101 More {}
        /// So many pages are done.
        0x102 Pages {
            /// How many.
            pages: u32,
        }
        /// Memory is mapped.
        0x103 Mapped {
            /// The address of its first page.
            address: usize,
        }
        /// An account.
        0x110 Account {
            /// The rights of the capability.
            rights: Rights,
            /// What it is.
            options: AccountOptions,
            /// What may be used.
            limits: Amounts,
            /// What is used of that, or was given to children as guarantees.
            used: Amounts,
        }
        /// A memory object.
        0x111 Memory {
            /// The rights of the capability.
            rights: Rights,
            /// What it is.
            options: MemoryOptions,
            /// Its pages.
            pages: u32,
            /// How many of them are there.
            committed: u32,
            /// How often it is mapped.
            mappings: u32,
        }
        /// A page's place in physical memory.
        0x104 Located {
            /// The address of its first byte.
            address: usize,
        }
        /// A space.
        0x112 Space {
            /// The rights of the capability.
            rights: Rights,
            /// Pages that are mapped in it.
            mapped: u32,
            /// Page tables.
            tables: u32,
            /// Mappings of memory objects.
            mappings: u32,
            /// Programs that run in it.
            programs: u32,
        }
        /// An object of which there is no more to say.
        0x113 Object {
            /// What it is.
            kind: Kind,
            /// The rights of the capability.
            rights: Rights,
        }
        /// A program or a thread.
        0x114 Program {
            /// The rights of the capability.
            rights: Rights,
            /// What it does, or how it ended.
            state: State,
            /// Whether all is given back that it had.
            gone: bool,
            /// Its exit code; of one that has faulted, what its last fault says beside its kind.
            code: u32,
            /// The kind of its last fault.
            fault: FaultKind,
            /// The address of its fault: the one that it touched, or of its instruction.
            address: usize,
            /// The address of the instruction that faulted.
            instruction: usize,
        }
        /// A reservation.
        0x115 Reservation {
            /// The rights of the capability.
            rights: Rights,
            /// The address of its first page.
            address: usize,
            /// Its pages.
            pages: u32,
            /// The most rights of what is mapped in it.
            ceiling: Rights,
            /// Mappings that lie in it, those in reservations in it not counted.
            mappings: u32,
            /// Reservations that lie in it, those in them not counted.
            inside: u32,
        }
        /// Bytes of a memory object.
        0x120 Piece {
            /// The bytes.
            piece: Piece,
        }
        /// So many bytes are done.
        0x121 Bytes {
            /// How many.
            bytes: u32,
        }
        /// What a pager is told.
        0x122 Wanted {
            /// How many pages its request has done.
            done: u32,
            /// Whether a page is waited for, which follows.
            waits: bool,
            /// The page.
            page: u32,
            /// Whether it is to be written.
            write: bool,
        }
        /// So many pages were taken back, or were not there.
        0x123 Taken {
            /// How many.
            pages: u32,
            /// Those of them that were written: the first is bit 0.
            written: u32,
        }
        /// A thread's registers.
        0x130 Registers {
            /// All of them.
            registers: Registers,
        }
    }
}

messages! {
    /// Why a request was refused: then it has changed nothing. `place` counts the capabilities of
    /// the message from 0, in the order in which the request lists them.
    Refusal {
        /// The message is not one of this protocol.
        0x201 Malformed {
            /// What is wrong with it.
            what: Malformed,
        }
        /// A capability is due at this place, and there is none: the slot was empty, or the
        /// capability before it could not be transferred.
        0x202 NoCapability {
            /// The place.
            place: u32,
        }
        /// The capability at this place is not one of the service's.
        0x203 ForeignCapability {
            /// The place.
            place: u32,
        }
        /// There are more capabilities than the request wants.
        0x204 TooManyCapabilities {
            /// How many it wants.
            wanted: u32,
        }
        /// The capability at this place is to an object of another kind.
        0x205 WrongKind {
            /// The place.
            place: u32,
            /// What it is to.
            found: Kind,
        }
        /// The capability at this place does not have these rights, which the request takes.
        0x206 NoRight {
            /// The place.
            place: u32,
            /// What is missing.
            missing: Rights,
        }
        /// The object of the capability at this place is gone, or about to be.
        0x207 Gone {
            /// The place.
            place: u32,
        }
        /// Rights were asked for that the capability does not have.
        0x208 BeyondRights {
            /// Those that are too many.
            asked: Rights,
        }
        /// The program's CNode has no such slot.
        0x209 BadSlot {
            /// The slot.
            slot: u32,
        }
        /// There is a capability in the slot.
        0x20a SlotOccupied {
            /// The slot.
            slot: u32,
        }
        /// The account does not have that much left.
        0x20b OutOfAccount {
            /// The first resource that is short.
            resource: Resource,
            /// How much was wanted.
            wanted: u32,
            /// How much is left.
            left: u32,
        }
        /// The account's own amounts allow it, but they are no guarantee, and an account above it
        /// has not that much left now.
        0x20c Overcommitted {
            /// The first resource that is short.
            resource: Resource,
        }
        /// No memory object and no mapping has that many pages, or none at all; or those of one
        /// with [`MemoryOptions::LARGE`] are, or begin with a page that is, no multiple of a large
        /// page.
        0x20d BadLength {
            /// The pages.
            pages: u32,
        }
        /// The pages are not all in the memory object.
        0x20e BeyondEnd {
            /// How many pages it has.
            pages: u32,
        }
        /// The object is in use: so often mapped, or by so many programs or accounts.
        0x20f InUse {
            /// How often.
            times: u32,
        }
        /// Pages of the memory object have other users, so that no clone of it can be made.
        0x210 Shared {
            /// The first of them.
            page: u32,
        }
        /// No mapping of the space begins at this address.
        0x211 NoMapping {
            /// The address.
            address: usize,
        }
        /// The address cannot be used: it is not aligned (to a large page, where memory of those
        /// is mapped), or not of user space.
        0x212 BadAddress {
            /// The address.
            address: usize,
        }
        /// Other memory lies there.
        0x213 Overlap {
            /// The first address that is not free.
            address: usize,
        }
        /// No hole of the address space is large enough.
        0x214 NoRoom {}
        /// There is no such physical memory, or it is in use.
        0x215 NoSuchPhysical {
            /// The address: of the memory, or of what is in use there.
            address: usize,
        }
        /// The one account is not the parent of the other.
        0x216 NotRelated {}
        /// There are as many accounts above it, or reservations around it, as there can be.
        0x219 TooDeep {
            /// How many those are.
            most: u32,
        }
        /// Mappings of the memory object reach over more pages.
        0x21a StillMapped {
            /// How many.
            pages: u32,
        }
        /// The program does not do what the request takes.
        0x220 WrongState {
            /// What it does.
            state: State,
        }
        /// The memory object holds no program that can be loaded.
        0x221 BadImage {
            /// What is wrong with it.
            what: ImageFault,
            /// Where: an address, or bytes of the file.
            at: usize,
        }
        /// The priority is above the sender's.
        0x222 PriorityTooHigh {
            /// The sender's.
            most: u32,
        }
        /// The capability at this place is one of the service's, and another is due.
        0x223 OwnCapability {
            /// The place.
            place: u32,
        }
        /// The memory object's pages come from a pager, or do not, and the request is for others.
        0x224 Paged {
            /// The place of the capability to it.
            place: u32,
        }
        /// The page is not there: its pager has not supplied it.
        0x225 NotThere {
            /// The page.
            page: u32,
        }
        /// The page is there already.
        0x226 IsThere {
            /// The page.
            page: u32,
        }
        /// As many pages are there as can be at a time: some are to be taken back first.
        0x227 Full {
            /// How many those are.
            most: u32,
        }
        /// The kernel does not take the capability that is not the service's for this: it is one to
        /// another kind of object, or in use for it already.
        0x228 BadCapability {
            /// The place.
            place: u32,
        }
        /// The program has as many threads as there can be.
        0x229 TooManyThreads {
            /// How many those are, without its first.
            most: u32,
        }
        /// The physical address of a page of the memory object was told: its pages stay.
        0x22a Pinned {
            /// The place of the capability to it.
            place: u32,
        }
        /// The memory object is of large pages, which are not given, copied or cut: the request is
        /// for other memory.
        0x22b Large {
            /// The place of the capability to it.
            place: u32,
        }
        /// A notification is bound to the thread, and was not unbound.
        0x230 Bound {}
        /// No notification was bound to the thread.
        0x231 NotBound {}
        /// The service has no clock: its root task gave it none, or what it ticked by is lost.
        0x232 NoClock {}
        /// As many requests wait as there are threads, so that this cannot. The last message of a
        /// program that ended can keep a place till others had their turn: the same request can
        /// succeed then.
        0x233 TooManyWaiting {
            /// How many those are.
            most: u32,
        }
        /// The second account is not the one that the object is charged to.
        0x234 NotPayer {}
        /// No page can have these rights: what is written can be read.
        0x235 NotReadable {}
        /// The service itself is out of something; the same request can succeed later.
        0x217 OutOfMemory {}
        /// The service met an error of its own.
        0x218 Internal {}
    }
}

/// What a message says: an answer or a refusal.
///
/// # Errors
/// What is wrong with the message.
pub fn answer_or_refusal(
    label: u32,
    words: &[usize],
) -> Result<Result<Answer, Refusal>, Malformed> {
    match number(label)? < FIRST_REFUSAL {
        true => Answer::parse(label, words).map(Ok),
        false => Refusal::parse(label, words).map(Err),
    }
}

/// Whether a message is a refusal.
pub fn is_refusal(message: &Message) -> bool {
    number(message.label()).is_ok_and(|number| number >= FIRST_REFUSAL)
}

/// The label of the message of this version with a number.
const fn label(number: u32) -> u32 {
    VERSION << VERSION_SHIFT | number
}

/// The number in the label of a message of this version.
fn number(label: u32) -> Result<u32, Malformed> {
    match label >> VERSION_SHIFT == VERSION {
        true => Ok(label & NUMBER_MASK),
        false => Err(Malformed::Version),
    }
}
