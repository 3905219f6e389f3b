// SPDX-License-Identifier: BSD-2-Clause
//! What the messages are about: kinds of objects, rights, amounts, slots.

use bitflags::bitflags;

/// Bytes of a page. Lengths are in pages of this size.
pub const PAGE_BYTES: usize = 4096;
/// The most pages that one request maps, unmaps or gives back. The service answers how many are
/// done, and the client asks for the rest.
pub const MAX_PAGES: u32 = 64;
/// The most runs of pages of a memory object that are moved in the service's own space, where it is
/// made larger: a run is up to 256 pages that came together, or one after the other.
pub const MAX_RUNS: u32 = 128;
/// The most pages that a pager supplies or takes back by one request.
pub const MAX_SUPPLY: u32 = 16;
/// In the place of milliseconds: for as long as it takes.
pub const FOREVER: u32 = u32::MAX;

/// The most bytes of a [`Piece`].
pub const PIECE_BYTES: usize = 96;
/// The words of a piece's bytes.
pub(super) const PIECE_WORDS: usize = PIECE_BYTES / 4;

/// Bytes of a memory object, as many as a message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    len: u32,
    /// Zero behind `len`.
    bytes: [u8; PIECE_BYTES],
}

impl Piece {
    /// As many of these bytes as fit: the first [`PIECE_BYTES`].
    pub fn of(bytes: &[u8]) -> Piece {
        let len = bytes.len().min(PIECE_BYTES);
        let mut piece = Piece { len: len as u32, bytes: [0; PIECE_BYTES] };
        piece.bytes[..len].copy_from_slice(&bytes[..len]);
        piece
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// How many, and the words that they are in, lowest byte first.
    pub(super) fn to_words(self) -> (u32, [u32; PIECE_WORDS]) {
        let word = |at: usize| {
            let bytes = &self.bytes[4 * at..][..4];
            bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        (self.len, core::array::from_fn(word))
    }

    /// The piece that is written as these words; none where it is not.
    pub(super) fn from_words(len: u32, words: [u32; PIECE_WORDS]) -> Option<Piece> {
        let mut bytes = [0; PIECE_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let behind = bytes.get(len as usize..)?;
        behind.iter().all(|&byte| byte == 0).then_some(Piece { len, bytes })
    }
}

/// The logarithm (base 2) of the number of slots in a program's CNode. The program's CPtrs are slot
/// numbers of this CNode.
pub const CNODE_BITS: u8 = 9;
/// The same of a program that was made with [`ProgramOptions::FEW_SLOTS`].
pub const FEW_CNODE_BITS: u8 = 5;
/// The slot of the program capability, by which all requests are sent.
pub const PROGRAM_SLOT: u32 = 1;
/// The slot of the capability to the program's account.
pub const ACCOUNT_SLOT: u32 = 2;
/// The slot of the capability to the space that the program runs in.
pub const SPACE_SLOT: u32 = 3;
/// The slot of the program's CNode: a capability of the kernel's. In invocations of it a slot's
/// index has [`CNODE_BITS`] bits; where there are few slots, the first of them are its guard, which
/// is 0.
pub const CNODE_SLOT: u32 = 4;
/// The slot of the capability to a console, if the program's starter gave one. Between the one
/// before and this are slots for what else its starter gave.
pub const CONSOLE_SLOT: u32 = 7;
/// The first slot that a program finds empty.
pub const FIRST_FREE_SLOT: u32 = 8;

/// What kind of object a capability is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// What may be used: an amount of each [`Resource`].
    Account = 1,
    /// Pages with a life of their own, mapped any number of times, or nowhere.
    Memory = 2,
    /// An address space.
    Space = 3,
    /// A kernel endpoint.
    Endpoint = 4,
    /// A kernel notification.
    Notification = 5,
    /// A program: the sender of requests.
    Program = 6,
    /// Where lines for people are said.
    Console = 7,
    /// A thread of a program.
    Thread = 8,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Account,
        Kind::Memory,
        Kind::Space,
        Kind::Endpoint,
        Kind::Notification,
        Kind::Program,
        Kind::Console,
        Kind::Thread,
    ];
}

bitflags! {
    /// What a capability lets its holder do with the object. `info` needs none of them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Rights: u32 {
        /// Memory: map it so that it can be written. Endpoint, notification: send, signal.
        /// Console: say lines.
        const WRITE = 1;
        /// Memory: map it so that it can be read. Endpoint, notification: receive, wait.
        const READ = 2;
        /// Account: pay from it, split from it. Space: map in it and unmap. Memory: clone it,
        /// resize it, read and write pieces of it. Program: load it, give it capabilities, start
        /// and resume it, be told of its end, read and write the registers of a thread of it that
        /// has faulted. Thread: be told of its end, bind a notification to it, suspend and resume
        /// it, read and write its registers.
        const USE = 4;
        /// End all capabilities that were derived from this one.
        const REVOKE = 8;
        /// End the object. Program: also suspend it by request.
        const DESTROY = 16;
        /// Account: have memory at a physical address.
        const PHYSICAL = 32;
        /// Program: send requests as it. Its own capability has this alone.
        const ACT = 64;
        /// Paged memory: supply its pages and take them back.
        const PAGE = 128;
        /// Account: be told the physical addresses of pages, for a device's DMA.
        const ADDRESS = 256;
    }

