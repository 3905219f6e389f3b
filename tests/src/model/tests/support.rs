// SPDX-License-Identifier: BSD-2-Clause
//! One helper for each idea.

pub(super) use untyped_alloc::kernel::KernelError::*;
use untyped_alloc::kernel::KernelResult;
pub(super) use untyped_alloc::kernel::{Blueprint, CPtr, CachePolicy, CapPath, Kernel, Rights};

use crate::model::Arena;
pub(super) use crate::model::{BootConfig, Cap, ModelKernel, ObjectKind, VmRights, slot};

/// A machine, and the next free slot.
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
/// An address where nothing is mapped, not even a page table.
pub(super) const FREE: usize = 0x4000_0000;
/// The initial thread's own VSpace.
pub(super) const OWN: CPtr = CPtr::new(slot::VSPACE);
/// The initial thread's ASID pool.
pub(super) const POOL: CPtr = CPtr::new(slot::ASID_POOL);
/// Numbers of the small machine's untypeds, for [`Host::untyped`].
pub(super) const RAM_4M: usize = 0;
pub(super) const RAM_64K: usize = 1;
pub(super) const RAM_4K: usize = 2;
pub(super) const OTHER_4K: usize = 3;
pub(super) const RAM_128: usize = 4;
pub(super) const DEVICE_4M: usize = 5;

/// An untyped of 2^`size_bits` bytes.
pub(super) fn untyped(size_bits: u8) -> Blueprint {
    Blueprint::Untyped { size_bits }
}

/// A CNode of 2^`radix_bits` slots.
pub(super) fn cnode(radix_bits: u8) -> Blueprint {
    Blueprint::CNode { radix_bits }
}

/// The slot of the initial CNode at `cptr`.
pub(super) fn at(cptr: CPtr) -> CapPath {
    CapPath { root: CPtr::new(slot::CNODE), index: cptr.bits(), depth: 32 }
}

/// The slot `index` of the CNode at `cptr`, which has 2^`depth` slots and no guard.
pub(super) fn within(cptr: CPtr, index: usize, depth: u8) -> CapPath {
    CapPath { root: cptr, index, depth }
}

/// The CNode at `cptr` itself, for a retype.
pub(super) fn node(cptr: CPtr) -> CapPath {
    CapPath { root: cptr, index: 0, depth: 0 }
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

    /// The boot's untyped number `i`.
    pub(super) fn untyped(&self, i: usize) -> CPtr {
        CPtr::new(self.kernel.facts().untypeds[i].slot)
    }

    /// The first `count` slots that were not given out yet.
    pub(super) fn slots(&mut self, count: usize) -> CPtr {
        self.next += count;
        CPtr::new(self.next - count)
    }

    pub(super) fn slot(&mut self) -> CPtr {
        self.slots(1)
    }

    pub(super) fn retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        first: CPtr,
        count: usize,
    ) -> KernelResult {
        let into = node(CPtr::new(slot::CNODE));
        self.kernel.untyped_retype(untyped, blueprint, into, first.bits(), count)
    }

    /// One new object from the 4 MiB untyped.
    pub(super) fn make(&mut self, blueprint: Blueprint) -> CPtr {
        self.make_from(self.untyped(RAM_4M), blueprint)
    }

    /// One new object.
    pub(super) fn make_from(&mut self, untyped: CPtr, blueprint: Blueprint) -> CPtr {
        let slot = self.slot();
        self.retype(untyped, blueprint, slot, 1).expect("room for an object");
        slot
    }

    /// A new untyped of 2^`size_bits` bytes, nothing of it used.
    pub(super) fn make_untyped(&mut self, size_bits: u8) -> CPtr {
        self.make(untyped(size_bits))
    }

    /// A copy with all rights, in a new slot.
    pub(super) fn copy(&mut self, source: CPtr) -> KernelResult<CPtr> {
        self.copy_with(source, Rights::all())
    }

    pub(super) fn copy_with(&mut self, source: CPtr, rights: Rights) -> KernelResult<CPtr> {
        let slot = self.slot();
        self.kernel.cnode_copy(at(slot), at(source), rights).map(|()| slot)
    }

    /// A copy with a badge, in a new slot.
    pub(super) fn mint(&mut self, source: CPtr, badge: usize) -> KernelResult<CPtr> {
        let slot = self.slot();
        self.kernel.cnode_mint_badge(at(slot), at(source), Rights::all(), badge).map(|()| slot)
    }

    /// A copy with a guard, in a new slot.
    pub(super) fn mint_guard(
        &mut self,
        source: CPtr,
        guard: usize,
        bits: u8,
    ) -> KernelResult<CPtr> {
        let slot = self.slot();
        self.kernel.cnode_mint_guard(at(slot), at(source), guard, bits).map(|()| slot)
    }

    pub(super) fn delete(&mut self, cptr: CPtr) {
        self.kernel.cnode_delete(at(cptr)).expect("a delete succeeds");
    }

    pub(super) fn revoke(&mut self, cptr: CPtr) {
        self.kernel.cnode_revoke(at(cptr)).expect("a revoke succeeds");
    }

    pub(super) fn map(&mut self, frame: CPtr, vspace: CPtr, vaddr: usize) -> KernelResult {
        self.kernel.page_map(frame, vspace, vaddr, RW, CachePolicy::WriteBack)
    }

    pub(super) fn remap(&mut self, frame: CPtr, vspace: CPtr, rights: Rights) -> KernelResult {
        self.kernel.page_remap(frame, vspace, 0, rights, CachePolicy::WriteBack)
    }

    /// A page table, mapped over `vaddr`.
    pub(super) fn table_over(&mut self, vspace: CPtr, vaddr: usize) -> CPtr {
        let table = self.make(TABLE);
        self.kernel.table_map(table, 1, vspace, vaddr).expect("no table there");
        table
    }

    /// A 4 KiB frame mapped at `vaddr` of the initial thread's VSpace, where a table is.
    pub(super) fn frame_at(&mut self, vaddr: usize) -> CPtr {
        let frame = self.make(FRAME);
        self.map(frame, OWN, vaddr).expect("nothing there");
        frame
    }

    /// A new VSpace with an ASID.
    pub(super) fn vspace(&mut self) -> CPtr {
        let root = self.make(ROOT);
        self.kernel.asid_pool_assign(POOL, root).expect("an ASID is free");
        root
    }

    /// The physical address of a frame mapped at `vaddr`.
    pub(super) fn paddr_at(&self, vspace: CPtr, vaddr: usize) -> Option<usize> {
        self.kernel.mapping(vspace, vaddr).map(|mapping| mapping.paddr)
    }

    /// The physical address of what is in a slot.
    pub(super) fn base(&self, cptr: CPtr) -> usize {
        let memory = self.kernel.cap(cptr).memory(self.kernel.arch());
        memory.expect("a capability to memory").0
    }

    pub(super) fn is_empty(&self, cptr: CPtr) -> bool {
        self.kernel.is_empty_slot(cptr)
    }

    /// Whether the untyped takes its first byte at the next retype.
    pub(super) fn starts_over(&mut self, untyped: CPtr) -> bool {
        let base = self.base(untyped);
        let slot = self.slot();
        self.retype(untyped, Blueprint::Endpoint, slot, 1).is_ok() && self.base(slot) == base
    }
}
