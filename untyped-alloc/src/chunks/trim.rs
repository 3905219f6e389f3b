// SPDX-License-Identifier: BSD-2-Clause
//! Giving back what is kept for speed.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::types::Result;

impl Allocator<'_> {
    /// Gives back everything that is kept for speed: aliases of frames, unused chunks, split blocks
    /// whose children are all free, CNodes without a slot in use, objects in quarantine. Costs a
    /// kernel call for each (two for an alias), and later the clearing of what they were; so no
    /// block is coalesced that is larger than [`Allocator::limit_clearing`] allows to be cleared.
    ///
    /// # Errors
    /// [`Error::Kernel`](crate::Error::Kernel) if the kernel refused a call; what is left can be
    /// tried again.
    pub fn trim(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        let mut outcome = self.remove_all_aliases(kernel);
        let mut next = self.chunks.unused();
        while let Some(chunk) = next {
            // Found before the chunk goes: its place in the tree goes with it.
            next = self.chunks.unused_after(chunk);
            outcome = outcome.and(self.release_chunk(kernel, chunk));
        }
        // Split blocks hold slots of CNodes that could go, and those hold blocks that are split.
        while outcome.is_ok() {
            outcome = self.coalesce_all(kernel);
            if self.slots.unused().is_none() {
                break;
            }
            outcome = outcome.and_then(|()| self.shrink(kernel));
        }
        outcome?;
        self.restore_root(kernel)?;
        self.coalesce_all(kernel)
    }

    fn coalesce_all(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        let next =
            |alloc: &Self| alloc.coalescible(0).or_else(|| alloc.blocks.coalescible_device());
        while let Some(block) = next(self) {
            self.coalesce(kernel, block)?;
        }
        Ok(())
    }
}