    /// What a memory object is to be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MemoryOptions: u32 {
        /// It may be written. Without it, no capability to it has [`Rights::WRITE`].
        const WRITABLE = 1;
        /// Its pages come from a pager: what
        /// [`Request::CreatePaged`](super::Request::CreatePaged) makes has this, and nothing else.
        const PAGED = 2;
        /// Pages at a physical address that are not cached: registers of a device.
        const UNCACHED = 4;
        /// Pages at a physical address to which writes are gathered: a frame buffer.
        const WRITE_COMBINING = 8;
        /// Pages at a physical address that are cached, and written through to memory at once.
        const WRITE_THROUGH = 16;
        /// How pages at a physical address are cached: one of these, or as other memory.
        const CACHED = 28;
        /// It is of large pages, of those that the service has reserved: each is one piece of
        /// physical memory, and is mapped by one entry. Its length is a multiple of a large page
        /// (on IA32 1024 pages, on x86_64 512), and so is what is mapped of it, and where. See
        /// [`Resource::LargePages`].
        const LARGE = 32;
    }

    /// What an account is to be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct AccountOptions: u32 {
        /// Its amounts are limits and no guarantee: nothing is taken from its parent before it is
        /// used. The sum of such limits may be more than there is.
        const OVERCOMMIT = 1;
        /// A request that it pays for and that is refused with
        /// [`Refusal::Overcommitted`](super::Refusal::Overcommitted) otherwise is not answered
        /// before memory has come back and it is done. A thread that touches memory which it pays
        /// for, or the mapping of which it does, where the service has none left waits until there
        /// is some, or for as long as [`Request::LimitWaits`](super::Request::LimitWaits) says.
        const WAIT = 2;
    }

    /// What a program is to be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct ProgramOptions: u32 {
        /// A fault that cannot be resolved suspends it and is told, as its end is: who holds it
        /// looks at it, and resumes or kills it. Without this it ends. Where several threads fault,
        /// each fault is told, in the order in which they came: the next when the one before was
        /// resumed.
        const SUSPEND_AT_FAULT = 1;
        /// Its CNode has `1 << `[`FEW_CNODE_BITS`] slots, and no others than those are there. The
        /// kernel destroys a CNode with some 300 instructions for each slot, also for an empty one:
        /// that of a program which gave a capability of the kernel's to another program or was
        /// given one, or has what another account than its own pays for. For programs that name no
        /// slot beyond: [`take_slot`](crate::handles::take_slot) gives the lowest ones first.
        const FEW_SLOTS = 2;
    }
}

