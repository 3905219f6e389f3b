// SPDX-License-Identifier: BSD-2-Clause
//! The allocator's figures.

use crate::allocator::Allocator;
use crate::state::BlockState;
use crate::types::{Blueprint, Stats};

impl Allocator<'_> {
    /// A snapshot. O(untypeds + chunks).
    pub fn stats(&self) -> Stats {
        let (mut ready_bytes, mut held_bytes, mut quarantined) = (0, 0, 0);
        let mut dirty_ready_bytes = 0;
        for chunk in self.chunks.iter() {
            let free = chunk.ready();
            let size_bits = self.sizes.size_bits(chunk.blueprint()).unwrap_or(0);
            if let Some(block) = chunk.block().filter(|block| !block.is_device()) {
                // An unused chunk goes back as a whole, with its retired objects and the rounding.
                let unused = chunk.live() == 0 && free != 0;
                let bytes = if chunk.is_held() { &mut held_bytes } else { &mut ready_bytes };
                *bytes += match chunk.recycles() {
                    _ if unused => block.bytes(),
                    true => free << size_bits,
                    // What is made there keeps its batch from all other use.
                    false => 0,
                };
            }
            dirty_ready_bytes += chunk.ready_dirty() << size_bits;
            quarantined += chunk.quarantined();
        }
        let (mut free_by_size, mut clean_bytes) = ([0; 64], 0);
        for block in self.blocks.leaves() {
            if block.state() == BlockState::Free && !block.is_device() {
                free_by_size[usize::from(block.size_bits())] += 1;
                clean_bytes += if block.is_dirty() { 0 } else { block.bytes() };
            }
        }
        let largest = self.blocks.largest_free_bits();
        Stats {
            total_bytes: self.blocks.total_bytes(),
            untyped_bytes: self.blocks.free_bytes(),
            ready_bytes,
            held_bytes,
            clean_bytes,
            clearing_bytes: self.clearing.bytes(),
            dirty_ready_bytes,
            largest_free_bytes: if largest == 0 { 0 } else { 1 << largest },
            free_by_size,
            device_bytes: self.blocks.device_bytes(),
            left_out_bytes: self.left_out_bytes,
            cleared_bytes: self.cleared_bytes,
            live: self.live,
            free_slots: self.free_slot_count(),
            obtainable_slots: self.obtainable_slot_count(),
            quarantined,
            bookkeeping_bytes: self.bookkeeping_bytes(),
        }
    }

    /// How many frames and how many paging structures that recycle are allocated. O(chunks).
    pub fn recycling_objects_allocated(&self) -> (usize, usize) {
        let (mut frames, mut tables) = (0, 0);
        for chunk in self.chunks.iter().filter(|chunk| chunk.recycles()) {
            match chunk.blueprint() {
                Blueprint::Frame { .. } => frames += chunk.live(),
                _ => tables += chunk.live(),
            }
        }
        (frames, tables)
    }
}
