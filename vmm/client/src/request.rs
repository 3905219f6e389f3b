//! What a client can ask for.

#[cfg(doc)]
use crate::answer::Answer;
use crate::items::{Amounts, Line, Name, Options, RegionHandle, Rights};

/// What a client can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Addresses for a region. Answered with [`Answer::Region`].
    Reserve(Reserve),
    /// Fresh memory in pages of a region. [`Answer::Pages`]: so many of them from the first on.
    Map {
        /// The first page.
        start: u32,
        /// How many.
        pages: u32,
    },
    /// Takes pages away; the region stays. [`Answer::Pages`].
    Unmap {
        /// The first page.
        start: u32,
        /// How many.
        pages: u32,
    },
    /// New rights. [`Answer::Pages`].
    Protect {
        /// The first page.
        start: u32,
        /// How many.
        pages: u32,
        /// The rights.
        rights: Rights,
    },
    /// Gives a region back. [`Answer::Pages`] says that it is not done, ask again;
    /// [`Answer::Done`].
    Release(RegionHandle),
    /// What is at an address; with `next` the first region from there on. [`Answer::Info`], or
    /// [`Answer::Done`] where there is nothing.
    Query {
        /// The address.
        address: u32,
        /// Whether to go on to the next region.
        next: bool,
    },
    /// Offers pages to another client, which may accept once. [`Answer::Ticket`].
    Offer {
        /// The number of the client.
        to: u32,
        /// The first page, mapped.
        start: u32,
        /// How many, all of one region.
        pages: u32,
        /// The most rights the other side can have.
        rights: Rights,
    },
    /// Takes back an offer that was not accepted. [`Answer::Done`].
    Withdraw {
        /// Its ticket.
        ticket: u32,
    },
    /// Maps what another client offered. [`Answer::Part`]: the first piece of it is mapped, and
    /// [`Request::AcceptMore`] maps the rest.
    Accept {
        /// The number of the client that offers.
        from: u32,
        /// The ticket; 0 for the oldest offer to the sender.
        ticket: u32,
        /// Where; 0 for anywhere.
        address: u32,
        /// With which rights.
        rights: Rights,
    },
    /// Clones a region of the sender's own memory, copy-on-write. [`Answer::Part`]: the first piece
    /// of it is cloned, and [`Request::CloneMore`] clones the rest.
    Clone {
        /// The region.
        region: RegionHandle,
        /// Where; 0 for anywhere.
        address: u32,
    },
    /// An IPC buffer for a new thread. [`Answer::Address`].
    IpcBuffer {
        /// The slot that gets the capability to its frame, for `TCB_SetIPCBuffer`; 0 for none.
        slot: u32,
    },
    /// Gives such a buffer back, and takes it from the thread. [`Answer::Done`].
    ReleaseIpcBuffer {
        /// Its address.
        address: u32,
    },
    /// What the sender has. [`Answer::Statistics`].
    Statistics,
    /// What it may have. [`Answer::Limits`].
    Limits,
    /// Moves part of what the sender may have to a child of its, or back. [`Answer::Done`].
    Split {
        /// The number of the child.
        child: u32,
        /// Whether from the child to the sender.
        back: bool,
        /// How much.
        amounts: Amounts,
    },
    /// Ends a child. [`Answer::Done`].
    Kill {
        /// The number of the child.
        child: u32,
    },
    /// A line for people to read. [`Answer::Done`].
    Say(Line),
    /// Ends the sender. Not answered.
    Exit {
        /// 0 when all went well.
        code: u32,
    },
    /// Offers to be the pager of a region of another client's, which may accept once: its pages
    /// come from the sender, one at a time, when they are touched. [`Answer::Ticket`].
    OfferPaging {
        /// The number of the client.
        to: u32,
        /// What the sender knows the region by.
        key: u32,
        /// Pages of the region, at least 1.
        pages: u32,
        /// The most rights the other side can have.
        rights: Rights,
    },
    /// Reserves a region whose pages another client supplies that offered it.
    /// [`Answer::Region`].
    AcceptPaging {
        /// The number of the client that offers.
        from: u32,
        /// The ticket; 0 for the oldest offer of this kind to the sender.
        ticket: u32,
        /// Where; 0 for anywhere.
        address: u32,
        /// With which rights.
        rights: Rights,
    },
    /// Waits until a thread touches a page that the sender is to supply. [`Answer::Fault`]; or
    /// [`Answer::Done`] when there is nothing more to page: no region and no open offer.
    NextFault {
        /// Only younger ones than the fault with this ticket; 0 for the oldest.
        after: u32,
    },
    /// Supplies the page that a thread waits for, which goes on. [`Answer::Done`].
    Supply {
        /// The ticket of the fault.
        ticket: u32,
        /// A page of the sender's own.
        page: u32,
        /// Whether it is given away: unmapped here, and the other's from now on. Else both have it.
        give: bool,
    },
    /// Refuses the page that a thread waits for: what becomes of the thread is the service's to
    /// say. [`Answer::Done`].
    Refuse {
        /// The ticket of the fault.
        ticket: u32,
    },
    /// A further thread of the sender's program. [`Answer::Address`]: of its IPC buffer, by which
    /// it is known.
    Thread(NewThread),
    /// Ends a thread that was made so, and gives back its memory. [`Answer::Done`].
    EndThread {
        /// The address of its IPC buffer.
        thread: u32,
        /// Whether it is the thread that asks: then it is not answered.
        own: bool,
    },
    /// Goes on cloning. [`Answer::Pages`]: so many pages from `page` on are done, holes included.
    CloneMore {
        /// What is cloned.
        region: RegionHandle,
        /// The clone.
        into: RegionHandle,
        /// The first page that is not done.
        page: u32,
    },
    /// Goes on accepting an offer. [`Answer::Pages`]: so many more are mapped.
    AcceptMore {
        /// The number of the client that offers.
        from: u32,
        /// The region that [`Request::Accept`] made for it.
        region: RegionHandle,
    },
}

/// What a new region is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// Pages, without guards.
    pub pages: u32,
    /// Its first page after the guard below; 0 for anywhere.
    pub address: u32,
    /// What its pages are mapped with.
    pub rights: Rights,
    /// The most they can ever have.
    pub ceiling: Rights,
    /// Pages mapped at a first touch: 1 to 16, a power of two; 0 when they are mapped by request.
    pub around: u32,
    /// Guard pages below and above, at most [`MOST_GUARDS`](crate::protocol::MOST_GUARDS) each.
    pub guards: (u32, u32),
    /// What else it is.
    pub options: Options,
    /// For people.
    pub name: Name,
}

/// What a new thread is to be. It begins with the address of its IPC buffer in ecx, and
/// `argument` in edx.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewThread {
    /// Its first instruction.
    pub entry: u32,
    /// A word for it.
    pub argument: u32,
    /// Pages of its stack, 1 to [`MOST_PAGES`](crate::protocol::MOST_PAGES).
    pub stack_pages: u32,
    /// An empty slot of the sender's CNode, for the capability to the endpoint that the thread's
    /// faults go to.
    pub slot: u32,
}
