// SPDX-License-Identifier: BSD-2-Clause
//! Frames that are made, and dirty ones that are handed out to be zeroed, before anybody asks.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Chunk, Class};
use crate::types::{Blueprint, Dirty, Frames, Mobility, Result};

/// Frames that are made ahead at a time.
const FRAMES_AHEAD: usize = 64;

impl<'p> Allocator<'p> {
    /// How many frames of the smallest size [`Allocator::make_frames_ahead`] would make: none while
    /// one is ready and zeroed, or where memory would have to be cleared for it. O(log n).
    pub fn frames_to_make_ahead(&self) -> usize {
        let blueprint = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        let most = FRAMES_AHEAD.min(self.max_spare(blueprint)).min(self.most_at_once(blueprint));
        let count = 1 << most.ilog2();
        let clean = |bits| self.fit(bits).is_some_and(|block| !block.is_dirty());
        let room = self.chunk_bits(blueprint, count).is_ok_and(clean);
        match room && !self.has_ready(blueprint, &[Class::Zeroed, Class::EmptyZeroed]) {
            true => count,
            false => 0,
        }
    }

    /// Makes frames of the smallest size that are ready, of memory that is clean: as many as
    /// [`Allocator::frames_to_make_ahead`] says. One kernel call, besides splitting.
    ///
    /// # Errors
    /// [`Error::OutOfSlots`](crate::Error::OutOfSlots),
    /// [`Error::OutOfNodes`](crate::Error::OutOfNodes),
    /// [`Error::Kernel`](crate::Error::Kernel): nothing was made.
    pub fn make_frames_ahead(&mut self, kernel: &mut impl Kernel) -> Result<usize> {
        let count = self.frames_to_make_ahead();
        if count != 0 {
            let blueprint = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
            let _ready =
                self.obtain_chunk(kernel, ChunkPlan { blueprint, count, recycles: true })?;
        }
        Ok(count)
    }

    /// Allocates a run of at most `want` frames of the smallest size that are ready and dirty, to
    /// be zeroed and freed again; `None` when there are none. No kernel call; O(chunks).
    pub fn alloc_dirty_frames(&mut self, want: usize) -> Option<Dirty> {
        let size_bits = self.sizes.frame_bits[0];
        let chunk = self.any_dirty_frames()?;
        // They come back soon: nothing is to change for what is allocated after that.
        let mobility = chunk.mobility().unwrap_or(Mobility::Fixed);
        let (first, count) = self.alloc_run(chunk, mobility, want, false);
        Some(Dirty::new(Frames { first, count, size_bits }))
    }

    /// Whether [`Allocator::alloc_dirty_frames`] would find any. O(chunks).
    pub fn has_dirty_frames(&self) -> bool {
        self.any_dirty_frames().is_some()
    }

    /// A chunk of small frames with a ready one that is dirty, be others of it zeroed or not.
    fn any_dirty_frames(&self) -> Option<&'p Chunk<'p>> {
        let blueprint = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        let mut chunks = self.chunks.iter().filter(|chunk| chunk.recycles_as(blueprint));
        chunks.find(|chunk| chunk.ready_dirty() != 0)
    }
}
