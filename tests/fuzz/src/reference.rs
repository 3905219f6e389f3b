//! The reference: what address spaces ought to look like, in plain collections, and which requests
//! ought to be refused for what.
//!
//! It shares nothing with the manager but the types of its interface. Where a request can be wrong
//! in several ways at once, any of them will do as the answer; that it is refused is certain.

use std::collections::{BTreeMap, HashMap};

use vmm::{Backing, Geometry, PageSize, Quota};
use vmm::{CachePolicy, Kind, Placement, RegionId, RegionOptions, Rights, SpaceId};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// What a page shows: an index into [`World::cells`]. Two pages share memory if they have the same.
pub type CellId = usize;

/// Where a page's frame comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The manager's memory.
    Owned,
    /// Objects that the input allocated, by number.
    Foreign(usize),
    /// A physical address.
    Physical,
}

/// A mapped page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rights it was mapped or protected with.
    pub rights: Rights,
    /// Its cache policy.
    pub cache: CachePolicy,
    /// What it shows.
    pub cell: CellId,
    /// Whose it is.
    pub origin: Origin,
    /// Whether its capability is a copy, and so counts as a slot, not as a frame.
    pub copy: bool,
    /// Whether the first write gets a frame of its own.
    pub cow: bool,
}

/// A region. Numbers are page numbers, guards included.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// Its first page.
    pub start: usize,
    /// All its pages.
    pub pages: usize,
    /// Guards below and above.
    pub guards: (usize, usize),
    /// Its rights.
    pub rights: Rights,
    /// The most they can be.
    pub ceiling: Rights,
    /// Its cache policy.
    pub cache: CachePolicy,
    /// What it is for.
    pub kind: Kind,
    /// The reservation it lies in.
    pub owner: Option<RegionId>,
    /// What a touch maps.
    pub backing: Backing,
}

impl Region {
    /// First page and end of what can be mapped.
    pub fn usable(&self) -> (usize, usize) {
        (self.start + self.guards.0, self.start + self.pages - self.guards.1)
    }

    /// The page after the last.
    pub fn end(&self) -> usize {
        self.start + self.pages
    }
}

/// An address space.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// Its regions and reservations, the latter of [`Kind::Reservation`].
    pub regions: Vec<Region>,
    /// Its pages by number.
    pub pages: BTreeMap<usize, Page>,
    /// IPC buffers in it.
    pub threads: usize,
    /// The most it may have.
    pub quota: Quota,
    /// What is not the input's: the boot's and the book-keeping's ranges, by page and end.
    pub obstacles: Vec<(usize, usize)>,
}

impl Space {
    /// An empty one.
    pub fn new(id: SpaceId) -> Space {
        let (regions, pages, quota) = (Vec::new(), BTreeMap::new(), Quota::UNLIMITED);
        Space { id, regions, pages, threads: 0, quota, obstacles: vec![(0, 1)] }
    }

    /// The region with this id.
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.iter().find(|region| region.id == id)
    }

    /// The region, no reservation, that covers a page.
    pub fn region_at(&self, page: usize) -> Option<&Region> {
        let covers = |region: &&Region| region.start <= page && page < region.end();
        self.regions.iter().filter(|region| region.kind != Kind::Reservation).find(covers)
    }

    /// Ranges in the reservation `owner` (or in none) that nothing lies in.
    fn holes(&self, owner: Option<RegionId>, user_end: usize) -> Vec<(usize, usize)> {
        let bounds = match owner.and_then(|id| self.region(id)) {
            Some(around) => (around.start, around.end()),
            None => (0, user_end),
        };
        let inside = self.regions.iter().filter(|region| region.owner == owner);
        let mut taken: Vec<_> = inside.map(|region| (region.start, region.end())).collect();
        if owner.is_none() {
            taken.extend(&self.obstacles);
        }
        taken.sort_unstable();
        let (mut at, mut holes) = (bounds.0, Vec::new());
        for (start, end) in taken {
            if start > at {
                holes.push((at, start));
            }
            at = at.max(end);
        }
        if bounds.1 > at {
            holes.push((at, bounds.1));
        }
        holes
    }
}

/// Which answers are right: if `must` is empty, success or what is in `may`; one of both otherwise.
/// Errors are known by the names of their variants.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// What is wrong with the request.
    pub must: Vec<&'static str>,
    /// What may turn out to be wrong.
    pub may: Vec<&'static str>,
}

impl Want {
    /// It is wrong for this reason, if `wrong`.
    pub fn refuse(&mut self, wrong: bool, why: &'static str) -> bool {
        if wrong {
            self.must.push(why);
        }
        wrong
    }
}

/// A request for a region, as [`RegionOptions`] without its privacy.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Pages without guards.
    pub pages: usize,
    /// Where.
    pub placement: Placement,
    /// Alignment.
    pub align_bits: u8,
    /// Guards.
    pub guards: (u16, u16),
    /// Rights.
    pub rights: Rights,
    /// Ceiling asked for.
    pub ceiling: Option<Rights>,
    /// Cache policy.
    pub cache: CachePolicy,
    /// Page size.
    pub size: PageSize,
    /// Inside which reservation.
    pub inside: Option<RegionId>,
    /// What a touch maps.
    pub backing: Backing,
}

