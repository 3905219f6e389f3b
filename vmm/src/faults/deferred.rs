// SPDX-License-Identifier: BSD-2-Clause
//! The first touch of a page of a clone that was made on demand.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::region::Backing;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Gives a page its mapping that is recorded and was touched; if it was deferred, then others
    /// of its block that are deferred, too, where the region has a touch bring so many.
    pub(super) fn map_recorded_around(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        address: VirtAddr,
    ) -> Result {
        let deferred = self.deferred_at(space, address).is_some();
        self.map_recorded(space, address)?;
        let Backing::OnDemand { around } = region.spec().backing else { return Ok(()) };
        if !deferred || around == 1 {
            return Ok(());
        }
        let block = self.block_around(region, address, usize::from(around));
        let pages = block.map_or(0, PageRange::pages);
        for page in (0..pages).filter_map(|index| block?.part(index, 1)) {
            let others = self.deferred_at(space, page.start()).is_some();
            // What the kernel refuses now comes with a touch of its own.
            if others && self.map_recorded(space, page.start()).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The page at an address, if it is deferred.
    fn deferred_at(&self, space: &Space<'p>, address: VirtAddr) -> Option<Extent> {
        let extent = space.extents().at(address)?;
        let page = extent.part(extent.index_of(address), 1);
        self.is_deferred(&page).then_some(page)
    }
}
