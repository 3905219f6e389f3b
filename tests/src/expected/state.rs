// SPDX-License-Identifier: BSD-2-Clause
//! The state as it ought to be: who owns which page, with which rights and contents. Plain maps,
//! and loops over them: slow, plain, and independent of how the manager does it.

use std::collections::HashMap;
use std::ops::Range;

use untyped_alloc::Blueprint;
use vmm::{Kind, RegionId, SpaceId};

use super::parts::{Buffer, Cell, Contents, Held, Origin, Page, Region, Space, Thing, ThreadParts};
use crate::support::{PAGE, Target};

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

    /// Whether a memory holds nothing but zeros, as far as is known.
    pub fn may_be_zeros(&self, cell: Cell) -> bool {
        matches!(self.cells[cell], Contents::Filled(0) | Contents::Unknown)
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
            let cell = self.cell(holds);
            let (copy, cow, deferred) = (false, false, false);
            let page = Page { rights, cache, cell, origin, copy, cow, deferred };
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
            (page.cell, page.copy, page.deferred) = (own, false, false);
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
    pub fn restore_write_access(&mut self, space: SpaceId, range: Range<usize>) {
        let users = self.all_users();
        let pages = self.space_mut(space).pages.range_mut(range);
        pages.filter(|(_, page)| users[&page.cell] == 1).for_each(|(_, page)| page.cow = false);
    }

    /// Forgets a region with its pages, or a reservation.
    pub fn remove(&mut self, id: RegionId) {
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

    /// Has a region's pager count its pages from this number on.
    pub fn set_first_page(&mut self, region: &Region, first_page: usize) {
        let regions = &mut self.space_mut(region.id.space()).regions;
        regions.get_mut(&region.start).expect("it was entered").first_page = first_page;
    }

    /// Whether any page shows a frame of this thing.
    pub fn is_mapped(&self, thing: usize) -> bool {
        let mut pages = self.spaces.iter().flat_map(|space| space.pages.values());
        pages.any(|page| page.origin == Origin::Objects(thing))
    }
}
