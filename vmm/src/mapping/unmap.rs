// SPDX-License-Identifier: BSD-2-Clause
//! Unmapping, and giving the memory back.

use page_tables::{PageRange, Pages};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::ids::SpaceId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Unmaps pages of one region, all of them mapped, and gives their memory back. The
    /// addresses stay with their region, whose id stays valid. One kernel call a page.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Pages, RegionOptions};
    ///
    /// let space = vmm.own_space();
    /// let heap = vmm.map(space, &RegionOptions::new(4))?;
    /// let second = heap.start().bits() + 4096;
    /// vmm.unmap(space, Pages::at(second).count(2))?;
    /// assert!(vmm.mapping_at(space, second)?.is_none());
    /// // The region is still there, and what is mapped in it anew is clear.
    /// vmm.populate(space, Pages::at(second))?;
    /// vmm.release(heap)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::OutsideRegion`], [`crate::Error::Guard`]; [`crate::Error::NotMapped`] where
    /// there is a hole; [`crate::Error::Kernel`] with how many pages were unmapped before.
    pub fn unmap(&mut self, space: SpaceId, pages: impl Into<Pages>) -> Result {
        let pages = pages.into();
        if pages.pages() == 1 {
            if let Some(done) = self.unmap_in_block(space, pages.start()) {
                return done;
            }
        }
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, pages)?;
        self.check_unpinned(space, region)?;
        if range.pages() == 1 {
            if let Ok(unmapped) = self.unmap_single(space, range) {
                return unmapped;
            }
        }
        if let Some(extent) = self.small_page_at(space, range) {
            return self.unmap_one(space, region, extent, range);
        }
        self.check_mapped(space, range)?;
        let unmapped = self.cut_large(space, range).and_then(|()| {
            // What is freed may be needed for this; only giving back may take from the reserve.
            let reserve = &mut self.refill_to_free();
            self.unmap_range(reserve, space, range)
        });
        self.finish_cut(space, range, unmapped)
    }

    /// Unmaps a small page of an extent: what [`Vmm::unmap`] does, without looking for
    /// more pages or for large ones.
    fn unmap_one(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: Extent,
        range: PageRange,
    ) -> Result {
        let page = range.start();
        let (mut extent, index) = (extent, extent.index_of(page));
        // At an end, an extent just becomes shorter.
        let at_end = extent.frames.count != 1 && (index == 0 || index + 1 == extent.frames.count);
        if !at_end && self.open_block_of(space, region, &mut extent, page) {
            if let Some(done) = self.unmap_in_block(space.id.get(), page.bits()) {
                return done;
            }
        }
        let reserve = &mut self.refill_to_free();
        let unmapped = self.unmap_part(reserve, space, extent, extent.index_of(page), 1);
        unmapped.map_err(|(error, pages)| error.after(pages))?;
        self.prune_tables(space);
        Ok(())
    }
}
