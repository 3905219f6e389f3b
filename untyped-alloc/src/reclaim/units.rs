// SPDX-License-Identifier: BSD-2-Clause
//! Units: the pieces that memory can come back in, and what stands in the way of each.
//!
//! A *unit* for 2^n bytes is the smallest block of at least that size around a leaf, with all that
//! lies in it. So leaves that are large enough are units themselves, and smaller ones belong to
//! that of the block that they were split off. Units do not overlap.

use core::cmp::Ordering;

use crate::allocator::Allocator;
use crate::state::{Block, BlockState, Chunk};
use crate::types::{Blueprint, Obtainable};

/// A unit, and what lies in it.
#[derive(Clone, Copy)]
pub(super) struct Unit<'p> {
    pub block: &'p Block<'p>,
    /// Frames in use, all of which can be moved.
    live: usize,
    /// Frames that are ready, in chunks that are partly used.
    ready: usize,
    /// Something in use that cannot be moved lies in it.
    fixed: bool,
    /// Blocks of the size wanted that can be had of it as it is, or ready frames of that size.
    now: usize,
}

impl Unit<'_> {
    /// Frames that are ready no more once it is emptied: its own, and those that its frames are
    /// moved to.
    fn lost(&self) -> usize {
        self.live + self.ready
    }

    /// Whether it can be emptied where `refuges` frames are ready in all, and must be.
    fn can_be_emptied(&self, refuges: usize) -> bool {
        !self.fixed && self.live != 0 && self.lost() <= refuges
    }

    /// The order in which units are emptied: first the one that gives most memory for each frame
    /// lost, then the one with fewer frames to be moved.
    fn order(&self, other: &Unit<'_>) -> Ordering {
        let scaled = |unit: &Unit<'_>, by: &Unit<'_>| (unit.lost() as u128) << by.block.size_bits();
        scaled(self, other)
            .cmp(&scaled(other, self))
            .then(self.live.cmp(&other.live))
            .then(self.block.paddr().cmp(&other.block.paddr()))
    }
}

impl<'p> Allocator<'p> {
    /// Every unit of RAM for 2^`bits` bytes, by rising physical address. O(untypeds) for all.
    fn units(&self, bits: u8) -> impl Iterator<Item = Unit<'p>> + '_ {
        let mut leaves = self.blocks.leaves().filter(|leaf| !leaf.is_device()).peekable();
        core::iter::from_fn(move || loop {
            let first = leaves.next()?;
            let Some(block) = enclosing(first, bits) else { continue };
            let mut unit = Unit { block, live: 0, ready: 0, fixed: false, now: 0 };
            self.add_leaf(&mut unit, first, bits);
            while let Some(leaf) = leaves.next_if(|leaf| block.contains(leaf.paddr())) {
                self.add_leaf(&mut unit, leaf, bits);
            }
            return Some(unit);
        })
    }

    fn add_leaf(&self, unit: &mut Unit<'p>, leaf: &'p Block<'p>, bits: u8) {
        let chunk = match leaf.state() {
            BlockState::Used(chunk) => chunk,
            BlockState::Clearing => return unit.fixed = true,
            _ if self.may_begin(leaf) => return unit.now += leaf.bytes() >> bits,
            _ => return,
        };
        if chunk.recycles() && chunk.blueprint() == (Blueprint::Frame { size_bits: bits }) {
            unit.now += chunk.ready();
        }
        unit.fixed |= chunk.is_held();
        if chunk.live() != 0 {
            unit.fixed |= !self.gives_refuge(chunk) || chunk.live() != chunk.movable();
            unit.live += chunk.live();
            unit.ready += chunk.ready();
        }
    }

    /// Whether a chunk's frames can take the place of others: small ones, which recycle, and which
    /// are not to be moved themselves.
    fn gives_refuge(&self, chunk: &Chunk<'p>) -> bool {
        let small = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        chunk.recycles() && chunk.blueprint() == small && !chunk.is_evacuating()
    }

    /// Frames that others can be moved to: ready ones, in chunks that are in use anyway. O(chunks).
    fn refuges(&self) -> usize {
        let used = self.chunks.iter().filter(|chunk| chunk.live() != 0);
        used.filter(|chunk| self.gives_refuge(chunk)).map(|chunk| chunk.ready()).sum()
    }

