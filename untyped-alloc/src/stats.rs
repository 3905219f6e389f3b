//! What the allocator knows about itself.

use crate::allocator::Allocator;
use crate::block::State;
use crate::types::{Blueprint, Stats};

impl Allocator<'_> {
    /// A snapshot. O(untypeds + chunks).
    pub fn stats(&self) -> Stats {
        let (mut ready_bytes, mut quarantined) = (0, 0);
        for chunk in self.chunks.iter() {
            let free = chunk.free.count();
            let size_bits = self.sizes.size_bits(chunk.blueprint()).unwrap_or(0);
            if let Some(block) = chunk.block.get().filter(|block| !block.device.get()) {
                // An unused chunk can be given back as a whole, with what of it is dead or rounding.
                let unused = chunk.live.get() == 0 && free != 0;
                ready_bytes += if unused { block.bytes() } else { free << size_bits };
            }
            if chunk.live.get() == 0 && free == 0 {
                quarantined += chunk.flag.count();
            }
        }
        let mut free_by_size = [0; 64];
        for block in self.blocks.leaves() {
            if block.state.get() == State::Free && !block.device.get() {
                free_by_size[usize::from(block.size_bits.get())] += 1;
            }
        }
        let largest = self.blocks.largest_free_bits();
        Stats {
            total_bytes: self.blocks.total_bytes,
            untyped_bytes: self.blocks.free_bytes,
            ready_bytes,
            largest_free_bytes: if largest == 0 { 0 } else { 1 << largest },
            free_by_size,
            device_bytes: self.blocks.device_bytes,
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
        for chunk in self.chunks.iter().filter(|chunk| chunk.recycles.get()) {
            match chunk.blueprint() {
                Blueprint::Frame { .. } => frames += usize::from(chunk.live.get()),
                _ => tables += usize::from(chunk.live.get()),
            }
        }
        (frames, tables)
    }

    /// Bytes of book-keeping nodes in use, spare ones not counted.
    pub fn bookkeeping_bytes_used(&self) -> usize {
        self.blocks.pool.used_bytes() + self.chunks.pool.used_bytes() + self.slots.pool.used_bytes()
    }
}
