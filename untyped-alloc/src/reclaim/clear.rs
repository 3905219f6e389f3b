// SPDX-License-Identifier: BSD-2-Clause
//! Clearing: dirty memory becomes clean, ahead of who needs it or because a caller says so.
//!
//! The kernel clears an untyped when it is retyped, whole. So a block is retyped into one child of
//! its own size, and the child is clean. While that call lasts, which another thread may make, the
//! block belongs to nobody: nothing else is held up, and nothing is lost if it fails.
//!
//! ```text
//!   begin_clearing   the block is no longer free; a slot and a node for the child are taken
//!   the retype       by this thread or another: the kernel clears the block
//!   end_clearing     the child is a free, clean block; or the block is free and dirty again
//! ```

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{Block, BlockState};
use crate::types::{
    Blueprint, CPtr, CapPath, Error, Invocation, KernelError, KernelResult, NodeKind, Result,
};

/// A block that is being cleared, until [`Allocator::end_clearing`]: what the retype is made with.
#[must_use]
pub struct Clearing<'p> {
    block: &'p Block<'p>,
    child: &'p Block<'p>,
    slot: CPtr,
    /// The CNode that the child's capability goes to.
    pub node: CapPath,
    /// The number of its slot in there.
    pub offset: usize,
}

impl Clearing<'_> {
    /// The capability that is retyped.
    pub fn untyped(&self) -> CPtr {
        self.block.slot()
    }

    /// The slot that the child's capability goes to.
    pub fn slot(&self) -> CPtr {
        self.slot
    }

    /// What it is retyped into: one untyped of its size.
    pub fn blueprint(&self) -> Blueprint {
        Blueprint::Untyped { size_bits: self.block.size_bits() }
    }

    /// The most bytes that the kernel clears.
    pub fn bytes(&self) -> usize {
        self.block.bytes()
    }
}

impl<'p> Allocator<'p> {
    /// How many bytes [`Allocator::clear`] would clear for 2^`bits` bytes; `None` when there is
    /// nothing to clear for it. O(log n) where no chunk is unused, and no smaller untyped is free
    /// in pieces; otherwise O(untypeds).
    pub fn next_clearing(&self, bits: u8) -> Option<usize> {
        self.dirty_block(bits).map(Block::bytes)
    }

    /// The bytes of the smallest free block of at least 2^`bits` bytes that is dirty. O(log n).
    pub fn next_dirty(&self, bits: u8) -> Option<usize> {
        self.blocks.dirty_fit(bits).map(Block::bytes)
    }

    /// The bytes of free blocks that are clean, or dirty and of at most `most` bytes. O(untypeds).
    pub fn ready_untyped_bytes(&self, most: usize) -> usize {
        let free = self.blocks.leaves().filter(|leaf| leaf.state() == BlockState::Free);
        let ready = free.filter(|leaf| !leaf.is_dirty() || leaf.bytes() <= most);
        ready.filter(|leaf| !leaf.is_device()).map(Block::bytes).sum()
    }

    /// Takes a dirty block of at least 2^`bits` bytes out of use, to be cleared: the smallest that
    /// is free, or else one that is put together of unused memory, at a kernel call for each piece.
    /// `None` when there is none. No kernel call otherwise; as [`Allocator::next_clearing`].
    ///
    /// # Errors
    /// [`Error::OutOfSlots`], [`Error::OutOfNodes`]: nothing was taken; [`Error::Kernel`].
    pub fn begin_clearing(
        &mut self,
        kernel: &mut impl Kernel,
        bits: u8,
    ) -> Result<Option<Clearing<'p>>> {
        let Some(block) = self.dirty_block(bits) else { return Ok(None) };
        let block = self.free_up(kernel, block.paddr(), block.size_bits(), usize::MAX)?;
        let slot = self.alloc_reserved_slots(1)?;
        let Some(child) = self.blocks.pool.alloc() else {
            self.slots.free(slot, 1);
            return Err(Error::OutOfNodes(NodeKind::Block));
        };
        self.blocks.mark_used(block, BlockState::Clearing);
        self.clearing.add(block.size_bits());
        let (node, offset) = self.cspace.node(slot);
        Ok(Some(Clearing { block, child, slot, node, offset }))
    }

    /// Records what came of the retype of a block that was being cleared. No kernel call.
    ///
    /// # Errors
    /// [`Error::Kernel`] when the retype was refused: the block is free, and as dirty as before.
    pub fn end_clearing(&mut self, clearing: Clearing<'p>, made: KernelResult) -> Result<()> {
        let Clearing { block, child, slot, .. } = clearing;
        self.clearing.remove(block.size_bits());
        self.blocks.mark_free(block);
        match made {
            Ok(()) => {
                self.cleared_bytes += block.bytes() as u64;
                self.blocks.split(block, block.size_bits(), block.group(), slot, &[Some(child)]);
                Ok(())
            }
            Err(error) => {
                self.blocks.pool.free(child);
                self.slots.free(slot, 1);
                Err(Error::Kernel { invocation: Invocation::UntypedRetype, error })
            }
        }
    }

    /// Clears a block of at least 2^`bits` bytes, whatever [`Allocator::limit_clearing`] says: who
    /// calls this asks for it in words. [`Allocator::next_clearing`] says before how much that is.
    /// Returns the bytes that were cleared, 0 when there was nothing to clear. One kernel call, and
    /// one for each piece of unused memory that the block is put together of.
    ///
    /// # Errors
    /// As [`Allocator::begin_clearing`] and [`Allocator::end_clearing`].
    pub fn clear(&mut self, kernel: &mut impl Kernel, bits: u8) -> Result<usize> {
        let Some(clearing) = self.begin_clearing(kernel, bits)? else { return Ok(0) };
        let bytes = clearing.bytes();
        let made = self.retype_to_clear(kernel, &clearing);
        self.end_clearing(clearing, made).map(|()| bytes)
    }

    /// The retype of a block that is being cleared, by the calling thread.
    fn retype_to_clear(&self, kernel: &mut impl Kernel, clearing: &Clearing<'p>) -> KernelResult {
        let (untyped, what) = (clearing.untyped(), clearing.blueprint());
        let retype = |kernel: &mut _| {
            Kernel::untyped_retype_to_clear(kernel, untyped, what, clearing.node, clearing.offset)
        };
        match retype(kernel) {
            // What was left in the slot is deleted, and it is done again.
            Err(KernelError::DeleteFirst) => {
                kernel.cnode_delete(self.path(clearing.slot))?;
                retype(kernel)
            }
            made => made,
        }
    }
}