/// What a program does, or a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// It has no image yet.
    Empty = 1,
    /// A part of its image is there.
    Loading = 2,
    /// It can be started.
    Loaded = 3,
    /// It was started.
    Running = 4,
    /// It waits for a page that a pager is to supply, or for which there is no memory.
    Waiting = 5,
    /// A fault of it suspended it.
    Faulted = 6,
    /// It has ended itself, with a code.
    Exited = 7,
    /// It has ended for a fault.
    Crashed = 8,
    /// It was ended.
    Killed = 9,
    /// It is to be suspended, and executes no further instruction; a system call that it was in
    /// goes to its end.
    Suspending = 10,
    /// It was suspended by request.
    Suspended = 11,
    /// It waited for a page for longer than its holder lets it, which suspended it as a fault does.
    TimedOut = 12,
}

impl State {
    /// All of them.
    pub const ALL: [State; 12] = [
        State::Empty,
        State::Loading,
        State::Loaded,
        State::Running,
        State::Waiting,
        State::Faulted,
        State::Exited,
        State::Crashed,
        State::Killed,
        State::Suspending,
        State::Suspended,
        State::TimedOut,
    ];

    /// Whether it has ended, and never runs again.
    pub const fn is_end(self) -> bool {
        matches!(self, State::Exited | State::Crashed | State::Killed)
    }

    /// Whether it is suspended where it was, until its holder lets it go on: its registers can be
    /// read and written; of a program that was suspended by request, those of its threads.
    pub const fn is_suspended(self) -> bool {
        matches!(self, State::Faulted | State::Suspended | State::TimedOut)
    }
}

/// What becomes of a thread that has a fault which cannot be resolved, or of its program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum FaultPolicy {
    /// As the program's options say: the program ends, or is said to be suspended.
    Program = 1,
    /// The thread ends, and the others go on.
    End = 2,
    /// The thread is suspended and that is told, as its end is: who holds it looks at it, and
    /// resumes or ends it. The others go on.
    Suspend = 3,
}

impl FaultPolicy {
    /// All of them.
    pub const ALL: [FaultPolicy; 3] =
        [FaultPolicy::Program, FaultPolicy::End, FaultPolicy::Suspend];
}

/// What kind of fault a thread had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum FaultKind {
    /// It had none.
    None = 1,
    /// It read what it may not.
    Read = 2,
    /// It wrote what it may not.
    Write = 3,
    /// It fetched an instruction from where it may not. Of IA32 and x86_64 the kernel tells that as
    /// reading, at the instruction's own address.
    Execute = 4,
    /// It used a capability pointer that leads nowhere: that is its code, the lower 32 bits of it.
    Capability = 5,
    /// It made a system call that there is not: its code is the number, the lower 32 bits of it.
    SystemCall = 6,
    /// The processor raised an exception: its code is the number (on x86 the vector: 0 a division,
    /// 6 an undefined instruction, 13 general protection).
    Exception = 7,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 7] = [
        FaultKind::None,
        FaultKind::Read,
        FaultKind::Write,
        FaultKind::Execute,
        FaultKind::Capability,
        FaultKind::SystemCall,
        FaultKind::Exception,
    ];
}

/// How many words a thread's registers are.
pub const REGISTERS: usize = 18;

/// A thread's registers: the instruction pointer, the stack pointer, the flags, and those for all
/// uses, as the kernel orders them (`seL4_UserContext`). `vmm_client::UserRegisters` has their
/// names. Words that the machine has no register for are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Registers(pub [usize; REGISTERS]);

/// How a pager supplies pages of a memory object of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Supply {
    /// They are given: the object has them no more, nor has anybody to whom they were mapped.
    /// Untouched ones are zero, as they are again.
    Give = 1,
    /// The object keeps them, and what is supplied are copies.
    Copy = 2,
    /// Both have them, and see what the other writes.
    Share = 3,
}

impl Supply {
    /// All of them.
    pub const ALL: [Supply; 3] = [Supply::Give, Supply::Copy, Supply::Share];
}

