// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects and slots for callers; and objects that count as a space's.

use untyped_alloc::{Blueprint, CPtr, Kernel, Memory, Object, Objects};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Allocates a kernel object (an endpoint, a thread control block, …) with a slot of its own.
    ///
    /// Its memory is clear. Usually one kernel call, or none for small objects.
    pub fn allocate(&mut self, blueprint: Blueprint) -> Result<Object> {
        self.under_pressure_reclaiming(|vmm| vmm.try_allocate(blueprint))
    }

    fn try_allocate(&mut self, blueprint: Blueprint) -> Result<Object> {
        let _reserve = self.refill_to_take()?;
        self.alloc_or_prune(|alloc, kernel| alloc.allocate(kernel, blueprint))
    }

    /// Allocates `count` (1 to 256) kernel objects in consecutive slots with one retype.
    pub fn allocate_many(&mut self, blueprint: Blueprint, count: usize) -> Result<Objects> {
        self.under_pressure_reclaiming(|vmm| vmm.try_allocate_many(blueprint, count))
    }

    fn try_allocate_many(&mut self, blueprint: Blueprint, count: usize) -> Result<Objects> {
        let _reserve = self.refill_to_take()?;
        self.alloc_or_prune(|alloc, kernel| alloc.allocate_many(kernel, blueprint, count))
    }

    /// Takes `count` (1 to 256) consecutive empty capability slots.
    pub fn alloc_slots(&mut self, count: usize) -> Result<CPtr> {
        self.under_pressure_reclaiming(|vmm| vmm.try_alloc_slots(count))
    }

    fn try_alloc_slots(&mut self, count: usize) -> Result<CPtr> {
        let _reserve = self.refill()?;
        self.alloc_or_prune(|alloc, kernel| alloc.alloc_slots(kernel, count))
    }

    /// Allocates a kernel object that counts as a space's. As [`Vmm::allocate`].
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::OutOfQuota`]; those of [`Vmm::allocate`].
    pub fn allocate_for(&mut self, space: SpaceId, blueprint: Blueprint) -> Result<Object> {
        self.under_pressure_reclaiming(|vmm| vmm.try_allocate_for(space, blueprint))
    }

    fn try_allocate_for(&mut self, space: SpaceId, blueprint: Blueprint) -> Result<Object> {
        let node = self.space(space)?;
        self.check_quota(node, Resource::Objects, 1)?;
        let _reserve = self.refill_to_take()?;
        let account = space.number();
        let object = self
            .alloc_or_prune(|alloc, kernel| alloc.allocate_charged(kernel, blueprint, account))?;
        node.objects.set(node.objects.get() + 1);
        Ok(object)
    }

    /// Destroys an object that was allocated for this space; [`Vmm::free`] does so too. A space
    /// that has any is not destroyed.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::NotOfSpace`] for an object that counts as another space's,
    /// or as none's; those of [`Vmm::free`].
    pub fn free_for(&mut self, space: SpaceId, object: Object) -> Result {
        self.space(space)?;
        if object.account() != space.number() {
            return Err(Error::NotOfSpace { space, slot: object.slot() });
        }
        self.free(object)
    }

    /// Deletes all capabilities that are derived from an object's, which was allocated for this
    /// space and counts as nobody's from now on: returns its id. One kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::NotOfSpace`] as [`Vmm::free_for`]; [`Error::Allocator`] for
    /// an object that was freed before; [`Error::Kernel`]. Then it counts as it did.
    pub fn part_from(&mut self, space: SpaceId, object: Object) -> Result<Object> {
        let node = self.space(space)?;
        if object.account() != space.number() {
            return Err(Error::NotOfSpace { space, slot: object.slot() });
        }
        self.alloc.blueprint_of(object)?;
        self.kernel.cnode_revoke(self.alloc.path(object.slot()))?;
        node.objects.set(node.objects.get() - 1);
        Ok(Object::from_parts(object.slot(), object.serial()))
    }
}
