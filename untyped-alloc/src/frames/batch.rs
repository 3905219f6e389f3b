// SPDX-License-Identifier: BSD-2-Clause
//! The next frame of the same chunk, in constant time.

use crate::allocator::Allocator;
use crate::state::Chunk;
use crate::types::{Blueprint, Frames, ObjectState, Zeroed};

/// A batch of frames, made by one retype, to allocate more of. Once its memory went back, there is
/// nothing to be had of it.
#[derive(Clone, Copy)]
pub struct FrameBatch<'p> {
    chunk: &'p Chunk<'p>,
    serial: u64,
    /// The number in the batch of the first frame of the run that it was found by.
    origin: usize,
    size_bits: u8,
}

impl<'p> Allocator<'p> {
    /// Finds the batch of a run of allocated frames.
    pub fn batch_of(&self, run: Frames) -> Option<FrameBatch<'p>> {
        let (chunk, origin) = self.chunks.find(run.first)?;
        let blueprint = Blueprint::Frame { size_bits: run.size_bits };
        let ours = chunk.recycles_as(blueprint);
        let (serial, size_bits) = (chunk.serial(), run.size_bits);
        ours.then_some(FrameBatch { chunk, serial, origin, size_bits })
    }

    /// Whether the frame that comes `distance` after the first of the run that the batch was just
    /// found by is zeroed and ready. O(1).
    #[inline]
    pub fn is_zeroed_in_batch(&self, batch: &FrameBatch<'p>, distance: usize) -> bool {
        let (chunk, index) = (batch.chunk, batch.origin + distance);
        index < chunk.count() && chunk.state(index) == ObjectState::Ready { clean: true }
    }

    /// Whether `count` frames are zeroed and ready, the first of which comes `distance` after the
    /// first of the run that the batch was found by. O(count).
    #[inline]
    pub fn are_zeroed_in_batch(
        &self,
        batch: &FrameBatch<'p>,
        distance: usize,
        count: usize,
    ) -> bool {
        batch.chunk.serial() == batch.serial
            && (distance..distance + count).all(|frame| self.is_zeroed_in_batch(batch, frame))
    }

    /// Allocates the frame that comes `distance` after the first of the run that the batch was
    /// found by, if it is zeroed and ready. O(1).
    #[inline(always)]
    pub fn alloc_from_batch(&mut self, batch: &FrameBatch<'p>, distance: usize) -> Option<Zeroed> {
        let FrameBatch { chunk, serial, origin, size_bits } = *batch;
        let index = origin + distance;
        let taken = chunk.serial() == serial
            && (chunk.alloc_zeroed_at(index) || self.chunks.alloc_last_zeroed(chunk, index));
        if !taken {
            return None;
        }
        self.live.add(&self.sizes, Blueprint::Frame { size_bits }, 1);
        Some(Zeroed::new(Frames { first: chunk.slot_of(index), count: 1, size_bits }))
    }
}
