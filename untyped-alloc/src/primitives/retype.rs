// SPDX-License-Identifier: BSD-2-Clause
//! Retyping: a free block becomes smaller blocks or the objects of a chunk.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Block, BlockState, Chunk, Group, NewChunk, MAX_SPLIT_BITS};
use crate::types::{Blueprint, CPtr, Error, Invocation, KernelError, Mobility, NodeKind, Result};

impl<'p> Allocator<'p> {
    /// Makes a chunk whose capabilities go to the slots from `first` on: one retype, besides what
    /// splitting down to its block of 2^`bits` bytes costs. Frees the slots when it fails.
    pub(crate) fn make_chunk_at(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
        bits: u8,
        first: CPtr,
    ) -> Result<&'p Chunk<'p>> {
        let made = match self.split_best_fit(kernel, bits, plan.mobility) {
            Ok(block) => self.retype_into_chunk(kernel, block, plan, first),
            Err(error) => Err(error),
        };
        if made.is_err() {
            // No capability was made. Blocks that were split on the way stay split: they are free,
            // and coalesced when that pays.
            self.slots.free(first, plan.count);
        }
        made
    }

    /// Retypes the whole of a free block into a chunk whose capabilities go to the slots from
    /// `first` on.
    pub(crate) fn retype_into_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        plan: ChunkPlan,
        first: CPtr,
    ) -> Result<&'p Chunk<'p>> {
        // The node first, so that nothing can fail once the objects are there.
        let chunk = self.chunks.pool.alloc().ok_or(Error::OutOfNodes(NodeKind::Chunk))?;
        let ChunkPlan { blueprint, count, recycles, .. } = plan;
        if let Err(error) = self.retype(kernel, block, blueprint, first, count) {
            self.chunks.pool.free(chunk);
            return Err(error);
        }
        let serial = self.next_serial();
        self.blocks.mark_used(block, BlockState::Used(chunk));
        self.chunks.insert(chunk, NewChunk { block, blueprint, recycles, first, count, serial });
        Ok(chunk)
    }

    fn retype(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        blueprint: Blueprint,
        first: CPtr,
        count: usize,
    ) -> Result<()> {
        if !self.may_begin(block) {
            return Err(Error::NeedsClearing { bytes: block.bytes() });
        }
        self.retype_on(kernel, block, blueprint, first, count)?;
        if block.is_dirty() && !block.is_device() {
            self.cleared_bytes += block.bytes() as u64;
        }
        Ok(())
    }

    /// Retypes what is left of a block behind the objects that were made of it before.
    fn retype_on(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        blueprint: Blueprint,
        first: CPtr,
        count: usize,
    ) -> Result<()> {
        let (node, offset) = self.cspace.node(first);
        let mut made = kernel.untyped_retype(block.slot(), blueprint, node, offset, count);
        if made == Err(KernelError::DeleteFirst) {
            self.empty_slots(kernel, first, count)?;
            made = kernel.untyped_retype(block.slot(), blueprint, node, offset, count);
        }
        made.map_err(|error| Error::Kernel { invocation: Invocation::UntypedRetype, error })
    }

    /// A free block of exactly 2^`bits` bytes, split off the best fit.
    fn split_best_fit(
        &mut self,
        kernel: &mut impl Kernel,
        bits: u8,
        mobility: Mobility,
    ) -> Result<&'p Block<'p>> {
        let fit = self.fit(bits, mobility).ok_or_else(|| self.out_of_memory(bits))?;
        let paddr = fit.paddr();
        self.split_down(kernel, fit, paddr, bits, mobility)
    }

    /// Splits a free block until there is a free one of 2^`bits` bytes that covers `paddr`: one
    /// kernel call for each two bits. What is split off is for objects of this mobility.
    pub(crate) fn split_down(
        &mut self,
        kernel: &mut impl Kernel,
        mut block: &'p Block<'p>,
        paddr: usize,
        bits: u8,
        mobility: Mobility,
    ) -> Result<&'p Block<'p>> {
        while block.size_bits() > bits {
            let child_bits = self.child_bits(block.size_bits(), bits);
            self.split(kernel, block, child_bits, Group::For(mobility))?;
            block = self.blocks.leaf_at(paddr).ok_or(Error::NoUntypedAt(paddr))?;
        }
        Ok(block)
    }

    /// The size of what a block is split into on the way down to 2^`bits` bytes. The size of a
    /// large page is not skipped, or what stays would keep two of them from coming back; unless
    /// half of one is wanted, which is a batch where it pays to have few calls.
    fn child_bits(&self, block_bits: u8, bits: u8) -> u8 {
        let large = self.sizes.frame_bits[1];
        let lowest = if block_bits > large && bits + 1 != large { bits.max(large) } else { bits };
        lowest.max(block_bits.saturating_sub(MAX_SPLIT_BITS))
    }

    fn split(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        child_bits: u8,
        group: Group,
    ) -> Result<()> {
        // Slots and nodes first, so that nothing can fail once the children are there.
        let count = 1usize << (block.size_bits() - child_bits);
        let first = match self.alloc_reserved_slots(count) {
            Err(Error::OutOfSlots { .. }) => {
                return self.split_scattered(kernel, block, child_bits, group)
            }
            taken => taken?,
        };
        let mut children = [None; 1 << MAX_SPLIT_BITS];
        for child in &mut children[..count] {
            *child = self.blocks.pool.alloc();
        }
        // The pool gave a node for the last child only if it gave one for each.
        let split = match children[count - 1] {
            None => Err(Error::OutOfNodes(NodeKind::Block)),
            Some(_) => {
                let blueprint = Blueprint::Untyped { size_bits: child_bits };
                self.retype(kernel, block, blueprint, first, count)
            }
        };
        match split {
            Ok(()) => self.blocks.split(block, child_bits, group, first, &children[..count]),
            Err(_) => {
                // The block is as it was: its slots and nodes go back.
                children.into_iter().flatten().for_each(|child| self.blocks.pool.free(child));
                self.slots.free(first, count);
            }
        }
        split
    }
    /// As [`Allocator::split`], where there are slots but none beside another: one retype for each
    /// child. The kernel makes each behind those that were made before.
    #[cold]
    fn split_scattered(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        child_bits: u8,
        group: Group,
    ) -> Result<()> {
        let count = 1usize << (block.size_bits() - child_bits);
        let mut slots = [CPtr::NULL; 1 << MAX_SPLIT_BITS];
        let mut children = [None; 1 << MAX_SPLIT_BITS];
        let mut outcome = Ok(());
        let mut taken = 0;
        while taken < count && outcome.is_ok() {
            match self.alloc_reserved_slots(1) {
                Ok(slot) => {
                    (slots[taken], children[taken]) = (slot, self.blocks.pool.alloc());
                    if children[taken].is_none() {
                        outcome = Err(Error::OutOfNodes(NodeKind::Block));
                    }
                    taken += 1;
                }
                Err(error) => outcome = Err(error),
            }
        }
        let (blueprint, mut made) = (Blueprint::Untyped { size_bits: child_bits }, 0);
        while made < count && outcome.is_ok() {
            outcome = match made {
                0 => self.retype(kernel, block, blueprint, slots[0], 1),
                _ => self.retype_on(kernel, block, blueprint, slots[made], 1),
            };
            made += usize::from(outcome.is_ok());
        }
        if made != 0 && made < count && kernel.cnode_revoke(self.path(block.slot())).is_ok() {
            // The children are gone. What was used of the block is cleared by its next retype.
            self.blocks.mark_used(block, BlockState::Split { child_bits });
            self.blocks.mark_free(block);
            made = 0;
        }
        // A block whose children were neither all made nor taken back has those that it has: they
        // are free, and it is whole again when it is coalesced.
        if made != 0 {
            self.blocks.split_scattered(block, child_bits, group, &slots, &children[..made]);
        }
        for index in made..taken {
            children[index].into_iter().for_each(|child| self.blocks.pool.free(child));
            self.slots.free(slots[index], 1);
        }
        outcome
    }
}
