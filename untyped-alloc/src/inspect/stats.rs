//! What the allocator knows about itself.

use crate::allocator::Allocator;
use crate::state::BlockState;
use crate::types::{Blueprint, Stats};

impl Allocator<'_> {
    /// A snapshot. O(untypeds + chunks).
    pub fn stats(&self) -> Stats {
        let (mut ready_bytes, mut quarantined) = (0, 0);
        for chunk in self.chunks.iter() {
            let free = chunk.ready();
            let size_bits = self.sizes.size_bits(chunk.blueprint()).unwrap_or(0);
            if let Some(block) = chunk.block().filter(|block| !block.is_device()) {
                // An unused chunk can be given back as a whole, with what of it is retired or rounding.
                let unused = chunk.live() == 0 && free != 0;
                ready_bytes += if unused { block.bytes() } else { free << size_bits };
            }
            quarantined += chunk.quarantined();
        }
        let mut free_by_size = [0; 64];
        for block in self.blocks.leaves() {
            if block.state() == BlockState::Free && !block.is_device() {
                free_by_size[usize::from(block.size_bits())] += 1;
            }
        }
        let largest = self.blocks.largest_free_bits();
        Stats {
            total_bytes: self.blocks.total_bytes(),
            untyped_bytes: self.blocks.free_bytes(),
            ready_bytes,
            largest_free_bytes: if largest == 0 { 0 } else { 1 << largest },
            free_by_size,
            device_bytes: self.blocks.device_bytes(),
            cleared_bytes: self.cleared_bytes,
            live: self.live,
            free_slots: self.free_slots(),
            quarantined,
            bookkeeping_bytes: self.blocks.pool.total_bytes()
                + self.chunks.pool.total_bytes()
                + self.slots.pool.total_bytes(),
        }
    }

    /// Frames and paging structures that were taken from recycling batches and not given back.
    /// O(chunks).
    pub fn recycling_objects_taken(&self) -> (usize, usize) {
        let (mut frames, mut tables) = (0, 0);
        for chunk in self.chunks.iter().filter(|chunk| chunk.recycles()) {
            match chunk.blueprint() {
                Blueprint::Frame { .. } => frames += chunk.live(),
                _ => tables += chunk.live(),
            }
        }
        (frames, tables)
    }

    /// Bytes of book-keeping nodes in use, spare ones not counted.
    pub fn bookkeeping_bytes_used(&self) -> usize {
        self.blocks.pool.used_bytes() + self.chunks.pool.used_bytes() + self.slots.pool.used_bytes()
    }
}
