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

use crate::error::{Error, Result};
use crate::ids::SpaceId;
use crate::space::Space;
use crate::vmm::Vmm;

/// What a space has, or the most it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Pages of the smallest size: its own, shared or not, and those that others share with it.
    pub frames: usize,
    /// Page tables, empty ones that it keeps included; its root is not counted.
    pub tables: usize,
    /// Capability slots of the frames that others share with it.
    pub slots: usize,
    /// Kernel objects that were allocated for it: threads, CNodes, endpoints, …
    pub objects: usize,
}

/// What there is a quota for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// Pages.
    Frames,
    /// Page tables.
    Tables,
    /// Capability slots.
    Slots,
    /// Kernel objects that are neither pages nor page tables.
    Objects,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 4] =
        [Resource::Frames, Resource::Tables, Resource::Slots, Resource::Objects];
}

impl Quota {
    /// As much as there is.
    pub const UNLIMITED: Quota =
        Quota { frames: usize::MAX, tables: usize::MAX, slots: usize::MAX, objects: usize::MAX };

    /// How much of one resource.
    #[inline]
    pub fn of(&self, resource: Resource) -> usize {
        match resource {
            Resource::Frames => self.frames,
            Resource::Tables => self.tables,
            Resource::Slots => self.slots,
            Resource::Objects => self.objects,
        }
    }

    /// More of everything by `more`. What is unlimited stays so.
    pub fn plus(self, more: Quota) -> Quota {
        let sum = |resource| self.of(resource).saturating_add(more.of(resource));
        Quota::from_each(sum)
    }

    /// Less of everything by `less`; or the first resource of which there is not as much. What is
    /// unlimited stays so.
    ///
    /// # Errors
    /// That resource.
    pub fn minus(self, less: Quota) -> core::result::Result<Quota, Resource> {
        let short = |&resource: &Resource| {
            self.of(resource) != usize::MAX && self.of(resource) < less.of(resource)
        };
        if let Some(resource) = Resource::ALL.into_iter().find(short) {
            return Err(resource);
        }
        Ok(Quota::from_each(|resource| match self.of(resource) {
            usize::MAX => usize::MAX,
            limit => limit - less.of(resource),
        }))
    }

    fn from_each(of: impl Fn(Resource) -> usize) -> Quota {
        Quota {
            frames: of(Resource::Frames),
            tables: of(Resource::Tables),
            slots: of(Resource::Slots),
            objects: of(Resource::Objects),
        }
    }
}

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

    fn usage_of(&self, space: &Space<'p>) -> Quota {
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
    fn check_limit(
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