impl Ask {
    /// For the manager.
    pub fn options(&self) -> RegionOptions {
        let mut options = RegionOptions::new(self.pages)
            .aligned(self.align_bits)
            .guarded(self.guards.0, self.guards.1)
            .rights(self.rights)
            .cached(self.cache)
            .page_size(self.size)
            .backed(self.backing)
            .named("fuzz");
        options = match self.placement {
            Placement::Anywhere => options,
            Placement::At(address) => options.at(address),
            Placement::Within { from, to } => options.within(from, to),
        };
        options = self.ceiling.map_or(options, |ceiling| options.ceiling(ceiling));
        self.inside.map_or(options, |reservation| options.inside(reservation))
    }

    /// Pages with guards, if that can be counted.
    pub fn total(&self) -> Option<usize> {
        self.pages.checked_add(usize::from(self.guards.0) + usize::from(self.guards.1))
    }
}

/// All spaces, and what the pages show.
#[derive(Clone, Debug)]
pub struct World {
    /// The manager's own first.
    pub spaces: Vec<Space>,
    /// What each cell holds, in its first and its last word; `None` when that is not known.
    pub cells: Vec<Option<[u64; 2]>>,
    geometry: Geometry,
}

impl World {
    /// With the manager's own space alone.
    pub fn new(own: SpaceId, geometry: Geometry) -> World {
        World { spaces: vec![Space::new(own)], cells: Vec::new(), geometry }
    }

    fn user_end(&self) -> usize {
        self.geometry.user_end / PAGE
    }

    /// A new cell.
    pub fn cell(&mut self, holds: Option<[u64; 2]>) -> CellId {
        self.cells.push(holds);
        self.cells.len() - 1
    }

