// SPDX-License-Identifier: BSD-2-Clause
//! Objects of a chunk change hands. No kernel call.

use crate::allocator::Allocator;
use crate::state::Chunk;
use crate::types::{Mobility, Object, ObjectState, Objects};

impl<'p> Allocator<'p> {
    /// Hands out the first object of a chunk that has a ready one.
    pub(crate) fn alloc_one(&mut self, chunk: &'p Chunk<'p>) -> Object {
        let (index, _) = chunk.first_run(1, true).unwrap_or((0, 1));
        self.chunks.alloc(chunk, index, 1, Mobility::Fixed);
        self.live.add(&self.sizes, chunk.blueprint(), 1);
        Object::new(chunk.slot_of(index), chunk.serial())
    }

    /// Hands out all objects of a chunk that was just made.
    pub(crate) fn alloc_all(&mut self, chunk: &'p Chunk<'p>) -> Objects {
        let count = chunk.count();
        self.chunks.alloc(chunk, 0, count, Mobility::Fixed);
        self.live.add(&self.sizes, chunk.blueprint(), count);
        Objects::new(chunk.first(), count, chunk.serial())
    }

    /// Records that a live object is gone, or as good as gone: it is not handed out again, and its
    /// memory comes back with its chunk.
    pub(crate) fn retire(&mut self, chunk: &'p Chunk<'p>, index: usize) {
        self.live.sub(&self.sizes, chunk.blueprint(), 1);
        self.chunks.free(chunk, index, 1, ObjectState::Gone);
    }
}
