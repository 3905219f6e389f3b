// SPDX-License-Identifier: BSD-2-Clause
//! One model behind several handles, for code that takes the kernel and memory apart.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use untyped_alloc::kernel::{
    Blueprint, CPtr, CachePolicy, CapPath, Kernel, KernelResult, Memory, Rights,
};

use super::kernel::ModelKernel;

/// A handle on a model. Clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct SharedModel<'p>(Rc<RefCell<ModelKernel<'p>>>);

impl<'p> SharedModel<'p> {
    /// The first handle.
    pub fn new(kernel: ModelKernel<'p>) -> SharedModel<'p> {
        SharedModel(Rc::new(RefCell::new(kernel)))
    }

    /// The model, until what is returned is dropped.
    pub fn get(&self) -> RefMut<'_, ModelKernel<'p>> {
        self.0.borrow_mut()
    }
}

impl Kernel for SharedModel<'_> {
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult {
        self.get().untyped_retype(untyped, blueprint, node, offset, count)
    }

    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, rights: Rights) -> KernelResult {
        self.get().cnode_copy(dst, src, rights)
    }

    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        rights: Rights,
        badge: usize,
    ) -> KernelResult {
        self.get().cnode_mint_badge(dst, src, rights, badge)
    }

    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult {
        self.get().cnode_mint_guard(dst, src, guard, guard_bits)
    }

    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult {
        self.get().cnode_delete(slot)
    }

    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult {
        self.get().cnode_revoke(slot)
    }

    fn cnode_cancel_badged_sends(&mut self, slot: CapPath) -> KernelResult {
        self.get().cnode_cancel_badged_sends(slot)
    }

    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.get().page_map(frame, vspace, vaddr, rights, cache)
    }

    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.get().page_remap(frame, vspace, vaddr, rights, cache)
    }

    fn page_unmap(&mut self, frame: CPtr) -> KernelResult {
        self.get().page_unmap(frame)
    }

    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        self.get().page_get_address(frame)
    }

    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult {
        self.get().table_map(table, level, vspace, vaddr)
    }

    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult {
        self.get().table_unmap(table, level)
    }

    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        self.get().asid_control_make_pool(untyped, dst)
    }

    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult {
        self.get().asid_pool_assign(pool, vspace)
    }

    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult {
        self.get().tcb_set_ipc_buffer(tcb, vaddr, frame)
    }

    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult {
        self.get().tcb_set_space(tcb, fault_endpoint, cspace_root, vspace)
    }

    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult {
        self.get().tcb_set_priority(tcb, priority)
    }

    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult {
        self.get().tcb_resume(tcb)
    }
}

impl<'p> Memory<'p> for SharedModel<'p> {
    fn zero(&mut self, vaddr: usize, bytes: usize) {
        self.get().zero(vaddr, bytes);
    }

    fn copy(&mut self, dst: usize, src: usize, bytes: usize) {
        let mut kernel = self.get();
        kernel.copy(dst, src, bytes);
        kernel.run_beside();
    }

    fn write(&mut self, vaddr: usize, bytes: &[u8]) {
        Memory::write(&mut *self.get(), vaddr, bytes);
    }

    fn read(&mut self, vaddr: usize, bytes: &mut [u8]) {
        Memory::read(&mut *self.get(), vaddr, bytes);
    }

    fn is_zero(&mut self, vaddr: usize, bytes: usize) -> bool {
        let mut kernel = self.get();
        let is_zero = kernel.is_zero(vaddr, bytes);
        kernel.run_beside();
        is_zero
    }

    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T] {
        self.get().adopt(vaddr)
    }
}
