// SPDX-License-Identifier: BSD-2-Clause
//! Freeing objects: they are destroyed, or quarantined where the kernel refuses; or kept as they are.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{Class, Room};
use crate::types::{CPtr, Error, Invocation, Object, ObjectState, Objects, Result};

impl Allocator<'_> {
    /// Destroys an object and everything derived from its capability. One kernel call, or two while
    /// others of its chunk live.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] or [`Error::Stale`] when there is no such object;
    /// [`Error::Kernel`] when the kernel refuses: the object is still there, free it again.
    pub fn free(&mut self, kernel: &mut impl Kernel, object: Object) -> Result<()> {
        let (chunk, index) = self.find_live(object)?;
        if chunk.live() == 1 && chunk.ready() == 0 {
            self.release_chunk(kernel, chunk)?;
        } else {
            // Revoked and not deleted, the object is still live and can be freed again.
            let path = self.path(object.slot());
            kernel
                .cnode_revoke(path)
                .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
            kernel
                .cnode_delete(path)
                .map_err(|error| Error::Kernel { invocation: Invocation::CNodeDelete, error })?;
            self.retire(chunk, index);
        }
        Ok(())
    }

    /// Takes back an object that is as it was when it was made, and from whose capability none is
    /// derived: a CNode without a capability in it. The next that is allocated is this one, if it
    /// came alone and none like it is kept already; else it is destroyed. No kernel call where it
    /// is kept.
    ///
    /// # Errors
    /// As [`Allocator::free`]. The id is stale from now on, whatever became of the object.
    pub fn free_unchanged(&mut self, kernel: &mut impl Kernel, object: Object) -> Result<()> {
        let (chunk, index) = self.find_live(object)?;
        let kind = Room::new(false, chunk.blueprint());
        let has_one = self.chunks.with_room(Class::EmptyZeroed, kind).is_some();
        if has_one || chunk.count() != 1 {
            return self.free(kernel, object);
        }
        self.live.sub(&self.sizes, chunk.blueprint(), 1);
        self.chunks.free(chunk, index, 1, ObjectState::Ready { clean: true });
        let serial = self.next_serial();
        self.chunks.renumber(chunk, serial);
        Ok(())
    }

    /// Destroys objects that were allocated together. One kernel call.
    ///
    /// # Errors
    /// As [`Allocator::free`]. Those of them that were freed singly before are passed over.
    pub fn free_many(&mut self, kernel: &mut impl Kernel, objects: Objects) -> Result<()> {
        let first = objects.first_slot();
        let (chunk, index) = self.chunks.find(first).ok_or(Error::NotAllocated(first))?;
        if chunk.serial() != objects.serial() || index != 0 || chunk.recycles() {
            return Err(Error::Stale(first));
        }
        self.release_chunk(kernel, chunk)
    }

    /// Destroys an object on a path that must not fail: if the kernel refuses, it goes to the
    /// quarantine, is counted there and retried. Returns whether it is gone.
    pub fn free_or_quarantine(&mut self, kernel: &mut impl Kernel, object: Object) -> bool {
        if self.free(kernel, object).is_ok() {
            return true;
        }
        if let Ok((chunk, index)) = self.find_live(object) {
            self.retire(chunk, index);
        }
        false
    }

    /// Destroys `count` objects in consecutive slots from `first` on, on a path that must not fail:
    /// with one kernel call when they are all that is left of what they were allocated with.
    pub fn free_run_or_quarantine(&mut self, kernel: &mut impl Kernel, first: CPtr, count: usize) {
        let Some((chunk, index)) = self.chunks.find(first) else { return };
        if chunk.recycles() || !chunk.all_live(index, count) {
            return;
        }
        let whole = chunk.live() == count;
        if whole && self.release_chunk(kernel, chunk).is_ok() {
            return;
        }
        for slot in (0..count).map(|index| first.offset(index)) {
            self.free_or_quarantine(kernel, Object::new(slot, chunk.serial()));
        }
    }
}
