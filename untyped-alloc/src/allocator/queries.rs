// SPDX-License-Identifier: BSD-2-Clause
//! Look-ups of slots, objects and frames.

use super::Allocator;
use crate::state::{Chunk, Class, Room};
use crate::types::{
    Blueprint, CPtr, CapPath, Error, Frames, Mobility, Object, Objects, Result, SlotUse,
};

impl<'p> Allocator<'p> {
    /// How a CNode invocation names a slot of this CSpace.
    pub fn path(&self, slot: CPtr) -> CapPath {
        self.cspace.path(slot)
    }

    /// The CNode capability that resolves every CPtr of this CSpace with all bits of a word: what
    /// a new thread that shares the CSpace is given as its root. Once it was asked for, the root of
    /// a grown CSpace stays as long as there is this manager.
    pub fn cspace_root(&self) -> CPtr {
        self.cspace.tell_root()
    }

    /// Tells the allocator that the faults of the thread whose CSpace this is
    /// ([`crate::CSpaceInfo::tcb`]) go to `endpoint` from now on (the null capability: nowhere).
    /// When the CSpace grows, the kernel sets CSpace and fault endpoint in one.
    pub fn note_thread_faults(&mut self, thread: CPtr, endpoint: CPtr) {
        if thread == self.cspace.info().tcb {
            self.cspace.set_thread_faults(endpoint);
        }
    }

    /// The CNode object at the root of the grown CSpace, if it has grown.
    pub fn grown_root(&self) -> Option<Object> {
        self.cspace.growth().map(|growth| growth.object)
    }

    /// Slots that are free or could be opened without a kernel call.
    pub fn free_slot_count(&self) -> usize {
        self.slots.free_count() + self.cspace.unopened_slots()
    }

    /// Whether a slot is one of ours and free, in a window that is open.
    pub fn slot_is_free(&self, slot: CPtr) -> bool {
        self.slots.window_of(slot).is_some_and(|window| window.is_free(slot))
    }

    /// Whether the id still names an object.
    pub fn is_allocated(&self, object: Object) -> bool {
        self.find_live(object).is_ok()
    }

    /// What a live object is.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] or [`Error::Stale`] when there is no such object.
    pub fn blueprint_of(&self, object: Object) -> Result<Blueprint> {
        Ok(self.find_live(object)?.0.blueprint())
    }

    /// What objects are that were allocated together, at least one of which is live.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] or [`Error::Stale`] when there are no such objects.
    pub fn blueprint_of_many(&self, objects: Objects) -> Result<Blueprint> {
        let first = objects.first_slot();
        let (chunk, index) = self.chunks.find(first).ok_or(Error::NotAllocated(first))?;
        if chunk.serial() != objects.serial() || index != 0 || chunk.recycles() {
            return Err(Error::Stale(first));
        }
        Ok(chunk.blueprint())
    }

    /// What the capability in a slot of this CSpace is, as far as is known here. O(log n).
    pub fn slot_use(&self, slot: CPtr) -> SlotUse {
        if let Some((chunk, index)) = self.chunks.find(slot) {
            return match (chunk.recycles(), chunk.is_live(index)) {
                (true, _) => SlotUse::Kept,
                (false, true) => SlotUse::Object(chunk.blueprint()),
                (false, false) => SlotUse::Gone,
            };
        }
        let info = self.cspace.info();
        let initial = slot.bits() >> info.radix_bits == 0;
        if initial && !(info.first_free..info.end_free).contains(&slot.bits()) {
            return SlotUse::Foreign;
        }
        let Some(window) = self.slots.window_of(slot) else { return SlotUse::Gone };
        match (window.is_free(slot), self.slots.any_lent(slot, 1) == Some(true)) {
            (true, _) => SlotUse::Gone,
            (false, true) => SlotUse::Lent,
            (false, false) => SlotUse::Kept,
        }
    }

    /// Whether a frame of 2^`size_bits` bytes can be had without reclaiming anything.
    pub fn has_frames(&self, size_bits: u8) -> bool {
        let blueprint = Blueprint::Frame { size_bits };
        let classes = [Class::Zeroed, Class::EmptyZeroed, Class::Dirty, Class::EmptyDirty];
        self.has_ready(blueprint, &classes) || self.fit(size_bits, Mobility::Fixed).is_some()
    }

