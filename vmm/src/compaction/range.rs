// SPDX-License-Identifier: BSD-2-Clause
//! Moving pages out of a range of physical memory.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Moves all pages elsewhere that lie in `bytes` of RAM from `paddr` on; says whether nothing is
    /// in use there any more. Where something lies there that cannot move, nothing is done. At most
    /// as many pages move as [`Vmm::limit_compaction`] allows: then the same request goes on.
    pub(crate) fn empty_range(&mut self, paddr: usize, bytes: usize) -> Result<bool> {
        self.survey();
        let Some(live) = self.alloc.begin_emptying(paddr, bytes) else { return Ok(false) };
        let moved = self.move_out_of_range(paddr, bytes, live);
        // Whatever came of it, the memory is open for use again.
        self.alloc.end_emptying(paddr, bytes);
        moved
    }

    fn move_out_of_range(&mut self, paddr: usize, bytes: usize, live: usize) -> Result<bool> {
        let mut budget = self.compaction.most_pages;
        let count = live.min(budget);
        loop {
            let _reserve = self.refill()?;
            if self.alloc.make_refuges(&mut self.kernel, paddr, bytes, count)? {
                break;
            }
        }
        self.move_out(&mut budget)?;
        Ok(count == live)
    }
}
