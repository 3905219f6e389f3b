// SPDX-License-Identifier: BSD-2-Clause
//! The figures that an allocator reports of itself.

use super::live::LiveObjects;

/// A snapshot of the allocator. Bytes are of RAM unless they say otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// All RAM that came in as untypeds.
    pub total_bytes: usize,
    /// RAM in free untypeds.
    pub untyped_bytes: usize,
    /// RAM in objects that are ready to be handed out and can be had for others: frames, clean or
    /// dirty, page tables, batches in which no object is in use. Not what is left of a batch of
    /// small objects in use, as that is for more of their kind alone.
    pub ready_bytes: usize,
    /// RAM in page tables, and in frames, that are held back for when memory is out.
    pub held_bytes: usize,
    /// RAM in free untypeds that need not be cleared before it is used.
    pub clean_bytes: usize,
    /// RAM in untypeds that are being cleared, and so are not free.
    pub clearing_bytes: usize,
    /// RAM in objects that are ready and dirty: frames that have to be zeroed before they are used.
    pub dirty_ready_bytes: usize,
    /// The largest free untyped, 0 when there is none. Coalescing may make a larger one.
    pub largest_free_bytes: usize,
    /// Free untypeds by size: entry n counts those of 2^n bytes.
    pub free_by_size: [u32; 64],
    /// Device memory that came in as untypeds.
    pub device_bytes: usize,
    /// Device memory of untypeds that were left out, as they are not aligned to their sizes.
    pub left_out_bytes: usize,
    /// RAM that the kernel was made to clear so far, at the most: an untyped counts as a whole,
    /// although the kernel clears only as much as was used of it.
    pub cleared_bytes: u64,
    /// Live objects by type.
    pub live: LiveObjects,
    /// Capability slots that are free, without growing the CSpace.
    pub free_slots: usize,
    /// Capability slots that can be had: those that are free, and as many as the CSpace can grow by
    /// where there is memory for that (16 bytes a slot; 32 on x86_64).
    pub obtainable_slots: usize,
    /// Objects that were freed but that the kernel refused to destroy.
    pub quarantined: usize,
    /// Memory in book-keeping nodes, used and spare.
    pub bookkeeping_bytes: usize,
}

impl Stats {
    /// RAM that can be had: in free untypeds and in objects that are ready.
    pub fn free_bytes(&self) -> usize {
        self.untyped_bytes + self.ready_bytes
    }

    /// One minus the largest free block's share of free untyped memory, in thousandths: 0 when all
    /// that is free is one block.
    pub fn fragmentation_permille(&self) -> usize {
        if self.untyped_bytes == 0 {
            return 0;
        }
        1000 - (self.largest_free_bytes as u64 * 1000 / self.untyped_bytes as u64) as usize
    }
}

/// How much of one size can be had, counted in pieces of that size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Obtainable {
    /// At once: of free untypeds, and ready frames of that size. No kernel call but retyping.
    pub now: usize,
    /// Once unused objects of all kinds are given back, free neighbours are coalesced, and what
    /// must be cleared in words ([`crate::Allocator::limit_clearing`]) is. Not less than `now`.
    pub coalesced: usize,
    /// Once pages are moved out of the way. Not less than `coalesced`.
    pub compacted: usize,
}
