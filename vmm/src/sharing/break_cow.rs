// SPDX-License-Identifier: BSD-2-Clause
//! Breaking copy-on-write: the writer of a shared page gets a frame of its own.
//!
//! ```text
//!   first write    a fault; the page gets a new frame with the same contents
//!   last user      gets the right to write back, without a copy
//! ```

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{AllocatedFrames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::space::Space;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Breaks copy-on-write for every page of `range` that is under it.
    pub(crate) fn break_cow_in(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, .. }) = cursor.next(space) {
            if extent.cow {
                self.break_cow(space, extent.address(first))?;
                // One page at a time: the others of the extent are looked up anew.
                cursor.go_to(extent.part(first, 1).end());
            }
        }
        Ok(())
    }

    /// Gives the page at `address`, which is copy-on-write, a frame of its own with the same
    /// contents; or, if nobody else has its frame, the right to write to that. Six kernel calls and
    /// a copy (seven for what is a copied capability's); or one.
    pub(crate) fn break_cow(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let extent = space.extents().at(address);
        let extent = extent.ok_or_else(|| space.not_mapped(address.bits()))?;
        let index = extent.index_of(address);
        let piece = extent.part(index, 1);
        if self.refcounts.is_exclusive(piece.frames.first, piece.source) {
            return self.unmark_cow(space, piece);
        }
        // It was paid for when the clone was made: what is shared counts as what is its own.
        let reserve = &mut self.refill()?;
        let size_bits = self.geometry.page_bits;
        // It will be overwritten as a whole, so a dirty frame serves as it is.
        let mobility = self.mobility_at(space, address);
        let taken = self
            .alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, size_bits, 1, mobility))?;
        let frames = match taken {
            AllocatedFrames::Zeroed(clean) => clean.frames(),
            AllocatedFrames::Dirty(dirty) => dirty.frames(),
        };
        self.replace_frame(reserve, space, extent, index, frames, false)
    }
}
