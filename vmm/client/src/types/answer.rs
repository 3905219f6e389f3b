// SPDX-License-Identifier: BSD-2-Clause
//! The answers of the service.

use super::items::{Amounts, RegionHandle, Rights};
use super::text::Name;

/// An answer of the service to a request that it did not refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The request is done.
    Done,
    /// So many pages are done.
    Pages(u32),
    /// A region.
    Region {
        /// Its handle.
        handle: RegionHandle,
        /// The address of its first page after the guard below.
        first: usize,
        /// Its pages, without guards.
        pages: u32,
    },
    /// A region of which some pages are done.
    Part {
        /// Its handle.
        handle: RegionHandle,
        /// The address of its first page after the guard below.
        first: usize,
        /// Its pages, without guards.
        pages: u32,
        /// How many of them are done, from the first page on, holes included.
        done: u32,
    },
    /// The ticket of an offer.
    Ticket(u32),
    /// A thread that waits for a page.
    Fault(PagedFault),
    /// An address.
    Address(usize),
    /// The region, and the page, at an address.
    Info(Info),
    /// The memory that the client has.
    Statistics(Statistics),
    /// The limits of the client.
    Limits(Limits),
}

/// The region, and the page, at an address of the sender's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// The region.
    pub region: RegionHandle,
    /// All its pages, guards included.
    pub pages: u32,
    /// Guard pages below and above.
    pub guards: (u32, u32),
    /// The rights that its pages are mapped with.
    pub rights: Rights,
    /// The most rights that its pages can have.
    pub ceiling: Rights,
    /// Pages mapped at a first touch; 0 when pages are mapped by request only.
    pub around: u32,
    /// The rights of the page at the address of the request; `None` when it is not mapped.
    pub page: Option<Rights>,
    /// The name, for people.
    pub name: Name,
}

/// The memory that a client has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Mapped pages, shared ones included.
    pub mapped_pages: u32,
    /// Regions.
    pub regions: u32,
    /// Page tables.
    pub tables: u32,
    /// Pages of the largest hole.
    pub largest_hole: u32,
}

/// The number of a client, and its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Its number, by which other clients offer memory to it.
    pub own: u32,
    /// The number of its parent, 0 for none.
    pub parent: u32,
    /// The most that it may have; `u32::MAX` stands for as much as there is.
    pub limits: Amounts,
    /// The part of it that it has.
    pub used: Amounts,
}

/// A thread that waits for a page that the sender is to supply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PagedFault {
    /// Names the fault in the request that supplies or refuses the page. Greater than the tickets
    /// of earlier faults; it has 64 bits and does not come again.
    pub ticket: u64,
    /// The number of the client that the thread belongs to.
    pub client: u32,
    /// The key of the region, which the sender chose when it offered to page the region.
    pub key: u32,
    /// The page's number in the region.
    pub page: u32,
    /// Whether the thread was about to write.
    pub write: bool,
}
