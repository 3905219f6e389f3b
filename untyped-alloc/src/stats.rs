//! What the allocator knows about itself.

use crate::allocator::Allocator;
use crate::block::State;
use crate::kernel::{Blueprint, ObjectSizes};

/// Live objects by type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiveObjects {
    /// Untypeds handed out as objects.
    pub untypeds: usize,
    /// Thread control blocks.
    pub tcbs: usize,
    /// Endpoints.
    pub endpoints: usize,
    /// Notifications.
    pub notifications: usize,
    /// CNodes, those that the CSpace grew by included.
    pub cnodes: usize,
    /// Frames of each size, smallest size first.
    pub frames: [usize; 3],
    /// VSpace roots.
    pub vspaces: usize,
    /// Paging structures below the root.
    pub tables: usize,
}

impl LiveObjects {
    fn field(&mut self, sizes: &ObjectSizes, blueprint: Blueprint) -> &mut usize {
        match blueprint {
            Blueprint::Untyped { .. } => &mut self.untypeds,
            Blueprint::Tcb => &mut self.tcbs,
            Blueprint::Endpoint => &mut self.endpoints,
            Blueprint::Notification => &mut self.notifications,
            Blueprint::CNode { .. } => &mut self.cnodes,
            Blueprint::Frame { size_bits } => {
                let index = sizes.frame_bits.iter().position(|&bits| bits == size_bits);
                &mut self.frames[index.unwrap_or(0)]
            }
            Blueprint::Table { level: 0 } => &mut self.vspaces,
            Blueprint::Table { .. } => &mut self.tables,
        }
    }

    pub(crate) fn add(&mut self, sizes: &ObjectSizes, blueprint: Blueprint, count: usize) {
        *self.field(sizes, blueprint) += count;
    }

    pub(crate) fn sub(&mut self, sizes: &ObjectSizes, blueprint: Blueprint, count: usize) {
        *self.field(sizes, blueprint) -= count;
    }

    pub(crate) fn of(mut self, sizes: &ObjectSizes, blueprint: Blueprint) -> usize {
        *self.field(sizes, blueprint)
    }
}

/// A snapshot of the allocator. Bytes are of RAM unless they say otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// All RAM that came in as untypeds.
    pub total_bytes: usize,
    /// RAM in free untypeds.
    pub untyped_bytes: usize,
    /// RAM in objects that are ready to be handed out (clean or dirty frames, page tables, …).
    pub ready_bytes: usize,
    /// The largest free untyped, 0 when there is none. Uniting may make a larger one.
    pub largest_free_bytes: usize,
    /// Free untypeds by size: entry n counts those of 2^n bytes.
    pub free_by_size: [u32; 64],
    /// Device memory that came in as untypeds.
    pub device_bytes: usize,
    /// RAM that the kernel was made to clear so far, at the most: an untyped counts as a whole,
    /// although the kernel clears only as much as was used of it.
    pub cleared_bytes: u64,
    /// Live objects by type.
    pub live: LiveObjects,
    /// Capability slots that are free, without growing the CSpace.
    pub free_slots: usize,
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
