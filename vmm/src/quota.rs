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

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
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
}
