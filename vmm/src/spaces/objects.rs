//! Kernel objects that count as a space's.

use untyped_alloc::{Blueprint, Kernel, Memory, Object};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
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
        let _reserve = self.refill()?;
        let object = self.alloc.allocate_charged(&mut self.kernel, blueprint, space.number())?;
        node.objects.set(node.objects.get() + 1);
        Ok(object)
    }

    /// Destroys an object that was allocated for this space; [`Vmm::free`] does so too. A space that
    /// has any is not destroyed.
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
}
