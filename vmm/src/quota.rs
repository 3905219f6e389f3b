//! Quotas: how much a space may have of everything that is short, counted together.
//!
//! Usage is not booked but read off the space: its runs know how many pages they own and how many
//! copied capabilities they hold, its shadow how many page tables there are. So it cannot drift.

use untyped_alloc::{Kernel, Memory};

use crate::error::{Error, Result};
use crate::ids::SpaceId;
use crate::space::Space;
use crate::vmm::Vmm;

/// What a space has, or the most it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Pages of the smallest size that it owns: its own memory, shared or not.
    pub frames: usize,
    /// Page tables, empty ones that it keeps included; its root is not counted.
    pub tables: usize,
    /// Capability slots of the frames that others share with it.
    pub slots: usize,
}

/// What there is a quota for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// Pages that it owns.
    Frames,
    /// Page tables.
    Tables,
    /// Capability slots.
    Slots,
    /// Kernel objects that are neither pages nor page tables: those of the service's clients.
    Objects,
}

impl Quota {
    /// As much as there is.
    pub const UNLIMITED: Quota =
        Quota { frames: usize::MAX, tables: usize::MAX, slots: usize::MAX };

    /// How much of one resource.
    #[inline]
    pub fn of(&self, resource: Resource) -> usize {
        match resource {
            Resource::Frames => self.frames,
            Resource::Tables => self.tables,
            Resource::Slots => self.slots,
            // Counted by who allocates them for a space: see `crate::service::Limits`.
            Resource::Objects => usize::MAX,
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

    fn usage_of(&self, space: &Space<'p>) -> Quota {
        let runs = space.runs.borrow();
        Quota {
            frames: runs.owned_pages(),
            tables: space.shadow.borrow().len(),
            slots: runs.copies(),
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
