// SPDX-License-Identifier: BSD-2-Clause
//! What the numbers of a request stand for.

use vmm::{Kind, RegionId, SpaceId};

use super::parts::Region;
use super::request::Pages;
use super::state::State;
use crate::support::PAGE;

/// Numbers from here on choose among everything there ever was, so that stale ids are used too.
pub const STALE: u8 = 240;

/// Chooses by number.
pub fn pick<T: Copy>(from: &[T], which: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(which) % from.len()])
}

impl State {
    /// A space by number.
    pub fn space_by(&self, which: u8) -> SpaceId {
        match which {
            STALE.. => self.all_spaces[usize::from(which - STALE) % self.all_spaces.len()],
            _ => self.spaces[usize::from(which) % self.spaces.len()].id,
        }
    }

    /// A region by number: mostly of plain memory, or another of a caller's, or any, or a stale
    /// one.
    pub fn region_by(&self, which: u8) -> RegionId {
        let spaces = || self.spaces.iter();
        let all = || spaces().flat_map(|space| space.regions.values());
        let ids = |wanted: &dyn Fn(&Region) -> bool| -> Vec<RegionId> {
            all().filter(|region| wanted(region)).map(|region| region.id).collect()
        };
        let reservations = spaces().flat_map(|space| &space.reservations).map(|it| it.id);
        let chosen = match which {
            STALE.. if !self.dead.is_empty() => pick(&self.dead, which),
            220.. => pick(&ids(&|_| true), which),
            200.. => {
                let mut callers = ids(&|region| !region.is_the_managers());
                callers.extend(reservations);
                pick(&callers, which)
            }
            _ => pick(&ids(&|region| region.kind == Kind::Memory), which),
        };
        chosen.or(pick(&ids(&|_| true), which)).expect("there is always the null page")
    }

    /// What a request goes inside by number: one of the reservations, a region, or a dead id.
    pub fn inside_by(&self, which: u8) -> Option<RegionId> {
        let spaces = || self.spaces.iter();
        let mut ids: Vec<RegionId> =
            spaces().flat_map(|space| &space.reservations).map(|found| found.id).collect();
        ids.extend(self.dead.last());
        let regions = spaces().flat_map(|space| space.regions.values());
        ids.extend(regions.map(|region| region.id).next_back());
        pick(&ids, which)
    }

    /// The space, the start and the number of the pages that are meant.
    pub fn pages_by(&self, space: u8, pages: Pages) -> (SpaceId, usize, usize) {
        let id = self.space_by(space);
        let regions = |wanted: &dyn Fn(&Region) -> bool| -> Vec<Region> {
            let space = self.space(id);
            let all = space.into_iter().flat_map(|space| space.regions.values());
            all.filter(|region| wanted(region)).copied().collect()
        };
        match pages {
            Pages::At { address, pages } => (id, address.bits(self.target), pages),
            Pages::Of { region, page, pages } => {
                let memory = regions(&|region| region.kind == Kind::Memory);
                let Some(region) = pick(&memory, region) else { return (id, PAGE, pages) };
                // Sometimes from a guard on, sometimes one page too many.
                let page = usize::from(page) % region.pages;
                let most = region.pages - page + usize::from(page == 3);
                (id, region.start + page * PAGE, pages.min(most))
            }
            Pages::Usable { region, page, pages } => {
                let all = self.spaces.iter().flat_map(|space| space.regions.values());
                let memory: Vec<Region> =
                    all.filter(|region| region.kind == Kind::Memory).copied().collect();
                let Some(region) = pick(&memory, region) else { return (id, PAGE, pages) };
                let usable = region.usable();
                let count = usable.len() / PAGE;
                let page = usize::from(page) % count;
                (region.id.space(), usable.start + page * PAGE, pages.min(count - page))
            }
            Pages::From { region, page, pages } => {
                let callers = regions(&|region| !region.is_the_managers());
                let Some(region) = pick(&callers, region) else { return (id, PAGE, pages) };
                let page = usize::from(page) % (region.pages + 1);
                (id, region.usable().start + page * PAGE, pages)
            }
        }
    }
}
