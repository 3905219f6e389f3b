//! Quotas: how much a space may have of everything that is short, counted together.
//!
//! Usage of memory is not booked but read off the space: its runs know how many pages they have and
//! how many copied capabilities they hold, its shadow how many page tables there are. So it cannot
//! drift.
//!
//! Everyone who has a page is charged for all of it, shared or not. So nothing that others do changes
//! what a space may still have: when the owner of shared memory leaves, those who keep it from being
//! free have paid for it; and the first write to a clone needs nothing that was not counted when the
//! clone was made. The limits of all spaces together are never less than the memory they keep.

use untyped_alloc::{Blueprint, Kernel, Memory, Object};

use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::quota::{Quota, Resource};
use crate::vmm::Vmm;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Limits a space. A limit below what it has takes nothing away, but allows no more.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn set_quota(&mut self, space: SpaceId, quota: Quota) -> Result {
        self.space(space)?.quota.set(quota);
        Ok(())
    }

    /// The limits of a space.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn quota(&self, space: SpaceId) -> Result<Quota> {
        Ok(self.space(space)?.quota.get())
    }

    /// What a space has.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn usage(&self, space: SpaceId) -> Result<Quota> {
        Ok(self.usage_of(self.space(space)?))
    }

    /// Allocates a kernel object that counts as a space's. As [`Vmm::allocate`].
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::OutOfQuota`]; those of [`Vmm::allocate`].
    pub fn allocate_for(&mut self, space: SpaceId, blueprint: Blueprint) -> Result<Object> {
        let node = self.space(space)?;
        self.check_quota(node, Resource::Objects, 1)?;
        let object = self.allocate(blueprint)?;
        node.objects.set(node.objects.get() + 1);
        Ok(object)
    }

    /// Destroys an object that was allocated for a space. A space that has any is not destroyed.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; those of [`Vmm::free`].
    pub fn free_for(&mut self, space: SpaceId, object: Object) -> Result {
        let node = self.space(space)?;
        self.free(object)?;
        node.objects.set(node.objects.get().saturating_sub(1));
        Ok(())
    }

    pub(crate) fn usage_of(&self, space: &Space<'p>) -> Quota {
        let runs = space.runs.borrow();
        Quota {
            frames: runs.owned_pages() + runs.copied_pages(),
            tables: space.shadow.borrow().len(),
            slots: runs.copies(),
            objects: space.objects.get(),
        }
    }

    /// How much more of a resource a space may have.
    pub(crate) fn quota_left(&self, space: &Space<'p>, resource: Resource) -> usize {
        match space.quota.get().of(resource) {
            usize::MAX => usize::MAX,
            limit => limit.saturating_sub(self.usage_of(space).of(resource)),
        }
    }

    /// Refuses what would take a space over its limit.
    #[inline(always)]
    pub(crate) fn check_quota(&self, space: &Space<'p>, resource: Resource, more: usize) -> Result {
        match space.quota.get().of(resource) {
            usize::MAX => Ok(()),
            limit => self.check_limit(space, resource, limit, more),
        }
    }

    #[inline(never)]
    pub(crate) fn check_limit(
        &self,
        space: &Space<'p>,
        resource: Resource,
        limit: usize,
        more: usize,
    ) -> Result {
        let used = self.usage_of(space).of(resource);
        if more > limit.saturating_sub(used) {
            return Err(Error::OutOfQuota { space: space.id.get(), resource, limit, used });
        }
        Ok(())
    }
}
