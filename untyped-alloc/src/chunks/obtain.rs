// SPDX-License-Identifier: BSD-2-Clause
//! Obtaining a new chunk.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::Chunk;
use crate::types::{Error, Result};

/// The fewest objects that are made at once to spare the clearing of a larger block: what is
/// smaller is left to what stays, as page tables and threads do, and would keep a large block from
/// coming back.
pub(crate) const FEWEST: usize = 16;

impl<'p> Allocator<'p> {
    /// Makes a chunk without reclaiming: slots, a retype, and what splitting down to its block
    /// costs.
    fn make_chunk(&mut self, kernel: &mut impl Kernel, plan: ChunkPlan) -> Result<&'p Chunk<'p>> {
        let bits = self.chunk_bits(plan.blueprint, plan.count)?;
        // Slots first: growing the CSpace can split the very block that would be found.
        let first = self.alloc_object_slots(kernel, plan.count)?;
        self.make_chunk_at(kernel, plan, bits, first)
    }

    /// A new chunk, reclaiming memory until there is a block for it.
    pub(crate) fn obtain_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
    ) -> Result<&'p Chunk<'p>> {
        self.reclaiming(kernel, plan, |alloc, kernel| alloc.make_chunk(kernel, plan))
    }

    /// A new chunk of as many objects as `plan` says, or of half, a quarter … as many when there
    /// is no block for more, reclaiming only when there is none for a single object. A block that
    /// is to be cleared for more than this is begun only where none serves for sixteen objects that
    /// is not: then the smallest.
    pub(crate) fn obtain_largest_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
    ) -> Result<&'p Chunk<'p>> {
        let mut most = plan.count;
        for begin in [false, true] {
            let least = if begin { 2 } else { FEWEST };
            let mut count = most;
            while count >= least {
                let bits = self.chunk_bits(plan.blueprint, count)?;
                let fit = if begin {
                    self.fit(bits, plan.mobility)
                } else {
                    self.cheap_fit(bits, plan.mobility)
                };
                match fit.map(|_| self.make_chunk(kernel, ChunkPlan { count, ..plan })) {
                    None | Some(Err(Error::OutOfMemory { .. } | Error::NeedsClearing { .. })) => {}
                    Some(Err(Error::OutOfSlots { .. })) => most = count / 2,
                    Some(made) => return made,
                }
                count /= 2;
            }
        }
        self.obtain_chunk(kernel, ChunkPlan { count: 1, ..plan })
    }
}
