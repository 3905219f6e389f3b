//! The state as it ought to be: who owns which page, with which rights and contents. Plain maps, and
//! loops over them: slow, plain, and independent of how the manager does it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use untyped_alloc::{Blueprint, CPtr, CachePolicy, Rights};
use vmm::{
    Backing, Error, IpcBuffer, Kind, Object, Objects, Quota, RegionId, RegionInfo, Resource,
    SpaceId, ThreadMemory,
};

use crate::support::{PAGE, Target};

/// Which memory: an index into [`State::cells`]. Pages that show the same memory have the same.
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
        let counts = |page: &&Page| {
            page.origin == Origin::Owned && (resource == Resource::Frames || page.copy)
        };
        self.pages.values().filter(counts).count()
    }

    /// The first page of a range that is not mapped.
    pub fn hole(&self, start: usize, pages: usize) -> Option<Error> {
        let mut range = (start..start + pages * PAGE).step_by(PAGE);
        let hole = range.find(|page| !self.pages.contains_key(page));
        hole.map(|address| Error::NotMapped { address })
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

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    /// The architecture.
    pub target: Target,
    /// The spaces, the manager's own first.
    pub spaces: Vec<Space>,
    /// Every space there was.
    pub all_spaces: Vec<SpaceId>,
    /// Ids of regions and reservations that are no more.
    pub dead: Vec<RegionId>,
    /// What each memory that ever was holds.
    pub cells: Vec<Contents>,
    /// IPC buffers.
    pub buffers: Vec<Buffer>,
    /// Threads' memory.
    pub threads: Vec<ThreadParts>,
    /// Objects and slots.
    pub things: Vec<Held>,
}

impl State {
    /// The manager's own space with the regions of the boot.
    pub fn new(target: Target, own: Space) -> State {
        State {
            target,
            all_spaces: vec![own.id],
            spaces: vec![own],
            dead: Vec::new(),
            cells: Vec::new(),
            buffers: Vec::new(),
            threads: Vec::new(),
            things: Vec::new(),
        }
    }

    /// The space with this id.
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.iter().find(|space| space.id == id)
    }

    /// The space with this id.
    ///
    /// # Panics
    /// When there is none: a request to it should have been refused.
    pub fn space_mut(&mut self, id: SpaceId) -> &mut Space {
        self.spaces.iter_mut().find(|space| space.id == id).expect("the space is alive")
    }

    /// The region or reservation with this id.
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.space(id.space())?.region(id)
    }

    /// Memory that was never seen before.
    pub fn cell(&mut self, holds: Contents) -> Cell {
        self.cells.push(holds);
        self.cells.len() - 1
    }

    /// How many pages show this memory.
    pub fn users(&self, cell: Cell) -> usize {
        let pages = self.spaces.iter().flat_map(|space| space.pages.values());
        pages.filter(|page| page.cell == cell).count()
    }

    /// The same for all memory.
    pub fn all_users(&self) -> HashMap<Cell, usize> {
        let mut users = HashMap::new();
        for page in self.spaces.iter().flat_map(|space| space.pages.values()) {
            *users.entry(page.cell).or_default() += 1;
        }
        users
    }

    /// Maps fresh pages in a range.
    pub fn map_fresh(&mut self, space: SpaceId, range: Range<usize>, like: &Region) {
        self.map_new(space, range, like, Origin::Owned, Contents::Filled(0));
    }

    /// Maps pages that show memory which nobody else has.
    pub fn map_new(
        &mut self,
        space: SpaceId,
        range: Range<usize>,
        like: &Region,
        origin: Origin,
        holds: Contents,
    ) {
        let Region { rights, cache, .. } = *like;
        for at in range.step_by(PAGE) {
            let page =
                Page { rights, cache, cell: self.cell(holds), origin, copy: false, cow: false };
            let before = self.space_mut(space).pages.insert(at, page);
            assert!(before.is_none(), "{at:#x} was mapped before");
        }
    }

    /// The first write to a page: under copy-on-write it gets memory of its own with the same
    /// contents, or keeps what it has if nobody else has that.
    pub fn break_cow(&mut self, space: SpaceId, at: usize) {
        let Page { cell, cow, .. } = self.space_mut(space).pages[&at];
        if !cow {
            return;
        }
        let own = (self.users(cell) > 1).then(|| self.cell(self.cells[cell]));
        let page = self.space_mut(space).pages.get_mut(&at).expect("a page");
        page.cow = false;
        if let Some(own) = own {
            (page.cell, page.copy) = (own, false);
        }
    }

    /// The same for a range; returns its pages as they are then.
    pub fn break_range(&mut self, space: SpaceId, range: Range<usize>) -> Vec<(usize, Page)> {
        let pages = &self.space_mut(space).pages;
        let all: Vec<usize> = pages.range(range).map(|(&at, _)| at).collect();
        all.iter().for_each(|&at| self.break_cow(space, at));
        let pages = &self.space_mut(space).pages;
        all.into_iter().map(|at| (at, pages[&at])).collect()
    }

    /// Ends copy-on-write in a range for memory that nobody else has.
    pub fn settle(&mut self, space: SpaceId, range: Range<usize>) {
        let users = self.all_users();
        let pages = self.space_mut(space).pages.range_mut(range);
        pages.filter(|(_, page)| users[&page.cell] == 1).for_each(|(_, page)| page.cow = false);
    }

    /// Forgets a region with its pages, or a reservation.
    pub fn forget(&mut self, id: RegionId) {
        let Some(region) = self.region(id).copied() else { return };
        let space = self.space_mut(id.space());
        match region.kind {
            Kind::Reservation => space.reservations.retain(|other| other.id != id),
            _ => {
                space.regions.remove(&region.start);
                space.pages.retain(|&at, _| at < region.start || at >= region.end());
            }
        }
        self.dead.push(id);
    }

    /// Threads that were allocated and not freed.
    pub fn tcbs(&self) -> impl Iterator<Item = usize> {
        let tcb = |held: &Held| held.live && matches!(held.thing, Thing::One(_, Blueprint::Tcb));
        self.things.iter().enumerate().filter(move |(_, held)| tcb(held)).map(|(number, _)| number)
    }

    /// Whether any page shows a frame of this thing.
    pub fn is_mapped(&self, thing: usize) -> bool {
        let mut pages = self.spaces.iter().flat_map(|space| space.pages.values());
        pages.any(|page| page.origin == Origin::Objects(thing))
    }
}
