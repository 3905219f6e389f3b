// SPDX-License-Identifier: BSD-2-Clause
//! Memory on demand that is touched densely: it goes on in large pages.
//!
//! ```text
//!   a region on demand, in large pages where they fit
//!   ┊ 1024 small pages, all touched ┊ a touch here brings a large page ┊ ...
//! ```
//!
//! Whether all of a large page would be used is not known before it is; that all of the one beside
//! it was is the best sign there is. So no page has to be copied for it, as it would to make a
//! large page of small ones that are there ([`crate::Vmm::promote`]).

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::options::PageSize;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a large page around an address of a region, where nothing is mapped, if all of the
    /// large page before or behind it is there, and memory for it is free. Says whether it did;
    /// where it did not, all is as it was.
    #[cold]
    pub(super) fn map_large_touched(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        address: VirtAddr,
    ) -> bool {
        let Some(bits) = self.geometry.larger_frame(self.geometry.page_bits) else { return false };
        let Some(usable) = self.usable(region) else { return false };
        let within = |start: usize| self.large_place_in(usable, start, bits);
        let start = address.align_down(bits).bits();
        let Some(place) = within(start) else { return false };
        let before = start.checked_sub(1 << bits).and_then(within);
        let beside = [before, within(place.end())];
        let whole = |beside: &PageRange| self.is_whole(space, beside.start(), bits);
        let pays = self.is_vacant(space, place.start(), bits)
            && beside.iter().flatten().any(whole)
            && self.alloc.may_have_frames(bits);
        let mapped = pays && self.commit(space, region, place, PageSize::Large { bits }).is_ok();
        if mapped {
            self.expect_reclaim();
        }
        mapped
    }

    /// Whether all pages of the large one that starts there are mapped, in whatever size.
    fn is_whole(&self, space: &Space<'p>, start: VirtAddr, bits: u8) -> bool {
        let deepest = self.geometry.levels.len() as u8 - 1;
        match space.shadow.borrow().find(&self.geometry, deepest, start) {
            Some(table) => table.used() >> (bits - self.geometry.page_bits) != 0,
            None => space.extents().at(start).is_some(),
        }
    }
}
