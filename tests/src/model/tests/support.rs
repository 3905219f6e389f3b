//! One helper for each idea.

use untyped_alloc::kernel::{Blueprint, CPtr, CapPath, Kernel, KernelResult, Rights};

use crate::model::{Arena, BootConfig, ModelKernel, slot};

/// A small machine, and the next free slot.
pub(super) struct Host {
    pub(super) kernel: ModelKernel<'static>,
    next: usize,
}

/// A 4 KiB frame.
pub(super) const FRAME: Blueprint = Blueprint::Frame { size_bits: 12 };
/// A 4 MiB frame.
pub(super) const LARGE: Blueprint = Blueprint::Frame { size_bits: 22 };
/// A page table of IA32.
pub(super) const TABLE: Blueprint = Blueprint::Table { level: 1 };
/// A VSpace root.
pub(super) const ROOT: Blueprint = Blueprint::Table { level: 0 };
/// The right to read and write.
pub(super) const RW: Rights = Rights::READ_WRITE;
/// An address where nothing is mapped.
pub(super) const FREE: usize = 0x4000_0000;

/// The slot of the initial CNode at `cptr`.
pub(super) fn at(cptr: CPtr) -> CapPath {
    CapPath {
        root: CPtr::new(slot::CNODE),
        index: cptr.bits(),
        depth: 32,
    }
}

/// The initial CNode itself, for a retype.
pub(super) fn node() -> CapPath {
    CapPath {
        root: CPtr::new(slot::CNODE),
        index: 0,
        depth: 0,
    }
}

impl Host {
    pub(super) fn small() -> Host {
        Host::new(&BootConfig::small())
    }

    pub(super) fn new(config: &BootConfig) -> Host {
        let kernel = ModelKernel::boot(Box::leak(Box::new(Arena::new())), config);
        let next = kernel.facts().free.start;
        Host { kernel, next }
    }

    /// The boot's untyped number `i`; for the small machine 2^22, 2^16, 2^12, 2^12, 2^7 bytes and
    /// 2^22 of a device.
    pub(super) fn untyped(&self, i: usize) -> CPtr {
        CPtr::new(self.kernel.facts().untypeds[i].slot)
    }

    /// The first `count` slots that were not given out yet.
    pub(super) fn slots(&mut self, count: usize) -> CPtr {
        self.next += count;
        CPtr::new(self.next - count)
    }

    pub(super) fn retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        first: CPtr,
        count: usize,
    ) -> KernelResult {
        self.kernel
            .untyped_retype(untyped, blueprint, node(), first.bits(), count)
    }

    /// One new object.
    pub(super) fn make(&mut self, untyped: CPtr, blueprint: Blueprint) -> CPtr {
        let slot = self.slots(1);
        self.retype(untyped, blueprint, slot, 1)
            .expect("room for an object");
        slot
    }
}
