// SPDX-License-Identifier: BSD-2-Clause
//! The requests of a client.

#[cfg(doc)]
use super::answer::Answer;
use super::items::{Amounts, Options, RegionHandle, Rights};
#[cfg(doc)]
use super::limits::{MAX_GUARDS, MAX_PAGES};
use super::text::{Line, Name};

/// A request of a client. Addresses are those of the sender, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Reserves addresses for a region. Answered with [`Answer::Region`].
    Reserve(Reserve),
    /// Maps fresh memory in pages of a region (commits it). Answered with [`Answer::Pages`]: how
    /// many pages are done, from the first one on.
    Map {
        /// The first page.
        start: usize,
        /// The number of pages.
        pages: u32,
    },
    /// Unmaps pages and frees their memory (decommits it); the region stays. Answered with
    /// [`Answer::Pages`].
    Unmap {
        /// The first page.
        start: usize,
        /// The number of pages.
        pages: u32,
    },
    /// Gives pages new rights. Answered with [`Answer::Pages`].
    Protect {
        /// The first page.
        start: usize,
        /// The number of pages.
        pages: u32,
        /// The new rights.
        rights: Rights,
    },
    /// Releases a region with the memory that is mapped in it. Answered with [`Answer::Done`], or
    /// with [`Answer::Pages`] when a part of it is left: then the client asks again.
    Release(RegionHandle),
    /// Asks for the region at an address, or with `next` for the first region from there on.
    /// Answered with [`Answer::Info`], or [`Answer::Done`] where there is none.
    Query {
        /// The address.
        address: usize,
        /// Whether to go on to the next region.
        next: bool,
    },
    /// Offers pages to another client, which may accept them once. Answered with
    /// [`Answer::Ticket`].
    Offer {
        /// The number of the other client.
        to: u32,
        /// The first page, which is mapped.
        start: usize,
        /// The number of pages, all of one region.
        pages: u32,
        /// The most rights that the other client can have.
        rights: Rights,
    },
    /// Withdraws an offer that was not accepted. Answered with [`Answer::Done`].
    Withdraw {
        /// The ticket of the offer.
        ticket: u32,
    },
    /// Maps the pages that another client offered. Answered with [`Answer::Part`]: the first pages
    /// are mapped, and [`Request::AcceptMore`] maps the rest.
    Accept {
        /// The number of the client that offers.
        from: u32,
        /// The ticket; 0 for the oldest offer to the sender.
        ticket: u32,
        /// The address; 0 for any.
        address: usize,
        /// The rights to map with.
        rights: Rights,
    },
    /// Clones a region of the sender's own memory, copy-on-write. Answered with [`Answer::Part`]:
    /// the first pages are cloned, and [`Request::CloneMore`] clones the rest.
    Clone {
        /// The region.
        region: RegionHandle,
        /// The address of the clone; 0 for any.
        address: usize,
    },
    /// Allocates an IPC buffer for a new thread. Answered with [`Answer::Address`].
    IpcBuffer {
        /// The slot for the capability to its frame, for `TCB_SetIPCBuffer`; 0 for none.
        slot: u32,
    },
    /// Frees such a buffer and takes it from its thread. Answered with [`Answer::Done`].
    ReleaseIpcBuffer {
        /// Its address.
        address: usize,
    },
    /// Asks for the memory that the sender has. Answered with [`Answer::Statistics`].
    Statistics,
    /// Asks for the sender's number and limits. Answered with [`Answer::Limits`].
    Limits,
    /// Moves a part of the sender's limits to one of its children, or back. Answered with
    /// [`Answer::Done`].
    Split {
        /// The number of the child.
        child: u32,
        /// Whether from the child to the sender.
        back: bool,
        /// How much of each resource.
        amounts: Amounts,
    },
    /// Ends a child. Answered with [`Answer::Done`].
    Kill {
        /// The number of the child.
        child: u32,
    },
    /// Says a line for people to read. Answered with [`Answer::Done`].
    Say(Line),
    /// Ends the sender. Not answered.
    Exit {
        /// 0 for success.
        code: u32,
    },
    /// Offers to be the pager of a region of another client, which may accept once: the pages of
    /// the region come from the sender, one at a time, when they are touched. Answered with
    /// [`Answer::Ticket`].
    OfferPaging {
        /// The number of the other client.
        to: u32,
        /// A number of the sender's choice for the region.
        key: u32,
        /// Pages of the region, at least 1.
        pages: u32,
        /// The most rights that the other client can have.
        rights: Rights,
    },
    /// Reserves a region whose pages are supplied by the client that offered it. Answered with
    /// [`Answer::Region`].
    AcceptPaging {
        /// The number of the client that offers.
        from: u32,
        /// The ticket; 0 for the oldest offer of this kind to the sender.
        ticket: u32,
        /// The address; 0 for any.
        address: usize,
        /// The rights to map with.
        rights: Rights,
    },
    /// Waits until a thread touches a page that the sender is to supply. Answered with
    /// [`Answer::Fault`], or with [`Answer::Done`] when the sender pages no region and has no open
    /// offer to page one.
    NextFault {
        /// Only faults later than the one with this ticket; 0 for the oldest fault.
        after: u64,
    },
    /// Supplies the page that a thread waits for, which resumes. Answered with [`Answer::Done`].
    Supply {
        /// The ticket of the fault.
        ticket: u64,
        /// The address of a page of the sender's own.
        page: usize,
        /// Whether the page is transferred: unmapped here, and the other client's from now on.
        /// Otherwise both have it.
        give: bool,
    },
    /// Refuses the page that a thread waits for; the service decides what happens to the thread.
    /// Answered with [`Answer::Done`].
    Refuse {
        /// The ticket of the fault.
        ticket: u64,
    },
    /// Starts a further thread of the sender's program. Answered with [`Answer::Address`]: the
    /// address of its IPC buffer, which names the thread from now on.
    Thread(NewThread),
    /// Ends a thread that was started so, and frees its memory. Answered with [`Answer::Done`].
    EndThread {
        /// The address of its IPC buffer.
        thread: usize,
        /// Whether the thread itself asks: then there is no answer.
        own: bool,
    },
    /// Continues to clone. Answered with [`Answer::Pages`]: how many pages from `page` on are
    /// done, holes included.
    CloneMore {
        /// The region that is cloned.
        region: RegionHandle,
        /// The clone.
        into: RegionHandle,
        /// The number of the first page that is not done.
        page: u32,
    },
    /// Continues to accept an offer. Answered with [`Answer::Pages`]: how many more are mapped.
    AcceptMore {
        /// The number of the client that offers.
        from: u32,
        /// The region that [`Request::Accept`] made for the offer.
        region: RegionHandle,
    },
}

/// The properties of a new region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// Pages, without guards.
    pub pages: u32,
    /// The address of its first page after the guard below; 0 for any.
    pub address: usize,
    /// The rights that its pages are mapped with.
    pub rights: Rights,
    /// The most rights that its pages can ever have.
    pub ceiling: Rights,
    /// Pages mapped at a first touch: 1 to 16, a power of two; 0 when they are mapped by request.
    pub around: u32,
    /// Guard pages below and above, at most [`MAX_GUARDS`] each.
    pub guards: (u32, u32),
    /// Further properties.
    pub options: Options,
    /// A name, for people.
    pub name: Name,
}

/// The properties of a new thread. It begins with the address of its IPC buffer and with
/// `argument` as its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewThread {
    /// The address of its first instruction.
    pub entry: usize,
    /// A word for it.
    pub argument: usize,
    /// Pages of its stack, 1 to [`MAX_PAGES`].
    pub stack_pages: u32,
    /// An empty slot of the sender's CNode, for the capability to the endpoint that receives the
    /// thread's faults.
    pub slot: u32,
}
