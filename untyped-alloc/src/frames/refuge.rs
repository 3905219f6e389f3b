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
        let kind = Room::new(true, Blueprint::Frame { size_bits });
        let movable = kind.with_mobility(Mobility::Movable);
        let (dirty, zeroed) = ((Class::Dirty, false), (Class::Zeroed, true));
        let (unused, unused_zeroed) = ((Class::EmptyDirty, false), (Class::EmptyZeroed, true));
        let classes = [[dirty, zeroed], [unused, unused_zeroed]].into_iter();
        let places = classes.flat_map(|classes| {
            let of = move |kind| classes.map(|(class, clean)| (class, clean, kind));
            [of(movable), of(kind)].into_iter().flatten()
        });
        for (class, clean, kind) in places {
            if let Some(chunk) = self.chunks.with_room(class, kind) {
                // What must stay is not put beside it from now on.
                self.chunks.set_mobility(chunk, Mobility::Movable);
                let (first, count) = self.alloc_run(chunk, 1, clean);
                return Some(Frames { first, count, size_bits });
            }
        }
        None
    }
}
