// SPDX-License-Identifier: BSD-2-Clause
//! All areas and spaces that there are: an account that is independent of the manager's.

use alloc::vec::Vec;

use vmm::SpaceId;

use super::area::{Area, PAGE};
use super::limits::{MAX_AREAS, MAX_SPACES};

/// What lives from one phase to the next.
pub struct Expected {
    /// All spaces, the manager's own first.
    pub spaces: Vec<SpaceId>,
    /// All areas, in any order.
    pub areas: Vec<Area>,
    /// The most pages that areas may have mapped together.
    pub max_pages: usize,
}

impl Expected {
    /// Nothing but the manager's own space, on a machine with as much memory.
    pub fn new(own: SpaceId, free_bytes: usize) -> Expected {
        let mut spaces = Vec::with_capacity(MAX_SPACES);
        spaces.push(own);
        let max_pages = (free_bytes / PAGE / 4).min(4096);
        Expected { spaces, areas: Vec::with_capacity(2 * MAX_AREAS), max_pages }
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
        self.areas.len() < MAX_AREAS && self.pages() + pages <= self.max_pages
    }
}