    /// Whether an object is ready in a chunk of one of these classes that recycles such objects,
    /// be they to stay or not. O(log chunks).
    pub(crate) fn has_ready(&self, blueprint: Blueprint, classes: &[Class]) -> bool {
        let kind = Room::new(true, blueprint);
        let kinds = [kind, kind.with_mobility(Mobility::Movable), kind.mixed()];
        let with_room = |&class: &Class, kind| self.chunks.with_room(class, kind).is_some();
        classes.iter().any(|class| kinds.into_iter().any(|kind| with_room(class, kind)))
    }

    /// Whether trying to have a frame of 2^`size_bits` bytes is worth it: one can be had at once,
    /// or there is memory enough and some of it is kept unused, which is reclaimed then. O(log n).
    pub fn may_have_frames(&self, size_bits: u8) -> bool {
        let enough = || self.most_frame_bytes() >> size_bits != 0;
        self.has_frames(size_bits) || (enough() && self.may_have_block(size_bits))
    }

    /// Whether trying to have a block of 2^`bits` bytes is worth it: there is one, or something is
    /// kept unused. O(log n).
    pub(crate) fn may_have_block(&self, bits: u8) -> bool {
        self.fit(bits, Mobility::Fixed).is_some()
            || self.chunks.unused().is_some()
            || self.coalescible(bits).is_some()
    }

    /// All RAM that came in as untypeds, in bytes. O(1).
    pub fn ram_bytes(&self) -> usize {
        self.blocks.total_bytes()
    }

    /// RAM in free untypeds, in bytes. O(1).
    pub fn free_block_bytes(&self) -> usize {
        self.blocks.free_bytes()
    }

    /// The most bytes of frames that a request could possibly have: all RAM but the frames that are
    /// allocated. What exceeds this cannot be met, whatever is reclaimed. O(1).
    pub fn most_frame_bytes(&self) -> usize {
        let sizes = self.sizes.frame_bits.iter();
        let live: usize = sizes.zip(self.live.frames).map(|(&bits, count)| count << bits).sum();
        // Frames of device memory are counted among the live ones, and are none of the RAM.
        let of_ram = live.saturating_sub(self.blocks.device_used_bytes());
        self.blocks.total_bytes().saturating_sub(of_ram)
    }

    /// Whether `frames` are all handed out.
    pub fn frames_are_allocated(&self, frames: Frames) -> bool {
        self.recycling_run(Blueprint::Frame { size_bits: frames.size_bits }, frames).is_ok()
    }

    /// Whether two frames came with one retype, so that their memory goes back together.
    pub fn same_batch(&self, one: CPtr, other: CPtr) -> bool {
        let found = self.chunks.find(one);
        found.is_some_and(|(chunk, _)| chunk.recycles() && chunk.index_of(other).is_some())
    }

    /// The chunk and the number of a live object that is destroyed when freed.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] or [`Error::Stale`] when there is no such object.
    #[inline]
    pub(crate) fn find_live(&self, object: Object) -> Result<(&'p Chunk<'p>, usize)> {
        let slot = object.slot();
        let (chunk, index) = self.chunks.find(slot).ok_or(Error::NotAllocated(slot))?;
        if chunk.serial() != object.serial() || chunk.recycles() || !chunk.is_live(index) {
            return Err(Error::Stale(slot));
        }
        Ok((chunk, index))
    }

    /// The chunk and the first number of a run of live objects that are recycled.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless all of them are live and of this kind.
    pub(crate) fn recycling_run(
        &self,
        blueprint: Blueprint,
        run: Frames,
    ) -> Result<(&'p Chunk<'p>, usize)> {
        let refused = Error::NotAllocated(run.first);
        let (chunk, index) = self.chunks.find(run.first).ok_or(refused)?;
        (chunk.recycles_as(blueprint) && run.count != 0 && chunk.all_live(index, run.count))
            .then_some((chunk, index))
            .ok_or(refused)
    }
}
