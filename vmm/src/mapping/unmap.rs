// SPDX-License-Identifier: BSD-2-Clause
//! Unmapping, and giving the memory back.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::SpaceId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Unmaps `pages` pages from the address `start` (bytes) on and gives their memory back. The
    /// addresses stay with their region, whose id stays valid. One kernel call a page.
    ///
    /// # Errors
    /// [`crate::Error::OutsideRegion`], [`crate::Error::Guard`]; [`crate::Error::NotMapped`] where
    /// there is a hole; [`crate::Error::Kernel`] with how many pages were unmapped before.
    pub fn unmap(&mut self, space: SpaceId, start: usize, pages: usize) -> Result {
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, start, pages)?;
        self.check_unpinned(space, region)?;
        self.check_mapped(space, range)?;
        self.cut_large(space, range)?;
        // What is freed may be needed for this; only giving back may take from the reserve.
        let reserve = &mut self.refill_to_free();
        self.unmap_range(reserve, space, range)
    }
}
