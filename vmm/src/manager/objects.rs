//! Giving kernel objects and slots back.

use untyped_alloc::{CPtr, Kernel, Memory, Object, Objects};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Destroys an object, and everything that was derived from its capability.
    pub fn free(&mut self, object: Object) -> Result {
        Ok(self.alloc.free(&mut self.kernel, object)?)
    }

    /// Destroys objects that were allocated together.
    pub fn free_many(&mut self, objects: Objects) -> Result {
        Ok(self.alloc.free_many(&mut self.kernel, objects)?)
    }

    /// Gives slots back. They must be empty: delete what is in them first.
    pub fn free_slots(&mut self, first: CPtr, count: usize) -> Result {
        Ok(self.alloc.free_slots(first, count)?)
    }
}
