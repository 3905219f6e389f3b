// SPDX-License-Identifier: BSD-2-Clause
//! Coalescing: the free children of a block become that block again.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{Block, MAX_SPLIT_BITS};
use crate::types::{CPtr, Error, Invocation, Result};

impl<'p> Allocator<'p> {
    /// Destroys the free children of a coalescible block. One kernel call.
    pub(crate) fn coalesce(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
    ) -> Result<()> {
        kernel
            .cnode_revoke(self.path(block.slot()))
            .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
        // The children's slots are empty now.
        let mut slots = [CPtr::NULL; 1 << MAX_SPLIT_BITS];
        let mut there = 0;
        for slot in self.blocks.child_slots(block) {
            slots[there] = slot;
            there += 1;
        }
        let (first, count) = self.blocks.coalesce(block);
        if (0..count).all(|index| slots[index] == first.offset(index)) {
            self.slots.free(first, count);
        } else {
            for &slot in &slots[..there] {
                self.slots.free(slot, 1);
            }
        }
        Ok(())
    }

    /// Coalesces device memory at once: it is never cleared, so nothing is gained by waiting, and
    /// the next request may be for a larger range of the same registers.
    pub(crate) fn coalesce_device(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
    ) -> Result<()> {
        let mut parent = block.parent();
        while let Some(block) = parent.filter(|parent| parent.busy_children() == 0) {
            self.coalesce(kernel, block)?;
            parent = block.parent();
        }
        Ok(())
    }
}
