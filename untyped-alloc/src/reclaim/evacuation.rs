// SPDX-License-Identifier: BSD-2-Clause
//! Evacuating: memory comes back because what is allocated in it is moved elsewhere.
//!
//! A chunk goes back only as a whole, so one frame in use keeps up to 255 from any other use.
//! Whoever maps the frames can put others in their place: the allocator says which frames are in
//! the way, hands out those that take their place, and takes the memory back.
//!
//! ```text
//!   begin_survey, count_movable …     what can be moved at all
//!   begin_evacuation                  the unit that costs least: nothing is allocated from it
//!   is_evacuating, alloc_refuge …     its frames are replaced, one by one, by the caller
//!   end_evacuation                    it is one free block, if nothing is left in it
//! ```

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{Apart, Block, BlockState, Class};
use crate::types::{Blueprint, CPtr, Error, Frames, Result};

/// A piece of memory that is being emptied, until [`Allocator::end_evacuation`].
#[must_use]
pub struct Evacuation<'p> {
    block: &'p Block<'p>,
}

impl<'p> Allocator<'p> {
    /// Begins a survey of the frames that can be moved: none yet. O(chunks).
    pub fn begin_survey(&self) {
        self.chunks.iter().for_each(|chunk| chunk.set_movable(0));
    }

    /// Counts allocated frames as ones that can be moved: each at most once in a survey. Those that
    /// are none of the allocator's recycling ones are passed over. O(log chunks).
    pub fn count_movable(&self, frames: Frames) {
        let blueprint = Blueprint::Frame { size_bits: frames.size_bits };
        if let Ok((chunk, _)) = self.recycling_run(blueprint, frames) {
            chunk.set_movable(chunk.movable() + frames.count);
        }
    }

    /// A number that is another one once memory came back or was made into objects: until then,
    /// what could not be emptied cannot be. It is used again after 2^32 times. O(1).
    pub fn supplies(&self) -> u32 {
        self.chunks.supplies()
    }

    /// Whether a frame is ready that another could be moved to: if not, no survey is worth it.
    /// O(log chunks).
    pub fn has_refuge(&self) -> bool {
        let small = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        self.has_ready(small, &[Class::Dirty, Class::Zeroed])
    }

    /// Chooses what is to be emptied, by the last survey, so that a block of 2^`bits` bytes comes
    /// back: of the blocks that can be emptied, the one that costs least. Nothing is allocated from
    /// it until [`Allocator::end_evacuation`]. No kernel call. O(untypeds).
    pub fn begin_evacuation(&mut self, bits: u8) -> Option<Evacuation<'p>> {
        let block = self.next_unit(bits)?.block;
        self.set_evacuating(block, true);
        Some(Evacuation { block })
    }

    /// Whether [`Allocator::begin_evacuation`] would find anything. O(untypeds).
    pub fn can_evacuate(&self, bits: u8) -> bool {
        self.next_unit(bits).is_some()
    }

    fn set_evacuating(&mut self, block: &'p Block<'p>, evacuating: bool) {
        let apart = evacuating.then_some(Apart::Evacuating);
        for leaf in self.blocks.leaves_in(block) {
            if let BlockState::Used(chunk) = leaf.state() {
                self.chunks.set_apart(chunk, apart);
            }
        }
    }

    /// Whether an allocated frame is to be moved. O(log chunks).
    pub fn is_evacuating(&self, frame: CPtr) -> bool {
        self.chunks.find(frame).is_some_and(|(chunk, _)| chunk.is_evacuating())
    }

    /// Ends an evacuation. What was emptied becomes one free block; says whether it did. One kernel
    /// call for each chunk and each split block in it.
    ///
    /// # Errors
    /// [`Error::Kernel`] when the kernel refused a call: what is unused is given back another time.
    pub fn end_evacuation(
        &mut self,
        kernel: &mut impl Kernel,
        evacuation: Evacuation<'p>,
    ) -> Result<bool> {
        let block = evacuation.block;
        self.set_evacuating(block, false);
        match self.free_up(kernel, block.paddr(), block.size_bits(), usize::MAX) {
            Ok(_) => Ok(true),
            // Something is left in it that was not moved.
            Err(Error::AddressInUse(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