/// What is wrong with the file of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ImageFault {
    /// It does not begin as an ELF file does.
    NotElf = 1,
    /// It is cut off.
    CutOff = 2,
    /// A field of its headers is not as ELF wants it.
    Malformed = 3,
    /// It is none for this machine, not an executable, or wants what is not here.
    Unsupported = 4,
    /// A segment does not lie in user space, or has more bytes than memory.
    BadSegment = 5,
    /// A segment may be neither read, written nor run.
    NoRights = 6,
    /// A page could be written and run.
    WritableCode = 7,
    /// A segment begins before the one below it ends.
    Overlap = 8,
    /// The entry lies in no segment that may be run.
    BadEntry = 9,
    /// A thread's local storage would be too large.
    TooMuchTls = 10,
}

impl ImageFault {
    /// All of them.
    pub const ALL: [ImageFault; 10] = [
        ImageFault::NotElf,
        ImageFault::CutOff,
        ImageFault::Malformed,
        ImageFault::Unsupported,
        ImageFault::BadSegment,
        ImageFault::NoRights,
        ImageFault::WritableCode,
        ImageFault::Overlap,
        ImageFault::BadEntry,
        ImageFault::TooMuchTls,
    ];
}

impl Rights {
    /// Reading and writing.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);
}

/// How many kinds of resources there are.
pub const RESOURCES: usize = 8;

/// What accounts have amounts of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Resource {
    /// Pages of [`PAGE_BYTES`].
    Pages = 1,
    /// Page tables, counted as many as a range can need wherever it lies.
    Tables = 2,
    /// Capability slots of the service's: one for each page that is mapped, and for each badge.
    Slots = 3,
    /// Kernel objects: endpoints, notifications.
    Objects = 4,
    /// Address spaces (ASIDs): each account has one for the pages of its memory objects.
    Spaces = 5,
    /// Badges: capabilities to objects of the service.
    Badges = 6,
    /// Records of the service's: one for each object, capability and mapping.
    Nodes = 7,
    /// Large pages, for memory objects with [`MemoryOptions::LARGE`]: of 4 MiB on IA32, of 2 MiB on
    /// x86_64. They are set aside when the service starts, and are none of [`Resource::Pages`].
    LargePages = 8,
}

impl Resource {
    /// All of them, in the order of [`Amounts`].
    pub const ALL: [Resource; RESOURCES] = [
        Resource::Pages,
        Resource::Tables,
        Resource::Slots,
        Resource::Objects,
        Resource::Spaces,
        Resource::Badges,
        Resource::Nodes,
        Resource::LargePages,
    ];
}

/// An amount of each [`Resource`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amounts(pub [u32; RESOURCES]);

impl Amounts {
    /// Nothing of anything.
    pub const NONE: Amounts = Amounts([0; RESOURCES]);
    /// All that can be said: of a service as a whole, no limit, and no promise.
    pub const MAX: Amounts = Amounts([u32::MAX; RESOURCES]);

    /// The amount of one resource.
    pub const fn of(&self, resource: Resource) -> u32 {
        self.0[resource as usize - 1]
    }

    /// The same with another amount of one resource.
    #[must_use]
    pub const fn with(mut self, resource: Resource, amount: u32) -> Amounts {
        self.0[resource as usize - 1] = amount;
        self
    }

    /// The sum, or the first resource whose sum is beyond what a message can say.
    pub fn plus(self, more: Amounts) -> Result<Amounts, Resource> {
        self.each(more, u32::checked_add)
    }

    /// The difference, or the first resource of which there is not enough.
    pub fn minus(self, less: Amounts) -> Result<Amounts, Resource> {
        self.each(less, u32::checked_sub)
    }

    fn each(
        mut self,
        other: Amounts,
        work: impl Fn(u32, u32) -> Option<u32>,
    ) -> Result<Amounts, Resource> {
        let both = self.0.iter_mut().zip(other.0).zip(Resource::ALL);
        for ((amount, other), resource) in both {
            *amount = work(*amount, other).ok_or(resource)?;
        }
        Ok(self)
    }
}
