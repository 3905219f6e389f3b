//! What is mapped where, and what must be in it: an account that is independent of the manager's.
//!
//! Two pages that show the same frame hold the same [`Stamp`]; a copy-on-write clone has stamps of its
//! own from the start, whatever the manager shares beneath. So a page is shared exactly if its stamp
//! has more than one holder.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use roottask::{check, Outcome};
use vmm::{RegionId, Rights, SpaceId};

use crate::engine::Stress;
use crate::measure::Kind;
use crate::phases::Host;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// What was written to a frame last; 0 when nothing was since it came.
pub type Stamp = Rc<Cell<u32>>;

/// A page that is mapped.
#[derive(Clone)]
pub struct Page {
    /// What is in it.
    pub stamp: Stamp,
    /// Its rights.
    pub rights: Rights,
}

impl Page {
    /// A clear page.
    pub fn clear(rights: Rights) -> Page {
        Page { stamp: Rc::new(Cell::new(0)), rights }
    }

    /// Whether another page shows the same frame.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.stamp) > 1
    }
}

/// A region of plain memory.
pub struct Area {
    /// Its id.
    pub id: RegionId,
    /// Its first address that is no guard, in bytes.
    pub first: usize,
    /// The rights its fresh pages get.
    pub rights: Rights,
    /// Whether it is filled by faults.
    pub on_demand: bool,
    /// What is mapped in it.
    pub pages: Vec<Option<Page>>,
}

impl Area {
    /// The space it lies in.
    pub fn space(&self) -> SpaceId {
        self.id.space()
    }

    /// The address of a page, in bytes.
    pub fn address(&self, page: usize) -> usize {
        self.first + page * PAGE
    }

    /// Whether any page of it is shared with another area.
    pub fn is_shared(&self) -> bool {
        self.pages.iter().flatten().any(Page::is_shared)
    }

    /// The longest run of pages around `page` that are all mapped, or all not, as that one is.
    pub fn run_around(&self, page: usize) -> Range<usize> {
        let alike = |other: &Option<Page>| other.is_some() == self.pages[page].is_some();
        let before = self.pages[..page].iter().rev().take_while(|other| alike(other)).count();
        let after = self.pages[page..].iter().take_while(|other| alike(other)).count();
        page - before..page + after
    }
}

/// What lives from one phase to the next.
pub struct World {
    /// All spaces, the manager's own first.
    pub spaces: Vec<SpaceId>,
    /// All areas, in any order.
    pub areas: Vec<Area>,
    /// The most pages that areas may have mapped together.
    pub most_pages: usize,
    /// The service, which has its memory for good.
    pub host: Option<Host>,
}

/// The most areas there are at a time.
pub const MOST_AREAS: usize = 128;
/// The most spaces there are at a time.
pub const MOST_SPACES: usize = 12;

impl World {
    /// Nothing but the manager's own space, on a machine with as much memory.
    pub fn new(own: SpaceId, free_bytes: usize) -> World {
        let mut spaces = Vec::with_capacity(MOST_SPACES);
        spaces.push(own);
        let most_pages = (free_bytes / PAGE / 4).min(4096);
        World { spaces, areas: Vec::with_capacity(2 * MOST_AREAS), most_pages, host: None }
    }

    /// The manager's own space.
    pub fn own(&self) -> SpaceId {
        self.spaces[0]
    }

    /// Pages of areas.
    pub fn pages(&self) -> usize {
        self.areas.iter().map(|area| area.pages.iter().flatten().count()).sum()
    }

    /// Whether there is room for an area of as many pages.
    pub fn has_room(&self, pages: usize) -> bool {
        self.areas.len() < MOST_AREAS && self.pages() + pages <= self.most_pages
    }
}

impl Stress {
    /// One of the spaces, the manager's own as likely as all others together.
    pub fn any_space(&mut self) -> SpaceId {
        match self.random.once_in(2) {
            true => self.world.own(),
            false => self.world.spaces[self.random.below(self.world.spaces.len())],
        }
    }

    /// A space that is not the manager's own, if there is one.
    pub fn foreign_space(&mut self) -> Option<SpaceId> {
        self.random.of(&self.world.spaces[1..])
    }

    /// The number of an area, if there is one.
    pub fn any_area(&mut self) -> Option<usize> {
        let areas = self.world.areas.len();
        (areas != 0).then(|| self.random.below(areas))
    }

    /// A random part of the pages of an area that are all mapped, or all not.
    pub fn part_of(&mut self, area: usize, mapped: bool) -> Option<Range<usize>> {
        let pages = self.world.areas[area].pages.len();
        let page = self.random.below(pages);
        if self.world.areas[area].pages[page].is_some() != mapped {
            return None;
        }
        let run = self.world.areas[area].run_around(page);
        let first = self.random.within(run.start, page);
        let last = self.random.within(page, run.end - 1);
        Some(first..last + 1)
    }

    /// Releases an area.
    pub fn release_area(&mut self, area: usize) -> Outcome {
        let area = self.world.areas.swap_remove(area);
        self.must(Kind::Release, |vmm| vmm.release(area.id))
    }

    /// Destroys a space, with all that is in it.
    pub fn destroy_space(&mut self, space: SpaceId) -> Outcome {
        self.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        self.world.spaces.retain(|&other| other != space);
        self.world.areas.retain(|area| area.space() != space);
        Ok(())
    }

    /// Gives everything back, having checked what is in it.
    pub fn drain(&mut self) -> Outcome {
        while !self.world.areas.is_empty() {
            let last = self.world.areas.len() - 1;
            self.check_area(last)?;
            self.release_area(last)?;
        }
        while let [_, .., last] = self.world.spaces[..] {
            self.destroy_space(last)?;
        }
        check!(self.world.spaces.len() == 1);
        self.vmm.validate()?;
        Ok(())
    }
}
