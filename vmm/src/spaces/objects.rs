//! Kernel objects that count as a space's.

use untyped_alloc::{Blueprint, Kernel, Memory, Object};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Allocates a kernel object that counts as a space's. As [`Vmm::allocate`].
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`]; [`crate::Error::OutOfQuota`]; those of [`Vmm::allocate`].
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
    /// [`crate::Error::NoSuchSpace`]; those of [`Vmm::free`].
    pub fn free_for(&mut self, space: SpaceId, object: Object) -> Result {
        let node = self.space(space)?;
        self.free(object)?;
        node.objects.set(node.objects.get().saturating_sub(1));
        Ok(())
    }
}
