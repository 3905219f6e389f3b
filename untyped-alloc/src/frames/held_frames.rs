// SPDX-License-Identifier: BSD-2-Clause
//! Frames that are held back for when memory is out.
//!
//! To give up a large page of which little is used, what is used has to go elsewhere first; and
//! that is wanted when there is nothing else. So a few frames are set apart while there is memory.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Apart, Chunk, Class, Room};
use crate::types::{Blame, Blueprint, Mobility, Result};

impl Allocator<'_> {
    /// Whether any frames are held back. O(1).
    pub fn holds_frames(&self) -> bool {
        self.held_frames.is_some()
    }

    /// Holds `count` frames of the smallest size back, if none are: unused ones that there are, or
    /// new ones, fewer of them where memory is short, and none where there is none. Until
    /// [`Allocator::release_held_frames`] is called they are neither handed out nor given back,
    /// unless their very address is asked for. They count as free. One retype at the most, besides
    /// splitting.
    ///
    /// # Errors
    /// [`Error::Kernel`](crate::Error::Kernel).
    pub fn hold_frames(&mut self, kernel: &mut impl Kernel, count: usize) -> Result<()> {
        if self.holds_frames() {
            return Ok(());
        }
        let size_bits = self.sizes.frame_bits[0];
        let (blueprint, mobility) = (Blueprint::Frame { size_bits }, Mobility::Movable);
        let kind = Room::new(true, blueprint);
        let unused =
            [Class::EmptyDirty, Class::EmptyZeroed].map(|it| self.chunks.with_room(it, kind));
        let fits = |chunk: &&Chunk<'_>| (count..=2 * count).contains(&chunk.ready());
        let chunk = match unused.into_iter().flatten().find(fits) {
            Some(chunk) => chunk,
            None => {
                let plan = ChunkPlan { blueprint, count, recycles: true, mobility };
                match self.obtain_largest_chunk(kernel, plan) {
                    Err(error) if error.blame() == Blame::Resource => return Ok(()),
                    made => made?,
                }
            }
        };
        self.chunks.set_apart(chunk, Some(Apart::Held));
        self.held_frames = Some(chunk);
        Ok(())
    }

    /// Holds no frames back any more: they are ready, as others are. Says whether any were. O(log
    /// chunks).
    pub fn release_held_frames(&mut self) -> bool {
        let held = self.held_frames.take();
        held.into_iter().for_each(|chunk| self.chunks.set_apart(chunk, None));
        held.is_some()
    }
}
