// SPDX-License-Identifier: BSD-2-Clause
//! What frames and paging structures have in common: chunks that recycle.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Chunk, Class};
use crate::types::{Blueprint, CPtr, Frames, ObjectState, Result};

impl<'p> Allocator<'p> {
    /// A recycling chunk with a zeroed object, if there is one.
    #[inline]
    pub(super) fn chunk_with_zeroed(&self, blueprint: Blueprint) -> Option<&'p Chunk<'p>> {
        [Class::Zeroed, Class::EmptyZeroed]
            .into_iter()
            .find_map(|class| self.chunks.with_room(class, true, blueprint))
    }

    /// A recycling chunk with a ready object where no object is zeroed, and whether that object is
    /// zeroed after all: makes a chunk of about `count` objects unless a dirty one is cheaper.
    pub(super) fn chunk_with_room(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        count: usize,
    ) -> Result<(&'p Chunk<'p>, bool)> {
        let recycled = [Class::Dirty, Class::EmptyDirty]
            .into_iter()
            .find_map(|class| self.chunks.with_room(class, true, blueprint));
        let count = self.round(blueprint, count.min(self.most_at_once(blueprint)));
        let bits = self.chunk_bits(blueprint, count)?;
        let fresh = self.fit(bits).is_some_and(|block| !block.is_dirty());
        if let (Some(chunk), false) = (recycled, fresh) {
            return Ok((chunk, false));
        }
        let plan = ChunkPlan { blueprint, count, recycles: true };
        match self.obtain_largest_chunk(kernel, plan) {
            Ok(chunk) => Ok((chunk, true)),
            Err(error) => recycled.map(|chunk| (chunk, false)).ok_or(error),
        }
    }

    /// Allocates the first run of at most `want` ready objects of a chunk that has one, all of them
    /// `clean` or none: the first slot and how many.
    pub(super) fn alloc_run(
        &mut self,
        chunk: &'p Chunk<'p>,
        want: usize,
        clean: bool,
    ) -> (CPtr, usize) {
        if let Some(index) = (want == 1 && clean).then(|| chunk.alloc_zeroed()).flatten() {
            self.live.add(&self.sizes, chunk.blueprint(), 1);
            return (chunk.slot_of(index), 1);
        }
        // A chunk is found by its class, so there is such a run.
        let (first, count) = chunk.first_run(want, clean).unwrap_or((0, 1));
        self.chunks.alloc(chunk, first, count);
        self.live.add(&self.sizes, chunk.blueprint(), count);
        (chunk.slot_of(first), count)
    }

    /// Frees a run of live objects, which are ready from now on, `clean` or dirty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`](crate::Error::NotAllocated), and nothing is freed then.
    pub(super) fn free_run(
        &mut self,
        blueprint: Blueprint,
        run: Frames,
        clean: bool,
    ) -> Result<()> {
        let (chunk, index) = self.recycling_run(blueprint, run)?;
        self.live.sub(&self.sizes, blueprint, run.count);
        self.chunks.free(chunk, index, run.count, ObjectState::Ready { clean });
        Ok(())
    }
}
