// SPDX-License-Identifier: BSD-2-Clause
//! Reclaiming memory of any place, one step at a time until a chunk can be made.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::Chunk;
use crate::types::{Error, Result};

impl<'p> Allocator<'p> {
    /// Makes a chunk with `make`, reclaiming memory until there is a block for it.
    pub(crate) fn reclaiming<K: Kernel>(
        &mut self,
        kernel: &mut K,
        plan: ChunkPlan,
        make: impl Fn(&mut Self, &mut K) -> Result<&'p Chunk<'p>>,
    ) -> Result<&'p Chunk<'p>> {
        let bits = self.chunk_bits(plan.blueprint, plan.count)?;
        loop {
            match make(self, kernel) {
                // Of another size it is memory for a CNode that is short.
                Err(Error::OutOfMemory { size_bits, .. }) => {
                    let wanted = bits.max(size_bits);
                    if !self.reclaim_step(kernel, wanted)? {
                        return Err(match self.serves_once_cleared(wanted) {
                            Some(bytes) => Error::NeedsClearing { bytes },
                            None => self.out_of_memory(size_bits),
                        });
                    }
                }
                made => return made,
            }
        }
    }

    /// One step towards a free block of 2^`bits` bytes; false when there is nothing left to do.
    /// One kernel call.
    pub(crate) fn reclaim_step(&mut self, kernel: &mut impl Kernel, bits: u8) -> Result<bool> {
        if 1usize.checked_shl(bits.into()).is_none_or(|wanted| wanted > self.most_cleared) {
            // All that comes back is dirty, and would have to be cleared in one call.
            return Ok(false);
        }
        let coalescible = self.coalescible(bits);
        if let Some(block) = coalescible.filter(|block| block.size_bits() >= bits) {
            return self.coalesce(kernel, block).map(|()| true);
        }
        if let Some(chunk) = self.chunks.unused() {
            return self.release_chunk(kernel, chunk).map(|()| true);
        }
        match coalescible {
            Some(block) => self.coalesce(kernel, block).map(|()| true),
            None => Ok(false),
        }
    }
}
