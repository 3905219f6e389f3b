// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that touches bring, and that are made of small ones.

use std::ops::Range;

use vmm::{PageSize, Resource, SpaceId};

use super::super::answer::{Expected, Need, Outcome};
use super::super::{Origin, Pages, RegionRequest, Run, Space, TestAddress};
use crate::support::PAGE;

impl Run<'_> {
    pub(super) fn dense(&mut self, space: u8, large: u8, upper: bool) -> Outcome {
        let (address, id) = (TestAddress::Large(large), self.state.space_by(space));
        let bits = self.state.target.large_bits();
        let pages = 1 << (bits - 12);
        let request = RegionRequest::at(address, 2 * pages).lazy(1);
        self.reserve(space, &RegionRequest { size: PageSize::Auto, ..request })?;
        let start = address.bits(self.state.target) + (usize::from(upper) << bits);
        self.populate_at(id, start, pages)
    }

    /// A119: pages stay what they are, and those that can be are large ones then.
    pub(super) fn promote(&mut self, space: u8, pages: Pages) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        let expect = |run: &Self| run.for_pages((id, start, pages), |_, _| Expected::success());
        let range = vmm::Pages::at(start).count(pages);
        let size = 1usize << self.state.target.large_bits();
        let places =
            (start.next_multiple_of(size)..(start + pages * PAGE) & !(size - 1)).step_by(size);
        let fit: Vec<usize> = places.filter(|&at| self.can_be_large(id, at..at + size)).collect();
        let made = self.call(Need::pages(size / PAGE), expect, |vmm| vmm.promote(id, range))?;
        assert_eq!(made, fit.len(), "{fit:x?} were to be promoted");
        for at in fit {
            assert_eq!(self.size_at(id, at), Some(self.state.target.large_bits()), "{at:#x}");
        }
        Ok(())
    }

    /// A326: pages stay what they are, and the kernel may have none of some of them, for a while or
    /// until they are touched.
    pub(super) fn promote_further(&mut self, steps: u8) -> Outcome {
        let made = self.call(
            Need::NOTHING,
            |_| Expected::success(),
            |vmm| {
                for _ in 0..steps {
                    if !vmm.promote_further(64)? {
                        break;
                    }
                }
                Ok(())
            },
        );
        let places: Vec<_> = self.state.spaces.iter().flat_map(dense_regions).collect();
        places.into_iter().for_each(|(id, pages)| self.may_be_detached(id, pages));
        made
    }

    /// A369: so many pages of memory on demand that held nothing but zeros were given back.
    pub(in super::super) fn follow_reclaimed(&mut self, count: u64) {
        let mut gone = 0;
        let places: Vec<_> = self.state.spaces.iter().flat_map(dense_regions).collect();
        for (id, range) in places {
            let space = self.state.space(id).expect("it is there");
            let pages: Vec<_> =
                space.pages.range(range).map(|(&at, page)| (at, page.cell)).collect();
            for (at, cell) in pages {
                if self.host.vmm.mapping_at(id, at).expect("a space").is_none() {
                    assert!(self.state.may_be_zeros(cell), "{at:#x} of {id:?} is gone");
                    self.state.space_mut(id).pages.remove(&at);
                    gone += 1;
                }
            }
        }
        assert_eq!(gone, count, "pages that were given back");
    }

    /// Whether small pages in all of a place are alike, and nobody else's.
    fn can_be_large(&self, id: SpaceId, place: Range<usize>) -> bool {
        let Some(space) = self.state.space(id) else { return false };
        let Some(first) = space.pages.get(&place.start) else { return false };
        let alike = |at: usize| {
            space.pages.get(&at).is_some_and(|page| {
                let own = page.origin == Origin::Owned && !page.copy && !page.cow;
                let like = (page.rights, page.cache) == (first.rights, first.cache);
                let small = self.host.vmm.mapping_at(id, at).ok().flatten();
                let small = small.is_some_and(|told| told.size_bits == 12);
                own && like && self.state.users(page.cell) == 1 && small
            })
        };
        place.step_by(PAGE).all(alike)
    }

    /// A118: the place of the large page that a touch of `at` has brought, if it is one.
    pub(super) fn large_touched(&self, id: SpaceId, at: usize) -> Option<Range<usize>> {
        let bits = self.size_at(id, at).filter(|&bits| bits > 12)?;
        let (size, space) = (1usize << bits, self.state.space(id).expect("it was touched"));
        let region = space.region_at(at).expect("it was touched");
        let start = at & !(size - 1);
        let within = |place: &Range<usize>| {
            let usable = region.usable();
            usable.start <= place.start && place.end <= usable.end
        };
        let whole = |place: &Range<usize>| within(place) && has_all(space, place);
        let place = start..start + size;
        assert!(region.large_pages && within(&place), "{place:x?} is no place for a large page");
        assert!(space.pages.range(place.clone()).next().is_none(), "{place:x?} had pages");
        let beside = [
            start.checked_sub(size).map(|before| before..start),
            Some(place.end..place.end + size),
        ];
        assert!(beside.iter().flatten().any(whole), "nothing is whole beside {place:x?}");
        assert!(self.beyond(space, Resource::Frames, size / PAGE).is_none(), "beyond the quota");
        Some(place)
    }
}

/// The pages of a space in which large pages may be made in the background.
fn dense_regions(space: &Space) -> impl Iterator<Item = (SpaceId, Range<usize>)> + '_ {
    let regions = space.regions.values().filter(|region| region.large_pages);
    regions.map(|region| (space.id, region.usable()))
}

fn has_all(space: &Space, place: &Range<usize>) -> bool {
    place.clone().step_by(PAGE).all(|at| space.pages.contains_key(&at))
}
