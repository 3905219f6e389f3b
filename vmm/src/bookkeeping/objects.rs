//! Kernel objects and slots for callers.

use untyped_alloc::{Blueprint, CPtr, Kernel, Memory, Object, Objects};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Allocates a kernel object (an endpoint, a thread control block, …) with a slot of its own.
    ///
    /// Its memory is clear. Usually one kernel call, or none for small objects.
    pub fn allocate(&mut self, blueprint: Blueprint) -> Result<Object> {
        let _reserve = self.refill()?;
        self.take(|alloc, kernel| alloc.allocate(kernel, blueprint))
    }

    /// Allocates `count` (1 to 256) kernel objects in consecutive slots with one retype.
    pub fn allocate_many(&mut self, blueprint: Blueprint, count: usize) -> Result<Objects> {
        let _reserve = self.refill()?;
        self.take(|alloc, kernel| alloc.allocate_many(kernel, blueprint, count))
    }

    /// Takes `count` (1 to 256) consecutive empty capability slots.
    pub fn alloc_slots(&mut self, count: usize) -> Result<CPtr> {
        let _reserve = self.refill()?;
        Ok(self.alloc.alloc_slots(&mut self.kernel, count)?)
    }
}
