// SPDX-License-Identifier: BSD-2-Clause
//! Frames mapped for a moment, to be cleared and copied.

use untyped_alloc::{CPtr, CachePolicy, Frames, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::reserve::Reserve;
use crate::state::temp_slots::TempSlot;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a frame of the smallest size at a temporary slot; returns where that is.
    pub(crate) fn map_temporarily(
        &mut self,
        reserve: &mut Reserve,
        temp_slot: TempSlot,
        frame: CPtr,
    ) -> Result<usize> {
        self.unmap_temporary(temp_slot)?;
        // The kernel has a capability mapped in one place at a time: a page of a store, which is
        // mapped nowhere else, may be at the other slot still.
        if let Some(other) = self.temp_slots.holding(frame) {
            self.unmap_temporary(other)?;
        }
        let address = self.temp_slots.page(temp_slot);
        let rights = match temp_slot {
            TempSlot::Target => Rights::READ_WRITE,
            TempSlot::View => Rights::READ,
        };
        if !self.temp_slots.is_reached(temp_slot, self.own.changes()) {
            let deepest = self.geometry.levels.len() as u8 - 1;
            self.ensure_tables(reserve, self.own, address, deepest)?;
            self.temp_slots.reach(temp_slot, self.own.changes());
        }
        let vspace = self.own.root.get();
        self.kernel.page_map(frame, vspace, address.bits(), rights, CachePolicy::WriteBack)?;
        self.temp_slots.insert(temp_slot, frame);
        Ok(address.bits())
    }

    /// Unmaps what is mapped at a temporary slot, if anything.
    pub(crate) fn unmap_temporary(&mut self, temp_slot: TempSlot) -> Result {
        let Some((frame, free_deferred)) = self.temp_slots.held(temp_slot) else { return Ok(()) };
        self.kernel.page_unmap(frame)?;
        self.temp_slots.remove(temp_slot);
        if free_deferred {
            let size_bits = self.geometry.page_bits;
            let frames = Frames { first: frame, count: 1, size_bits };
            self.alloc.free_frames(frames)?;
        }
        Ok(())
    }

    /// Gives frames of the smallest size back, of which one may still be mapped at a temporary
    /// slot: that one is left to the slot.
    pub(crate) fn free_or_defer(&mut self, frames: Frames) {
        for index in 0..frames.count {
            let first = frames.first.offset(index);
            match self.temp_slots.holding(first) {
                Some(temp_slot) => self.temp_slots.defer_free(temp_slot),
                // They are recorded as taken from the allocator, so it takes them.
                None => {
                    let _ = self.alloc.free_frames(Frames { first, count: 1, ..frames });
                }
            }
        }
    }

    /// Deletes a capability that was made for a moment, and gives its slot back. If the kernel
    /// refuses, it is remembered, and deleted before the next one is made.
    pub(crate) fn delete_temporary(&mut self, slot: CPtr) -> Result {
        self.temp_slots.stuck = Some(slot);
        self.retry_stuck()
    }

    /// Deletes the capability that was remembered, if there is one: to be called before another is
    /// made.
    pub(crate) fn retry_stuck(&mut self) -> Result {
        let Some(slot) = self.temp_slots.stuck else { return Ok(()) };
        // Deleting a copy does not unmap it: the kernel does that with the last capability only.
        if let Some(temp_slot) = self.temp_slots.holding(slot) {
            self.unmap_temporary(temp_slot)?;
        }
        self.kernel.cnode_delete(self.alloc.path(slot))?;
        self.temp_slots.stuck = None;
        Ok(self.alloc.free_kept_slots(slot, 1)?)
    }
}
