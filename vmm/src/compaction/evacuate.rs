// SPDX-License-Identifier: BSD-2-Clause
//! Evacuating: pages are moved until a block is empty.

use page_tables::VirtAddr;
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::space::Space;
use crate::types::error::Result;

/// What came of a compaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compacted {
    /// No block can be emptied.
    Nothing,
    /// A block is free.
    Gained,
    /// Pages were moved, and more are to be.
    BrokenOff,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Moves pages so that a block of at least 2^`bits` bytes becomes free; says whether one did.
    /// The block that costs the fewest frames for its size is chosen. A request that finds no
    /// memory does this by itself; a root task that is idle can do it ahead.
    ///
    /// Pages move that may ([`crate::RegionOptions::movable`]), to frames that are ready. Six
    /// kernel calls a page (up to 256 for a batch of frames, up to 1024 for a large page on IA32),
    /// and one for each piece of the block; O(extents of all spaces) besides.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] when the kernel refused a call, [`crate::Error::OutOfNodes`] or
    /// [`crate::Error::Allocator`] when there is not even book-keeping memory. Pages that were
    /// moved before are where they were moved to; nothing is lost.
    pub fn compact(&mut self, bits: u8) -> Result<bool> {
        Ok(self.compact_within(bits, &mut { usize::MAX })? == Compacted::Gained)
    }

    /// As [`Vmm::compact`], with at most `budget` pages moved, which are taken off it.
    pub(super) fn compact_within(&mut self, bits: u8, budget: &mut usize) -> Result<Compacted> {
        let known = self.compaction.is_fruitless(bits, self.alloc.supplies());
        if known || !self.alloc.has_refuge() {
            return Ok(Compacted::Nothing);
        }
        self.survey();
        let Some(evacuation) = self.alloc.begin_evacuation(bits) else {
            self.compaction.note_fruitless(bits, self.alloc.supplies());
            return Ok(Compacted::Nothing);
        };
        let moved = self.move_out(budget);
        // Whatever came of it, the block is open for use again.
        let emptied = self.alloc.end_evacuation(&mut self.kernel, evacuation);
        moved?;
        Ok(match emptied? {
            true => Compacted::Gained,
            false => Compacted::BrokenOff,
        })
    }

    /// Moves every page whose frame is being evacuated, or as many as `budget` says.
    pub(super) fn move_out(&mut self, budget: &mut usize) -> Result {
        let mut next = self.spaces.after(0);
        while let Some(space) = next {
            let mut cursor = ExtentCursor::over(self.all_of_user_space());
            while let Some(Visited { extent, .. }) = cursor.next(space) {
                // The frames of an extent came together, so they all go or all stay.
                if !self.alloc.is_evacuating(extent.frames.first) || !self.may_move(space, &extent)
                {
                    continue;
                }
                for index in 0..extent.frames.count {
                    let Some(left) = budget.checked_sub(1) else { return Ok(()) };
                    self.move_to_refuge(space, extent.address(index))?;
                    *budget = left;
                }
            }
            next = self.spaces.after(space.id.get().number());
        }
        Ok(())
    }

    /// Moves a page to a frame that is ready elsewhere.
    fn move_to_refuge(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let reserve = &mut self.refill()?;
        // Looked up again: refilling may have changed the extents of the own space.
        let extent = space.extents().at(address);
        let extent = extent.ok_or_else(|| space.not_mapped(address.bits()))?;
        let out = self.alloc.out_of_memory(self.geometry.page_bits);
        let frames = self.alloc.alloc_refuge().ok_or(out)?;
        let index = extent.index_of(address);
        self.replace_frame(reserve, space, extent, index, frames, extent.cow)?;
        self.compaction.moved_pages += 1;
        // Moved one after the other they mostly come to lie in one batch again.
        self.join_extent(space, address);
        Ok(())
    }
}
