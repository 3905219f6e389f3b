// SPDX-License-Identifier: BSD-2-Clause
//! Quotas: how much a space may have of everything that is short, counted together.
//!
//! Usage of memory is not booked but read off the space: its extents know how many pages they have
//! and how many copied capabilities they hold, its shadow how many page tables there are. So it
//! cannot drift.
//!
//! Everyone who has a page is charged for all of it, shared or not. So nothing that others do
//! changes what a space may still have: when the owner of shared memory leaves, those who keep it
//! from being free have paid for it; and the first write to a clone needs nothing that was not
//! counted when the clone was made. The limits of all spaces together are never less than the
//! memory they keep.

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
    #[must_use]
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
