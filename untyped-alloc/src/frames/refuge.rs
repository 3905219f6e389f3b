// SPDX-License-Identifier: BSD-2-Clause
//! Frames that take the place of others which are in the way.

use crate::allocator::Allocator;
use crate::state::Class;
use crate::types::{Blueprint, Frames};

impl Allocator<'_> {
    /// Allocates a frame of the smallest size that is ready in a chunk which is not being emptied;
    /// one that is in use anyway, if there is one, and a dirty frame, as it is to be overwritten.
    /// No kernel call.
    pub fn alloc_refuge(&mut self) -> Option<Frames> {
        let size_bits = self.sizes.frame_bits[0];
        let blueprint = Blueprint::Frame { size_bits };
        let classes = [
            (Class::Dirty, false),
            (Class::Zeroed, true),
            (Class::EmptyDirty, false),
            (Class::EmptyZeroed, true),
        ];
        classes.into_iter().find_map(|(class, clean)| {
            let chunk = self.chunks.with_room(class, true, blueprint)?;
            let (first, count) = self.alloc_run(chunk, 1, clean);
            Some(Frames { first, count, size_bits })
        })
    }
}
