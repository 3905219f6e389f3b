// SPDX-License-Identifier: BSD-2-Clause
//! Frames that are made, dirty ones that are handed out to be zeroed, and batches of them that are
//! given back so that something else can be made, before anybody asks.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Block, Chunk, Class};
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
        let fit = |bits| self.fit(bits, Mobility::Movable);
        let clean = |bits| fit(bits).is_some_and(|block| !block.is_dirty());
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
            let mobility = Mobility::Movable;
            let _ready = self
                .obtain_chunk(kernel, ChunkPlan { blueprint, count, recycles: true, mobility })?;
        }
        Ok(count)
    }

    /// Whether an untyped of at least 2^`bits` bytes is free and clean. O(log n).
    pub fn has_clean(&self, bits: u8) -> bool {
        self.blocks.best_fit_clearing(bits, Mobility::Fixed, 0).is_some()
    }

    /// The bytes of the batch that [`Allocator::give_back_batch`] would give back; `None` while
    /// fewer than two are unused. O(batches of frames).
    pub fn batch_to_give_back(&self, bits: u8, most: usize) -> Option<usize> {
        Some(self.batch_between(bits, most)?.block()?.bytes())
    }

    /// Destroys the smallest unused batch of frames of at least 2^`bits` and at most `most` bytes,
    /// if it is not the only unused one: its memory is a free, dirty untyped then. Without it page
    /// tables, or threads, would be the first to want an untyped where all is frames. Returns its
    /// bytes, 0 when there is none. One kernel call, which deletes a capability for each frame.
    ///
    /// # Errors
    /// [`Error::Kernel`](crate::Error::Kernel): nothing was changed.
    pub fn give_back_batch(
        &mut self,
        kernel: &mut impl Kernel,
        bits: u8,
        most: usize,
    ) -> Result<usize> {
        let Some(chunk) = self.batch_between(bits, most) else { return Ok(0) };
        let bytes = chunk.block().map_or(0, Block::bytes);
        self.release_chunk(kernel, chunk).map(|()| bytes)
    }

    /// The smallest unused batch of small frames of these sizes, the first in order of room.
    fn batch_between(&self, bits: u8, most: usize) -> Option<&'p Chunk<'p>> {
        let blueprint = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        let unused =
            core::iter::successors(self.chunks.unused(), |&chunk| self.chunks.unused_after(chunk));
        let mut frames = unused.filter(|chunk| chunk.recycles_as(blueprint));
        let (first, second) = (frames.next()?, frames.next()?);
        let size = |chunk: &&'p Chunk<'p>| chunk.block().map_or(0, Block::bytes);
        let fitting = [first, second]
            .into_iter()
            .chain(frames)
            .filter(|chunk| size(chunk) >= 1 << bits && size(chunk) <= most);
        fitting.min_by_key(size)
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
