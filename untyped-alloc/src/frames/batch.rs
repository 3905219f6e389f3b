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
        is_zeroed(batch.chunk, batch.origin + distance)
    }

    /// Allocates `count` frames, the first of which comes `distance` after the first of the run that
    /// the batch was found by, if all are zeroed and ready; none otherwise. O(count) at most.
    #[inline(always)]
    pub fn alloc_run_from_batch(
        &mut self,
        batch: &FrameBatch<'p>,
        distance: usize,
        count: usize,
    ) -> Option<Zeroed> {
        let FrameBatch { chunk, serial, origin, size_bits } = *batch;
        let first = origin + distance;
        let taken = chunk.serial() == serial
            && (chunk.alloc_zeroed_run(first, count) || self.alloc_singly(chunk, first, count));
        if !taken {
            return None;
        }
        self.live.add(&self.sizes, Blueprint::Frame { size_bits }, count);
        Some(Zeroed::new(Frames { first: chunk.slot_of(first), count, size_bits }))
    }

    /// Allocates frames of a chunk from number `first` on one by one, if all are zeroed and ready;
    /// says whether they were.
    #[cold]
    fn alloc_singly(&mut self, chunk: &'p Chunk<'p>, first: usize, count: usize) -> bool {
        let mut frames = first..first + count;
        frames.clone().all(|index| is_zeroed(chunk, index))
            && frames.all(|index| {
                chunk.alloc_zeroed_run(index, 1) || self.chunks.alloc_last_zeroed(chunk, index)
            })
    }
}

/// Whether object number `index` of a chunk is there, zeroed and ready.
#[inline]
fn is_zeroed(chunk: &Chunk<'_>, index: usize) -> bool {
    index < chunk.count() && chunk.state(index) == ObjectState::Ready { clean: true }
}
