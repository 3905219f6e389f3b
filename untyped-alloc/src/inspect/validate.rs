// SPDX-License-Identifier: BSD-2-Clause
//! Checks of the whole state against itself.

use crate::allocator::Allocator;
use crate::state::{BlockState, Group};
use crate::types::{Blueprint, CPtr, Mobility};

/// An invariant that does not hold: a bug, or memory that was overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant.
    pub rule: &'static str,
    /// The slot or physical address it was found at.
    pub at: usize,
}

/// Checks one rule.
fn hold(rule: &'static str, at: usize, holds: bool) -> Result<(), Violation> {
    holds.then_some(()).ok_or(Violation { rule, at })
}

impl Allocator<'_> {
    /// Checks every invariant of blocks, chunks and slots. O(n log n); no kernel call.
    ///
    /// # Errors
    /// The first invariant found broken.
    pub fn validate(&self) -> Result<(), Violation> {
        self.validate_blocks()?;
        self.validate_chunks()?;
        self.validate_slots()
    }

    fn validate_blocks(&self) -> Result<(), Violation> {
        let (mut free, mut free_bytes, mut total, mut device, mut end) = (0, 0, 0, 0, 0usize);
        let (mut coalescible, mut clearing) = (0, 0);
        for block in self.blocks.leaves() {
            let at = block.paddr();
            hold("leaves do not overlap", at, at >= end)?;
            hold("blocks are aligned to their size", at, at & (block.bytes() - 1) == 0)?;
            end = at + (block.bytes() - 1);
            if let Some(parent) = block.parent() {
                hold("a child lies in its parent", at, parent.contains(at))?;
                let child_bits = BlockState::Split { child_bits: block.size_bits() };
                hold("a leaf's parent is split to it", at, parent.state() == child_bits)?;
                hold("a parent has at most four busy children", at, parent.busy_children() <= 4)?;
                // All children of such a block are leaves, so it is counted at its first.
                let begins = parent.paddr() == at && parent.busy_children() == 0;
                coalescible += usize::from(begins && !parent.is_device());
            }
            let large = block.size_bits() >= self.sizes.frame_bits[1];
            let neutral = block.is_device() || block.group() == Group::Neutral;
            hold("what is as large as a large page is in no group", at, neutral || !large)?;
            hold("a block's slot is taken", at, !self.slot_is_free(block.slot()))?;
            let bytes = if block.is_device() { &mut device } else { &mut total };
            *bytes += block.bytes();
            match block.state() {
                BlockState::Free if !block.is_device() => {
                    free += 1;
                    free_bytes += block.bytes();
                }
                BlockState::Used(chunk) => {
                    let mutual = chunk.block() == Some(block);
                    hold("a used block and its chunk know each other", at, mutual)?;
                }
                BlockState::Clearing => {
                    hold(
                        "what is cleared is dirty RAM",
                        at,
                        block.is_dirty() && !block.is_device(),
                    )?;
                    clearing += block.bytes();
                }
                BlockState::Free => {}
                BlockState::Split { .. } => hold("a split block is no leaf", at, false)?,
            }
        }
        let (in_free_tree, in_other) = self.blocks.tree_counts();
        hold("the tree of free blocks holds the free leaves", in_free_tree, in_free_tree == free)?;
        let exact = in_other == coalescible;
        hold("the tree of coalescible blocks holds those without a busy child", in_other, exact)?;
        hold("free bytes are counted", free_bytes, free_bytes == self.blocks.free_bytes())?;
        hold("what is cleared is counted", clearing, clearing == self.clearing.bytes())?;
        total += self.blocks.missing_bytes(false);
        device += self.blocks.missing_bytes(true);
        hold("no RAM is lost", total, total == self.blocks.total_bytes())?;
        hold("no device memory is lost", device, device == self.blocks.device_bytes())
    }

    fn validate_chunks(&self) -> Result<(), Violation> {
        let (mut end, mut live) = (CPtr::NULL, 0);
        for chunk in self.chunks.iter() {
            let at = chunk.first().bits();
            let count = chunk.count();
            let small = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
            hold("chunks do not share slots", at, chunk.first() >= end)?;
            end = chunk.first().offset(count);
            let states = (0..count).filter(|&index| chunk.is_live(index)).count();
            hold("live objects are counted", at, states == chunk.live())?;
            live += states;
            if chunk.recycles() && !chunk.recycles_as(small) {
                let stays = chunk.mobility() == Some(Mobility::Fixed);
                hold("of what is used again only small frames move", at, stays)?;
                let larger = matches!(chunk.blueprint(), Blueprint::Frame { .. });
                hold("a larger frame is a batch of its own", at, count == 1 || !larger)?;
            }
            for index in 0..count {
                let slot = chunk.slot_of(index);
                hold("an object's slot is taken", slot.bits(), !self.slot_is_free(slot))?;
            }
            if let Some(aliases) = chunk.aliases() {
                let small = chunk.recycles_as(small);
                hold("aliases are of small frames that are recycled", at, small)?;
                for index in 0..count {
                    let (there, slot) = (aliases.is_there(index), aliases.slot_of(index));
                    hold(
                        "only an alias that is there is mapped",
                        at,
                        there || !aliases.is_mapped(index),
                    )?;
                    hold("the slots of aliases are taken", slot.bits(), !self.slot_is_free(slot))?;
                }
            }
            hold("no chunk is kept from use", at, !chunk.is_evacuating())?;
            let held = self.held_tables.contains(&Some(chunk));
            let frames = self.held_frames == Some(chunk);
            hold("what is held back is known", at, (held || frames) == chunk.is_held())?;
            let ready = chunk.ready() != 0 && chunk.recycles();
            hold("where tables are held back, one is ready", at, !held || ready)?;
            let unused = chunk.recycles_as(small) && chunk.live() == 0;
            hold("frames that are held back are small, and unused", at, !frames || unused)?;
            let stays = chunk.mobility() == Some(Mobility::Fixed);
            let can_move = chunk.recycles_as(small) && chunk.live() != 0;
            hold("what may be moved are small frames in use", at, stays || can_move)?;
            let block = chunk.block();
            let backed = block.is_some_and(|block| block.state() == BlockState::Used(chunk));
            hold("a chunk's block is used by it", at, backed)?;
            let needed = self.chunk_bits(chunk.blueprint(), count).unwrap_or(0);
            let fits = block.is_some_and(|block| block.size_bits() == needed);
            hold("a chunk's block has its size", at, fits)?;
        }
        let counted = self.live;
        let sum = counted.untypeds
            + counted.tcbs
            + counted.endpoints
            + counted.notifications
            + counted.cnodes
            + counted.frames.iter().sum::<usize>()
            + counted.vspaces
            + counted.tables;
        hold("live objects of all types are counted", live, live == sum)?;
        let (in_tree, expected) = self.chunks.room_counts();
        hold("the tree of room holds the chunks with room", in_tree, in_tree == expected)?;
        hold("nothing is clean where that is known", 0, self.knows_what_is_clean())?;
        hold(
            "what was freed last is alone where that is known",
            0,
            self.chunks.knows_what_was_freed(),
        )?;
        let known = self.chunks.knows_where_zeroed_begin();
        hold("nothing is clean before where the clean ones begin", 0, known)
    }

    fn validate_slots(&self) -> Result<(), Violation> {
        let (mut free, mut capacity) = (0, 0);
        for window in self.slots.iter() {
            let at = window.base().bits();
            hold("a window's free slots are counted", at, window.free_is_exact())?;
            hold("a caller's slots are taken", at, window.lent_are_taken())?;
            free += window.free_count();
            capacity += window.capacity();
        }
        hold("free slots are counted", free, free == self.slots.free_count())?;
        hold("slots are counted", capacity, capacity == self.slots.capacity())
    }
}
