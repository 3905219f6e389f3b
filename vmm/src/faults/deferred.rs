// SPDX-License-Identifier: BSD-2-Clause
//! The first touch of a page that is recorded and was left to it: of a clone that was made on
//! demand, or below a page table that was detached.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::region::Backing;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Gives a page its mapping that is recorded and was touched, `present` or not. If it was
    /// deferred, or its page table detached, then others of its block, too, where the region has a
    /// touch bring so many.
    pub(super) fn map_recorded_around(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        address: VirtAddr,
        present: bool,
    ) -> Result {
        let deferred = self.is_deferred_at(space, address);
        let detached = space.detached.get() && !present;
        self.map_recorded(space, address)?;
        let Backing::OnDemand { around } = region.spec().backing else { return Ok(()) };
        if !(deferred || detached) || around == 1 {
            return Ok(());
        }
        let block = self.block_around(region, address, usize::from(around));
        let pages = block.map_or(0, PageRange::pages);
        for page in (0..pages).filter_map(|index| block?.part(index, 1)) {
            let other = page.start() != address.align_down(self.geometry.page_bits);
            let absent = detached || self.is_deferred_at(space, page.start());
            // What the kernel refuses now comes with a touch of its own.
            if other && absent && self.map_recorded(space, page.start()).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is a page at an address that is deferred.
    fn is_deferred_at(&self, space: &Space<'p>, address: VirtAddr) -> bool {
        let extent = space.extents().at(address);
        extent.is_some_and(|extent| self.is_deferred(&extent.part(extent.index_of(address), 1)))
    }
}