    /// The space with this id.
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.iter().find(|space| space.id == id)
    }

    /// The space with this id.
    ///
    /// # Panics
    /// When there is none: an operation on it should have been refused.
    pub fn space_mut(&mut self, id: SpaceId) -> &mut Space {
        self.spaces.iter_mut().find(|space| space.id == id).expect("the space is alive")
    }

    /// The region with this id.
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.space(id.space())?.region(id)
    }

    /// How many pages show a cell.
    pub fn users(&self, cell: CellId) -> usize {
        let pages = self.spaces.iter().flat_map(|space| space.pages.values());
        pages.filter(|page| page.cell == cell).count()
    }

    /// The same for every cell.
    pub fn all_users(&self) -> HashMap<CellId, usize> {
        let mut users = HashMap::new();
        for page in self.spaces.iter().flat_map(|space| space.pages.values()) {
            *users.entry(page.cell).or_default() += 1;
        }
        users
    }

    /// The first write to a page under copy-on-write: a frame of its own with the same contents, or
    /// what it has if nobody else has that.
    pub fn break_cow(&mut self, id: SpaceId, number: usize) {
        let old = self.space_mut(id).pages[&number].cell;
        let shared = self.users(old) > 1;
        let own = shared.then(|| self.cell(self.cells[old]));
        let page = self.space_mut(id).pages.get_mut(&number).expect("it is mapped");
        page.cow = false;
        if let Some(own) = own {
            (page.cell, page.copy) = (own, false);
        }
    }

    /// What is wrong with an id.
    pub fn stale(&self, id: RegionId) -> Option<&'static str> {
        match self.space(id.space()) {
            None => Some("NoSuchSpace"),
            Some(space) => space.region(id).is_none().then_some("NoSuchRegion"),
        }
    }

    /// The ceiling that a region asked for so would have.
    pub fn ceiling(&self, ask: &Ask) -> Rights {
        let around = ask.inside.and_then(|id| self.region(id));
        ask.ceiling.unwrap_or(around.map_or(Rights::READ_WRITE, |around| around.ceiling))
    }

    /// Adds to `want` whether a place for `ask` can be found.
    pub fn want_place(&self, want: &mut Want, space: &Space, ask: &Ask) {
        let limit = match ask.inside {
            None => Rights::READ_WRITE,
            Some(id) => {
                if let Some(why) = self.stale(id) {
                    want.must.push(why);
                    return;
                }
                let ours = id.space() == space.id;
                let around = self.region(id).filter(|around| around.kind == Kind::Reservation);
                match around.filter(|_| ours) {
                    Some(around) => around.ceiling,
                    None => return want.must.push("WrongKind"),
                }
            }
        };
        let ceiling = ask.ceiling.unwrap_or(limit);
        let over = !limit.contains(ceiling) || !ceiling.contains(ask.rights);
        want.refuse(over, "RightsExceedCeiling");
        want.refuse(ask.pages == 0, "Address");
        let total = ask.total().filter(|&total| total <= self.user_end() && ask.align_bits < 31);
        let Some(total) = total else { return want.must.push("NoRoom") };
        if ask.pages != 0 {
            self.want_hole(want, space, ask, total);
        }
    }

    fn want_hole(&self, want: &mut Want, space: &Space, ask: &Ask, total: usize) {
        let step = 1usize << ask.align_bits.saturating_sub(12);
        let below = usize::from(ask.guards.0);
        let holes = space.holes(ask.inside, self.user_end());
        // The lowest place in a hole, not below `from`.
        let lowest = |hole: (usize, usize), from: usize| {
            let first = (hole.0.max(from) + below).next_multiple_of(step) - below;
            (first + total <= hole.1).then_some(first)
        };
        match ask.placement {
            Placement::At(address) => {
                if want.refuse(address % (step * PAGE) != 0, "Address") {
                    return;
                }
                let Some(start) = (address / PAGE).checked_sub(below) else {
                    return want.must.push("Guard");
                };
                if want.refuse(start + total > self.user_end(), "Address") {
                    return;
                }
                let free = holes.iter().any(|hole| hole.0 <= start && start + total <= hole.1);
                if !free {
                    want.must.extend(["Overlap", "OutsideRegion"]);
                }
            }
            Placement::Anywhere => {
                let possible = holes.iter().any(|&hole| lowest(hole, 0).is_some());
                let certain = holes.iter().any(|hole| hole.1 - hole.0 >= total + step - 1);
                if !want.refuse(!possible, "NoRoom") && !certain {
                    want.may.push("NoRoom");
                }
            }
            Placement::Within { from, to } => {
                let from = from.div_ceil(PAGE);
                let fits = |at: usize| (at + total) * PAGE <= to;
                let place = holes.iter().find_map(|&hole| lowest(hole, from));
                if !want.refuse(!place.is_some_and(fits), "NoRoom") && below != 0 && step != 1 {
                    want.may.push("NoRoom");
                }
            }
        }
    }

    /// Adds to `want` whether all of a range is a caller's to map and unmap; returns its first page
    /// and its end if so.
    pub fn want_range(
        &self,
        want: &mut Want,
        space: &Space,
        start: usize,
        pages: usize,
    ) -> Option<(usize, usize)> {
        let end = (start as u128) + (pages as u128) * PAGE as u128;
        let outside = end > self.geometry.user_end as u128;
        if want.refuse(!start.is_multiple_of(PAGE) || pages == 0 || outside, "Address") {
            return None;
        }
        let (first, end) = (start / PAGE, start / PAGE + pages);
        let Some(region) = space.region_at(first) else {
            let ours = space.obstacles.iter().any(|&(from, to)| from <= first && first < to);
            want.must.push(if ours { "WrongKind" } else { "OutsideRegion" });
            return None;
        };
        if want.refuse(!matches!(region.kind, Kind::Memory | Kind::Stack), "WrongKind") {
            return None;
        }
        let usable = region.usable();
        if first < usable.0 || end > usable.1 {
            want.must.extend(["Guard", "OutsideRegion"]);
            return None;
        }
        Some((first, end))
    }

    /// Adds to `want` whether all of a range is mapped.
    pub fn want_mapped(&self, want: &mut Want, space: &Space, range: (usize, usize)) {
        let mapped = space.pages.range(range.0..range.1).count();
        want.refuse(mapped != range.1 - range.0, "NotMapped");
    }

    /// Asserts that a region got a place it may have, and enters it.
    pub fn enter(&mut self, id: RegionId, ask: &Ask, kind: Kind) {
        let start = id.start().bits();
        let space = self.space(id.space()).expect("it was made in a space");
        let mut want = Want::default();
        let at = start + usize::from(ask.guards.0) * PAGE;
        let exact = Ask { placement: Placement::At(at), ..*ask };
        self.want_place(&mut want, space, &exact);
        assert!(want.must.is_empty(), "{id:?} was placed where it cannot be: {want:?}");
        if let Placement::Within { from, to } = ask.placement {
            let end = start + ask.total().unwrap_or(0) * PAGE;
            assert!(from <= start && end <= to, "{id:?} lies within {from:#x}..{to:#x}");
        }
        let region = Region {
            id,
            start: start / PAGE,
            pages: ask.total().unwrap_or(0),
            guards: (usize::from(ask.guards.0), usize::from(ask.guards.1)),
            rights: ask.rights,
            ceiling: self.ceiling(ask),
            cache: ask.cache,
            kind,
            owner: ask.inside,
            backing: ask.backing,
        };
        self.space_mut(id.space()).regions.push(region);
    }

    /// Fills the part `range` of a space with fresh pages.
    pub fn fill(
        &mut self,
        space: SpaceId,
        range: (usize, usize),
        (rights, cache): (Rights, CachePolicy),
        origin: Origin,
        holds: Option<[u64; 2]>,
    ) {
        for number in range.0..range.1 {
            let page =
                Page { rights, cache, cell: self.cell(holds), origin, copy: false, cow: false };
            let before = self.space_mut(space).pages.insert(number, page);
            assert!(before.is_none(), "page {number:#x} was mapped before");
        }
    }
}
