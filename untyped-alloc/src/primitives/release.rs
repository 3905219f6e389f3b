// SPDX-License-Identifier: BSD-2-Clause
//! Releasing a chunk: its objects become a free block.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{BlockState, Chunk};
use crate::types::{Error, Invocation, Result};

impl<'p> Allocator<'p> {
    /// Destroys all objects of a chunk with one call and makes its block and slots free. Two calls
    /// more for each frame that has an alias.
    pub(crate) fn release_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        chunk: &'p Chunk<'p>,
    ) -> Result<()> {
        let Some(block) = chunk.block() else {
            return Ok(());
        };
        debug_assert_eq!(block.state(), BlockState::Used(chunk));
        self.remove_aliases(kernel, chunk)?;
        kernel
            .cnode_revoke(self.path(block.slot()))
            .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
        // No object is left and their slots are empty, retired ones included.
        self.live.sub(&self.sizes, chunk.blueprint(), chunk.live());
        self.slots.free(chunk.first(), chunk.count());
        if chunk.is_held() {
            let held = self.held_tables.iter_mut().chain([&mut self.held_frames]);
            held.filter(|held| **held == Some(chunk)).for_each(|held| *held = None);
        }
        self.chunks.remove(chunk);
        self.blocks.mark_free(block);
        if block.is_device() {
            // The objects are gone whatever comes of this; what stays split is coalesced when a
            // request is for more of it.
            let _ = self.coalesce_device(kernel, block);
        }
        Ok(())
    }
}
