// SPDX-License-Identifier: BSD-2-Clause
//! Limits of a space: read off what it has, and held.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::quota::{Quota, Resource};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Limits a space. A limit below what it has takes nothing away, but allows no more.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn set_quota(&mut self, space: SpaceId, quota: Quota) -> Result {
        self.space(space)?.set_quota(quota);
        Ok(())
    }

    /// The limits of a space.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn quota(&self, space: SpaceId) -> Result<Quota> {
        Ok(self.space(space)?.quota())
    }

    /// What a space has.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn usage(&self, space: SpaceId) -> Result<Quota> {
        Ok(self.usage_of(self.space(space)?))
    }

    fn usage_of(&self, space: &Space<'p>) -> Quota {
        let extents = space.extents();
        let totals = extents.totals();
        let frames = (totals.owned_bytes() + totals.copied_bytes()) >> self.geometry.page_bits;
        // The large frame of a promotion is in the manager's own space, and not on its account.
        let own = core::ptr::eq(space, self.own);
        let promotion = self.promotions.under_way.as_ref().filter(|_| own);
        let in_transit = promotion.map_or(0, |promotion| promotion.pages());
        Quota {
            frames: frames - in_transit,
            tables: space.shadow.borrow().len(),
            slots: totals.copies(),
            objects: space.objects.get(),
        }
    }

    /// How much more of a resource a space may have.
    pub(crate) fn quota_left(&self, space: &Space<'p>, resource: Resource) -> usize {
        match space.quota().of(resource) {
            usize::MAX => usize::MAX,
            limit => limit.saturating_sub(self.usage_of(space).of(resource)),
        }
    }

    /// Refuses what would take a space over its limit.
    #[inline(always)]
    pub(crate) fn check_quota(&self, space: &Space<'p>, resource: Resource, more: usize) -> Result {
        match space.quota().of(resource) {
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
            let space = space.id.get();
            return Err(Error::OutOfQuota { space, resource, limit, used, wanted: more });
        }
        Ok(())
    }
}