    /// The unit for 2^`bits` bytes that is to be emptied next, if one can be. O(untypeds).
    pub(super) fn next_unit(&self, bits: u8) -> Option<Unit<'p>> {
        self.next_unit_after(None, bits, self.refuges())
    }

    fn next_unit_after(
        &self,
        last: Option<Unit<'p>>,
        bits: u8,
        refuges: usize,
    ) -> Option<Unit<'p>> {
        let after = |unit: &Unit<'p>| last.is_none_or(|last| last.order(unit) == Ordering::Less);
        let possible = self.units(bits).filter(|unit| unit.can_be_emptied(refuges) && after(unit));
        possible.min_by(|one, other| one.order(other))
    }

    /// How much can be allocated in blocks of 2^`bits` bytes; for a size of frames, as frames. What
    /// is obtainable by compaction is told as of the last survey. O(untypeds), for each unit that
    /// would be emptied.
    pub fn obtainable(&self, bits: u8) -> Obtainable {
        let (mut now, mut coalesced) = (0, 0);
        for unit in self.units(bits) {
            now += unit.now;
            let unused = !unit.fixed && unit.live == 0;
            coalesced += if unused { unit.block.bytes() >> bits } else { unit.now };
        }
        // Frames of the smallest size are had one by one, so moving them gives no more of them.
        let compacted = match bits == self.sizes.frame_bits[0] {
            true => coalesced,
            false => coalesced + self.gained_by_moving(bits),
        };
        Obtainable { now, coalesced, compacted }
    }

    /// The size in bytes of a block that would serve a request for 2^`bits` bytes if it was
    /// cleared: more than one kernel call may clear, or one that is being cleared. As
    /// [`Allocator::to_be_put_together`].
    pub(super) fn serves_once_cleared(&self, bits: u8) -> Option<usize> {
        let too_large = |block: &&Block<'p>| block.bytes() > self.most_cleared;
        let block = self.dirty_block(bits).filter(too_large);
        block.map(Block::bytes).or_else(|| self.clearing.smallest(bits))
    }

    /// What is to be cleared for 2^`bits` bytes: the smallest free dirty block that is large
    /// enough, else the smallest that can be put together of unused memory. As
    /// [`Allocator::to_be_put_together`].
    pub(super) fn dirty_block(&self, bits: u8) -> Option<&'p Block<'p>> {
        self.blocks.dirty_fit(bits).or_else(|| self.to_be_put_together(bits))
    }

    /// The smallest split block of at least 2^`bits` bytes in which nothing is in use, and nothing
    /// is as large as that. O(log n) where no chunk is unused, and no smaller block is coalescible:
    /// what has come so far by [`Allocator::reclaim_step`]; otherwise O(untypeds).
    fn to_be_put_together(&self, bits: u8) -> Option<&'p Block<'p>> {
        let unused = |unit: &Unit<'p>| !unit.fixed && unit.live == 0 && unit.now == 0;
        let all = || self.units(bits).filter(unused).map(|unit| unit.block);
        let smallest = || all().min_by_key(|block| (block.size_bits(), block.paddr()));
        // What is unused and in pieces has an unused chunk in it, or a coalescible block.
        if self.chunks.unused().is_some() || self.blocks.has_coalescible_below(bits) {
            return smallest();
        }
        let found = self.blocks.free_in_pieces(bits);
        debug_assert_eq!(found.map(Block::paddr), smallest().map(Block::paddr));
        found
    }

    /// How many more blocks of 2^`bits` bytes there are, at the least, once all units are emptied
    /// that can be.
    fn gained_by_moving(&self, bits: u8) -> usize {
        let (mut gained, mut refuges, mut last) = (0, self.refuges(), None);
        let all = refuges;
        while let Some(unit) = self.next_unit_after(last, bits, refuges) {
            // Moving frames about changes what is live, but not what is lost with another unit.
            refuges -= unit.lost();
            gained += (unit.block.bytes() >> bits) - unit.now;
            last = Some(unit);
        }
        let candidates = || self.units(bits).filter(|unit| unit.can_be_emptied(all));
        let sizes = || candidates().map(|unit| unit.block.size_bits());
        if sizes().min() == sizes().max() {
            return gained;
        }
        // Of units of several sizes, which are equally good and take turns as their frames move,
        // the last that is wanted may be larger than what is left for it.
        let largest = candidates().map(|unit| unit.block.bytes() >> bits).max();
        gained.saturating_sub(largest.unwrap_or(0))
    }
}

/// The smallest block of at least 2^`bits` bytes that a leaf lies in, or is.
fn enclosing<'p>(leaf: &'p Block<'p>, bits: u8) -> Option<&'p Block<'p>> {
    let mut block = leaf;
    while block.size_bits() < bits {
        block = block.parent()?;
    }
    Some(block)
}
