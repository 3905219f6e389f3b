//! Getting memory back: releasing unused chunks, uniting buddies. Only when it pays: both are
//! kernel calls, and what they free must be cleared before it is used again.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::Chunk;
use crate::state::{Block, BlockState};
use crate::types::Invocation;
use crate::types::{Error, Result};

impl<'p> Allocator<'p> {
    /// A new chunk, reclaiming memory until there is a block for it.
    pub(crate) fn obtain_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
    ) -> Result<&'p Chunk<'p>> {
        let bits = self.chunk_bits(plan.blueprint, plan.count)?;
        loop {
            match self.make_chunk(kernel, plan) {
                Err(Error::OutOfMemory { size_bits }) => {
                    if !self.reclaim(kernel, bits.max(size_bits))? {
                        return Err(Error::OutOfMemory { size_bits });
                    }
                }
                made => return made,
            }
        }
    }

    /// A new chunk of as many objects as `plan` says, or of half, a quarter … as many when there is
    /// no block for more, reclaiming only when there is none for a single object.
    pub(crate) fn obtain_largest_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
    ) -> Result<&'p Chunk<'p>> {
        let mut count = plan.count;
        while count > 1 {
            let bits = self.chunk_bits(plan.blueprint, count)?;
            let fits = self.blocks.best_fit(bits).is_some();
            match fits.then(|| self.make_chunk(kernel, ChunkPlan { count, ..plan })) {
                None | Some(Err(Error::OutOfMemory { .. } | Error::OutOfSlots(_))) => count /= 2,
                Some(made) => return made,
            }
        }
        self.obtain_chunk(kernel, ChunkPlan { count: 1, ..plan })
    }

    /// One step towards a free block of 2^`bits` bytes; false when there is nothing left to do.
    /// One kernel call.
    fn reclaim(&mut self, kernel: &mut impl Kernel, bits: u8) -> Result<bool> {
        let idle = self.blocks.coalescible_for(bits);
        if let Some(block) = idle.filter(|block| block.size_bits() >= bits) {
            return self.unite(kernel, block).map(|()| true);
        }
        if let Some(chunk) = self.chunks.unused() {
            return self.release_chunk(kernel, chunk).map(|()| true);
        }
        match idle {
            Some(block) => self.unite(kernel, block).map(|()| true),
            None => Ok(false),
        }
    }

    /// Gives back everything that is kept for speed: unused chunks, split blocks whose children
    /// are all free, CNodes without a slot in use, objects in quarantine. Costs a kernel call for
    /// each, and later the clearing of what they were.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refused a call; what is left can be tried again.
    pub fn trim(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        let mut outcome = Ok(());
        let mut next = self.chunks.unused();
        while let Some(chunk) = next {
            next = self.chunks.unused_after(chunk);
            outcome = outcome.and(self.release_chunk(kernel, chunk));
        }
        // Split blocks hold slots of CNodes that could go, and those hold blocks that are split.
        while outcome.is_ok() {
            outcome = self.unite_all(kernel);
            if self.slots.unused().is_none() {
                break;
            }
            outcome = outcome.and_then(|()| self.shrink_slots(kernel));
        }
        outcome
    }

    fn unite_all(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        while let Some(block) =
            self.blocks.coalescible_for(0).or_else(|| self.blocks.coalescible_device())
        {
            self.unite(kernel, block)?;
        }
        Ok(())
    }

    /// Destroys the free children of an idle block. One kernel call.
    fn unite(&mut self, kernel: &mut impl Kernel, block: &'p Block<'p>) -> Result<()> {
        kernel
            .cnode_revoke(self.path(block.slot()))
            .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
        let (first, count) = self.blocks.coalesce(block);
        self.slots.free(first, count);
        Ok(())
    }

    /// Unites device memory at once: it is never cleared, so nothing is gained by waiting, and the
    /// next request may be for a larger range of the same registers.
    pub(crate) fn unite_device(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
    ) -> Result<()> {
        let mut parent = block.parent();
        while let Some(block) = parent.filter(|parent| parent.busy_children() == 0) {
            self.unite(kernel, block)?;
            parent = block.parent();
        }
        Ok(())
    }

    /// Makes the memory at `paddr` one free block of at least 2^`bits` bytes, uniting and releasing
    /// just what stands in its way.
    pub(crate) fn free_up(
        &mut self,
        kernel: &mut impl Kernel,
        paddr: usize,
        bits: u8,
    ) -> Result<&'p Block<'p>> {
        let end = paddr + ((1 << bits) - 1);
        let mut at = paddr;
        loop {
            let leaf = self.blocks.leaf_at(at).ok_or(Error::NoUntypedAt(at))?;
            match leaf.state() {
                BlockState::Used(chunk) if chunk.live() == 0 => {
                    self.release_chunk(kernel, chunk)?
                }
                BlockState::Used(_) => return Err(Error::AddressInUse(at)),
                _ if leaf.size_bits() >= bits => return Ok(leaf),
                _ => {
                    let parent = leaf.parent().ok_or(Error::NoUntypedAt(end))?;
                    if parent.busy_children() == 0 {
                        self.unite(kernel, parent)?;
                        at = paddr;
                    } else {
                        // A sibling further on, or one before, is in the way: look at each in turn.
                        let next = leaf.paddr() + leaf.bytes();
                        at = if parent.contains(next) { next } else { parent.paddr() };
                    }
                }
            }
        }
    }
}
