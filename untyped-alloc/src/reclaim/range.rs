// SPDX-License-Identifier: BSD-2-Clause
//! Emptying a range of physical memory, which somebody asked for by its address.
//!
//! As with an evacuation, whoever maps the frames puts others in their place. But the others need
//! not be ready: they can be made of memory elsewhere.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Apart, Block, BlockState, Chunk};
use crate::types::{Blueprint, CPtr, Error, Mobility, Result, MAX_BATCH};

impl<'p> Allocator<'p> {
    /// Has the frames that lie in `bytes` of RAM from `paddr` on, and those that came with them,
    /// moved: [`Allocator::is_evacuating`] tells which, and none of them is allocated until
    /// [`Allocator::end_emptying`]. Says how many there are. No kernel call; O(untypeds in the
    /// range).
    ///
    /// # Errors
    /// [`Error::AddressInUse`](crate::Error::AddressInUse) where by the last survey something lies
    /// that cannot be moved.
    pub fn begin_emptying(&mut self, paddr: usize, bytes: usize) -> Result<usize> {
        let mut live = 0;
        for (at, chunk) in self.chunks_in(paddr, bytes) {
            if chunk.live() != 0 && !(self.is_small(chunk) && chunk.live() == chunk.movable()) {
                return Err(Error::AddressInUse(at.max(paddr)));
            }
            live += chunk.live();
        }
        self.set_emptying(paddr, bytes);
        Ok(live)
    }

    /// What the memory at a physical address was made into, if it was: the kind of the objects that
    /// were made of it together, the physical address of the first of them, its slot, and how many
    /// those are. O(log untypeds).
    pub fn made_at(&self, paddr: usize) -> Option<(Blueprint, usize, CPtr, usize)> {
        let block = self.blocks.leaf_at(paddr)?;
        match block.state() {
            BlockState::Used(chunk) => {
                Some((chunk.blueprint(), block.paddr(), chunk.first(), chunk.count()))
            }
            _ => None,
        }
    }

    /// Sees to it that `count` frames are ready for those that are to be moved, and none of them
    /// lies in the range; says whether they are. Makes one batch of frames at the most: call it
    /// again until it says that they are.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) and others of resources when there is no
    /// memory elsewhere; [`Error::Kernel`](crate::Error::Kernel).
    pub fn make_refuges(
        &mut self,
        kernel: &mut impl Kernel,
        paddr: usize,
        bytes: usize,
        count: usize,
    ) -> Result<bool> {
        let chunks = self.chunks.iter();
        let usable = chunks.filter(|chunk| self.is_small(chunk) && !chunk.is_evacuating());
        let ready: usize = usable.map(|chunk| chunk.ready()).sum();
        let missing = count.saturating_sub(ready);
        if missing != 0 {
            let size_bits = self.sizes.frame_bits[0];
            let blueprint = Blueprint::Frame { size_bits };
            // Of free untypeds alone: what is reclaimed for it would be ready frames, for ever.
            let mobility = Mobility::Movable;
            if self.blocks.best_fit(size_bits, mobility).is_none() {
                return Err(self.out_of_memory(size_bits));
            }
            let count = missing.next_power_of_two().min(MAX_BATCH).min(self.sizes.retype_limit);
            self.obtain_largest_chunk(
                kernel,
                ChunkPlan { blueprint, count, recycles: true, mobility },
            )?;
            // It may lie in the range itself, and is no refuge then.
            self.set_emptying(paddr, bytes);
        }
        Ok(missing == 0)
    }

    /// Opens the range again for use. No kernel call; O(untypeds in the range).
    pub fn end_emptying(&mut self, paddr: usize, bytes: usize) {
        let mut at = Some(paddr);
        while let Some(leaf) = self.leaf_in(&mut at, paddr, bytes) {
            if let BlockState::Used(chunk) = leaf.state() {
                if chunk.is_evacuating() {
                    self.chunks.set_apart(chunk, None);
                }
            }
        }
    }

    fn set_emptying(&mut self, paddr: usize, bytes: usize) {
        let mut at = Some(paddr);
        while let Some(leaf) = self.leaf_in(&mut at, paddr, bytes) {
            if let BlockState::Used(chunk) = leaf.state() {
                if self.is_small(chunk) {
                    self.chunks.set_apart(chunk, Some(Apart::Evacuating));
                }
            }
        }
    }

    /// The chunks in the range, each with the physical address of its memory.
    fn chunks_in(
        &self,
        paddr: usize,
        bytes: usize,
    ) -> impl Iterator<Item = (usize, &'p Chunk<'p>)> + '_ {
        let mut at = Some(paddr);
        let leaves = core::iter::from_fn(move || self.leaf_in(&mut at, paddr, bytes));
        leaves.filter_map(|leaf| match leaf.state() {
            BlockState::Used(chunk) => Some((leaf.paddr(), chunk)),
            _ => None,
        })
    }

    /// The leaf that covers `at` or comes next, if any of it lies in the range; `at` is where it
    /// ends then, or `None` where memory ends with the address space.
    fn leaf_in(&self, at: &mut Option<usize>, paddr: usize, bytes: usize) -> Option<&'p Block<'p>> {
        let from = (*at)?;
        let leaf = self.blocks.leaf_at(from).or_else(|| self.blocks.leaf_from(from))?;
        let inside = leaf.contains(paddr) || leaf.paddr() >= paddr && leaf.paddr() - paddr < bytes;
        *at = leaf.paddr().checked_add(leaf.bytes());
        (inside && !leaf.is_device()).then_some(leaf)
    }

    /// Whether a chunk's objects are frames of the smallest size that are allocated again.
    fn is_small(&self, chunk: &Chunk<'p>) -> bool {
        chunk.recycles_as(Blueprint::Frame { size_bits: self.sizes.frame_bits[0] })
    }
}
