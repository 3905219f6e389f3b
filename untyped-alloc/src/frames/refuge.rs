// SPDX-License-Identifier: BSD-2-Clause
//! Frames that take the place of others which are in the way.

use crate::allocator::Allocator;
use crate::state::{Class, Room};
use crate::types::{Blueprint, Frames, Mobility};

impl Allocator<'_> {
    /// Allocates a frame of the smallest size that is ready in a chunk which is not being emptied;
    /// one that is in use anyway, if there is one, beside others that may be moved rather than
    /// beside what stays, and a dirty frame, as it is to be overwritten. No kernel call.
    pub fn alloc_refuge(&mut self) -> Option<Frames> {
        let size_bits = self.sizes.frame_bits[0];
        let fixed = Room::new(true, Blueprint::Frame { size_bits });
        let movable = fixed.with_mobility(Mobility::Movable);
        let partly_used = [movable, fixed.mixed(), fixed]
            .into_iter()
            .flat_map(|kind| [(Class::Dirty, false, kind), (Class::Zeroed, true, kind)]);
        let unused = [(Class::EmptyDirty, false, fixed), (Class::EmptyZeroed, true, fixed)];
        for (class, clean, kind) in partly_used.chain(unused) {
            if let Some(chunk) = self.chunks.with_room(class, kind) {
                let (first, count) = self.alloc_run(chunk, Mobility::Movable, 1, clean);
                return Some(Frames { first, count, size_bits });
            }
        }
        None
    }
}
