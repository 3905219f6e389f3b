// SPDX-License-Identifier: BSD-2-Clause
//! What the state is made of: pages, regions, spaces, and what was handed out.

use std::collections::BTreeMap;
use std::ops::Range;

use untyped_alloc::{Blueprint, CPtr, CachePolicy, Rights};
use vmm::{
    Backing, Error, IpcBuffer, Kind, Object, Objects, Quota, RegionId, RegionInfo, Resource,
    SpaceId, ThreadMemory,
};

use crate::support::{PAGE, not_mapped};

/// Which memory: an index into `State::cells`. Pages that show the same memory have the same.
pub type Cell = usize;

/// What memory holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contents {
    /// This word, everywhere; 0 when it is fresh.
    Filled(u64),
    /// These in its first and its last word, and something in between.
    Ends([u64; 2]),
    /// Not known: seen when it is looked at next.
    Unknown,
}

/// Where a page's frame comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The manager's memory.
    Owned,
    /// Objects that were allocated, by number.
    Objects(usize),
    /// A physical address.
    Physical,
}

/// A mapped page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What it was mapped with, or protected to.
    pub rights: Rights,
    /// Its cache policy.
    pub cache: CachePolicy,
    /// Which memory it shows.
    pub cell: Cell,
    /// Whose that is.
    pub origin: Origin,
    /// Whether its capability is a copy, and so counts as a slot.
    pub copy: bool,
    /// Whether the first write gets memory of its own.
    pub cow: bool,
    /// Whether it may not be mapped before it is touched: it was cloned on demand, or the kernel
    /// was to take its page table.
    pub deferred: bool,
}

/// A region, or a reservation: that has [`Kind::Reservation`].
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// Its first address, in bytes.
    pub start: usize,
    /// All its pages, guards included.
    pub pages: usize,
    /// Guard pages below.
    pub below: usize,
    /// Guard pages above.
    pub above: usize,
    /// Rights of fresh pages.
    pub rights: Rights,
    /// The most they can be.
    pub ceiling: Rights,
    /// Its cache policy.
    pub cache: CachePolicy,
    /// What it is for.
    pub kind: Kind,
    /// The reservation it lies in.
    pub inside: Option<RegionId>,
    /// What a touch maps.
    pub backing: Backing,
    /// The number of its first page, as its pager counts.
    pub first_page: usize,
    /// Whether touches may bring large pages.
    pub large_pages: bool,
}

impl Region {
    /// A region of the boot or of the manager's own, which the reference takes as it is told.
    pub fn told(info: &RegionInfo) -> Region {
        Region {
            id: info.id,
            start: info.range.start().bits(),
            pages: info.range.pages(),
            below: info.guard_below,
            above: info.guard_above,
            rights: info.rights,
            ceiling: info.ceiling,
            cache: info.cache,
            kind: info.kind,
            inside: None,
            backing: info.backing,
            first_page: 0,
            large_pages: false,
        }
    }

    /// The address behind it.
    pub fn end(&self) -> usize {
        self.start + self.pages * PAGE
    }

    /// The addresses that can be mapped.
    pub fn usable(&self) -> Range<usize> {
        self.start + self.below * PAGE..self.end() - self.above * PAGE
    }

    /// Whether it is a caller's to map and unmap.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory | Kind::Stack)
    }

    /// Whether it is the boot's or the manager's own.
    pub fn is_the_managers(&self) -> bool {
        matches!(self.kind, Kind::Boot | Kind::Bookkeeping)
    }
}

/// An address space.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// Its root paging structure, kept here so that threads touch it with no look-up.
    pub root: CPtr,
    /// Its regions by their first address.
    pub regions: BTreeMap<usize, Region>,
    /// Its reservations, outer ones before those in them.
    pub reservations: Vec<Region>,
    /// Its pages by address.
    pub pages: BTreeMap<usize, Page>,
    /// The most it may have.
    pub quota: Quota,
}

impl Space {
    /// A space with these regions and nothing mapped.
    pub fn new(id: SpaceId, root: CPtr, told: &[RegionInfo]) -> Space {
        let regions = told.iter().map(Region::told).map(|region| (region.start, region)).collect();
        let (reservations, pages, quota) = (Vec::new(), BTreeMap::new(), Quota::UNLIMITED);
        Space { id, root, regions, reservations, pages, quota }
    }

    /// The region that covers an address.
    pub fn region_at(&self, address: usize) -> Option<&Region> {
        let (_, region) = self.regions.range(..=address).next_back()?;
        (address < region.end()).then_some(region)
    }

    /// The region or reservation with this id.
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.values().chain(&self.reservations).find(|region| region.id == id)
    }

    /// The innermost reservation around an address: the last, as outer ones come first.
    pub fn reservation_at(&self, address: usize) -> Option<RegionId> {
        let covers = |it: &&Region| it.start <= address && address < it.end();
        self.reservations.iter().rfind(covers).map(|found| found.id)
    }

    /// Whether nothing lies in a reservation.
    pub fn is_reservation_empty(&self, id: RegionId) -> bool {
        !self.regions.values().chain(&self.reservations).any(|it| it.inside == Some(id))
    }

    /// Holes: from, to and the reservation they lie in, lowest first.
    pub fn holes(&self, end: usize) -> Vec<(usize, usize, Option<RegionId>)> {
        let mut cuts: Vec<usize> = vec![0, end];
        for region in self.regions.values().chain(&self.reservations) {
            cuts.extend([region.start, region.end()]);
        }
        cuts.sort_unstable();
        cuts.dedup();
        let spans = cuts.windows(2).map(|pair| (pair[0], pair[1]));
        spans
            .filter(|&(from, _)| self.region_at(from).is_none())
            .map(|(from, to)| (from, to, self.reservation_at(from)))
            .collect()
    }

    /// Pages, whoever owns them (A39), and copied capabilities that count against the quota.
    pub fn used(&self, resource: Resource) -> usize {
        let counts = |page: &&Page| match page.origin {
            Origin::Owned => resource == Resource::Frames || page.copy,
            // What is shared of it is the sharer's.
            Origin::Physical => page.copy,
            Origin::Objects(_) => false,
        };
        self.pages.values().filter(counts).count()
    }

    /// The first page of a range that is not mapped.
    pub fn hole(&self, start: usize, pages: usize) -> Option<Error> {
        let mut range = (start..start + pages * PAGE).step_by(PAGE);
        let hole = range.find(|page| !self.pages.contains_key(page));
        hole.map(not_mapped)
    }
}

/// An IPC buffer that was made.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// How it is named.
    pub handle: IpcBuffer,
    /// Whether it shares its page.
    pub packed: bool,
    /// Whether it was not released.
    pub live: bool,
}

/// A thread's memory that was made, and the regions of its parts.
#[derive(Clone, Debug)]
pub struct ThreadParts {
    /// What the manager returned.
    pub memory: ThreadMemory,
    /// Its stack and its thread-local storage.
    pub regions: Vec<RegionId>,
}

/// What was allocated.
#[derive(Clone, Copy, Debug)]
pub enum Thing {
    /// An object.
    One(Object, Blueprint),
    /// Several together.
    Many(Objects, Blueprint),
    /// So many slots.
    Slots(CPtr, usize),
}

/// Something that was allocated.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// What.
    pub thing: Thing,
    /// Whether it was not freed.
    pub live: bool,
    /// Of a thread: the buffer it has.
    pub buffer: Option<IpcBuffer>,
    /// Of frames: whether they were mapped before, and so may be dirty.
    pub used: bool,
}
