// SPDX-License-Identifier: BSD-2-Clause
//! Giving kernel objects and slots back.
//!
//! What is mapped is not given back: its record would name a capability that is gone, or the next
//! one that comes to its slot. Frames that callers bring are the only objects of theirs that can be
//! mapped, so while there are none of those, nothing is looked for.

use untyped_alloc::{Blueprint, CPtr, CapPath, Kernel, Memory, Object, Objects, SlotUse};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Destroys an object, and everything that was derived from its capability.
    ///
    /// # Errors
    /// [`Error::InUse`] for a frame that is mapped; [`Error::Allocator`] for an object that was
    /// freed before, or when the kernel refuses: then it is still there.
    pub fn free(&mut self, object: Object) -> Result {
        if self.borrowed != 0 {
            let blueprint = self.alloc.blueprint_of(object)?;
            self.check_unmapped(blueprint, object.slot(), 1)?;
        }
        self.alloc.free(&mut self.kernel, object)?;
        self.counts_no_more(object);
        Ok(())
    }

    /// Takes back an object that is as it was when it was made, and from whose capability none is
    /// derived: a CNode without a capability in it. It may be handed out again. No kernel call, or
    /// those of [`Vmm::free`].
    ///
    /// # Errors
    /// As [`Vmm::free`].
    pub fn free_unchanged(&mut self, object: Object) -> Result {
        self.alloc.free_unchanged(&mut self.kernel, object)?;
        self.counts_no_more(object);
        Ok(())
    }

    /// Takes an object out of the account that it is in, if it is in one.
    fn counts_no_more(&mut self, object: Object) {
        if let Some(space) = self.spaces.with_number(object.account()) {
            space.objects.set(space.objects.get() - 1);
        }
    }

    /// Destroys objects that were allocated together.
    ///
    /// # Errors
    /// As [`Vmm::free`]; nothing is destroyed then.
    pub fn free_many(&mut self, objects: Objects) -> Result {
        if self.borrowed != 0 {
            let blueprint = self.alloc.blueprint_of_many(objects)?;
            self.check_unmapped(blueprint, objects.first_slot(), objects.len())?;
        }
        Ok(self.alloc.free_many(&mut self.kernel, objects)?)
    }

    /// Gives slots back that [`Vmm::alloc_slots`] gave. They must be empty: delete what is in them
    /// first.
    ///
    /// # Errors
    /// [`Error::InUse`] where one of them holds a capability that is mapped;
    /// [`Error::Allocator`] with `NotAllocated` for slots that are not the caller's.
    pub fn free_slots(&mut self, first: CPtr, count: usize) -> Result {
        if self.borrowed != 0 {
            self.check_no_extent_has(first, count)?;
        }
        let freed = self.alloc.free_slots(first, count);
        freed.map_err(|error| self.in_use(first, count).unwrap_or(error.into()))
    }

    /// Refuses frames of a caller's that are mapped. Other objects are passed.
    fn check_unmapped(&self, blueprint: Blueprint, first: CPtr, count: usize) -> Result {
        match blueprint {
            Blueprint::Frame { .. } => self.check_no_extent_has(first, count),
            _ => Ok(()),
        }
    }

    /// Refuses a slot of the manager's CSpace that is not a caller's to empty: one of the manager's
    /// own, of an object, or of a frame that is mapped.
    ///
    /// # Errors
    /// [`Error::InUse`]; [`Error::Allocator`] with `NotAllocated`.
    pub(crate) fn check_callers_slot(&self, slot: CPtr) -> Result {
        let lent = self.alloc.slot_use(slot) == SlotUse::Lent;
        if lent && self.borrowed == 0 {
            return Ok(());
        }
        self.check_no_extent_has(slot, 1)?;
        match lent {
            true => Ok(()),
            false => Err(untyped_alloc::Error::NotAllocated(slot).into()),
        }
    }

    /// As [`Vmm::check_callers_slot`], for what may be a slot of another CSpace, where all are the
    /// caller's, or none of the manager's doing.
    pub(crate) fn check_callers_path(&self, path: CapPath) -> Result {
        let slot = CPtr::new(path.index);
        let foreign = self.alloc.path(slot) != path;
        match foreign || self.alloc.slot_use(slot) == SlotUse::Foreign {
            true => Ok(()),
            false => self.check_callers_slot(slot),
        }
    }

    /// Refuses capabilities that cannot be mapped as a caller's frames, as far as the manager
    /// knows. O(count log n), and O(extents of all spaces) where callers' frames are mapped.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NoPage`]; [`Error::Allocator`] with `NotAllocated`.
    pub(crate) fn check_can_borrow(&self, first: CPtr, count: usize) -> Result {
        let small = Blueprint::Frame { size_bits: self.geometry.page_bits };
        for index in 0..count {
            let gone = untyped_alloc::Error::NotAllocated(first);
            let slot = first.bits().checked_add(index).ok_or(gone)?;
            let slot = CPtr::new(slot);
            match self.alloc.slot_use(slot) {
                SlotUse::Object(blueprint) if blueprint == small => {}
                SlotUse::Object(_) => return Err(Error::NoPage(slot)),
                // What is in it, the kernel knows.
                SlotUse::Lent | SlotUse::Foreign => {}
                SlotUse::Kept | SlotUse::Gone => {
                    let gone = untyped_alloc::Error::NotAllocated(slot);
                    return Err(self.in_use(slot, 1).unwrap_or(gone.into()));
                }
            }
        }
        match self.borrowed {
            0 => Ok(()),
            _ => self.check_no_extent_has(first, count),
        }
    }

    fn check_no_extent_has(&self, first: CPtr, count: usize) -> Result {
        self.in_use(first, count).map_or(Ok(()), Err)
    }

    /// Where a capability in one of these slots is mapped, as an error. O(extents of all spaces).
    #[cold]
    pub(crate) fn in_use(&self, first: CPtr, count: usize) -> Option<Error> {
        let (first, end) = (first.bits(), first.bits().saturating_add(count));
        for space in self.spaces.iter() {
            for extent in space.extents().iter() {
                let its = extent.frames.first.bits();
                if its < end && first < its + extent.frames.count {
                    let address = extent.address(first.saturating_sub(its)).bits();
                    return Some(Error::InUse { space: space.id.get(), address });
                }
            }
        }
        None
    }
}
