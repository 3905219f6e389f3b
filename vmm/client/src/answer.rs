//! What the service answers.

use crate::items::{Amounts, Name, RegionHandle, Rights};

/// What the service answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// So many pages are done.
    Pages(u32),
    /// A region.
    Region {
        /// Its handle.
        handle: RegionHandle,
        /// Its first page after the guard below.
        first: u32,
        /// Its pages, without guards.
        pages: u32,
    },
    /// A region of which some pages are done.
    Part {
        /// Its handle.
        handle: RegionHandle,
        /// Its first page after the guard below.
        first: u32,
        /// Its pages, without guards.
        pages: u32,
        /// How many of them are done, from the first on, holes included.
        done: u32,
    },
    /// The ticket of an offer.
    Ticket(u32),
    /// A thread waits for a page.
    Fault(PagedFault),
    /// An address.
    Address(u32),
    /// What is at an address.
    Info(Info),
    /// What the client has.
    Statistics(Statistics),
    /// What it may have.
    Limits(Limits),
}

/// What is at an address of the sender's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// The region.
    pub region: RegionHandle,
    /// All its pages, guards included.
    pub pages: u32,
    /// Guard pages below and above.
    pub guards: (u32, u32),
    /// What its pages are mapped with.
    pub rights: Rights,
    /// The most they can have.
    pub ceiling: Rights,
    /// Pages mapped at a first touch, or 0.
    pub around: u32,
    /// The rights of the page at the address asked for; `None` when it is not mapped.
    pub page: Option<Rights>,
    /// For people.
    pub name: Name,
}

/// What a client has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Pages mapped, shared ones included.
    pub mapped_pages: u32,
    /// Regions.
    pub regions: u32,
    /// Page tables.
    pub tables: u32,
    /// Pages of the largest hole.
    pub largest_hole: u32,
}

/// Who a client is and what it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Its number, by which others offer it memory.
    pub own: u32,
    /// The number of its parent, 0 for none.
    pub parent: u32,
    /// The most it may have; `u32::MAX` stands for as much as there is.
    pub limits: Amounts,
    /// What it has of that.
    pub used: Amounts,
}

/// A thread that waits for a page of its pager's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PagedFault {
    /// What it is answered by. Greater than those before it.
    pub ticket: u32,
    /// The number of the client whose thread it is.
    pub client: u32,
    /// What the pager called the region when it offered to page it.
    pub key: u32,
    /// The page's number in the region.
    pub page: u32,
    /// Whether it was to be written.
    pub write: bool,
}
