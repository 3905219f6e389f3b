//! A kernel that counts the calls made through it, by invocation.

use crate::types::{Blueprint, CPtr, CachePolicy, CapPath, Invocation, KernelResult, Rights};

use super::seam::{Kernel, Memory};

/// How often each invocation was made, refused ones included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallCounts([u64; Invocation::ALL.len()]);

impl CallCounts {
    /// How often `invocation` was made.
    pub fn of(&self, invocation: Invocation) -> u64 {
        self.0[invocation as usize]
    }

    /// How many invocations were made in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What was made since `earlier`.
    pub fn since(&self, earlier: &CallCounts) -> CallCounts {
        let mut difference = *self;
        difference.0.iter_mut().zip(earlier.0).for_each(|(now, then)| *now -= then);
        difference
    }
}

/// A kernel that counts the calls made through it.
pub struct Counted<K> {
    inner: K,
    counts: CallCounts,
}

impl<K> Counted<K> {
    /// Starts counting at zero.
    pub fn new(inner: K) -> Self {
        Counted { inner, counts: CallCounts::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> CallCounts {
        self.counts
    }

    /// The kernel beneath.
    pub fn inner(&self) -> &K {
        &self.inner
    }

    /// The kernel beneath; what is invoked on it directly is not counted.
    pub fn inner_mut(&mut self) -> &mut K {
        &mut self.inner
    }

    #[inline]
    fn count(&mut self, invocation: Invocation) -> &mut K {
        self.counts.0[invocation as usize] += 1;
        &mut self.inner
    }
}

impl<K: Kernel> Kernel for Counted<K> {
    #[inline]
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult {
        self.count(Invocation::UntypedRetype)
            .untyped_retype(untyped, blueprint, node, offset, count)
    }

    #[inline]
    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, rights: Rights) -> KernelResult {
        self.count(Invocation::CNodeCopy).cnode_copy(dst, src, rights)
    }

    #[inline]
    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        rights: Rights,
        badge: usize,
    ) -> KernelResult {
        self.count(Invocation::CNodeMint).cnode_mint_badge(dst, src, rights, badge)
    }

    #[inline]
    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult {
        self.count(Invocation::CNodeMint).cnode_mint_guard(dst, src, guard, guard_bits)
    }

    #[inline]
    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult {
        self.count(Invocation::CNodeDelete).cnode_delete(slot)
    }

    #[inline]
    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult {
        self.count(Invocation::CNodeRevoke).cnode_revoke(slot)
    }

    #[inline]
    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.count(Invocation::PageMap).page_map(frame, vspace, vaddr, rights, cache)
    }

    #[inline]
    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.count(Invocation::PageRemap).page_remap(frame, vspace, vaddr, rights, cache)
    }

    #[inline]
    fn page_unmap(&mut self, frame: CPtr) -> KernelResult {
        self.count(Invocation::PageUnmap).page_unmap(frame)
    }

    #[inline]
    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        self.count(Invocation::PageGetAddress).page_get_address(frame)
    }

    #[inline]
    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult {
        self.count(Invocation::TableMap).table_map(table, level, vspace, vaddr)
    }

    #[inline]
    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult {
        self.count(Invocation::TableUnmap).table_unmap(table, level)
    }

    #[inline]
    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        self.count(Invocation::AsidControlMakePool).asid_control_make_pool(untyped, dst)
    }

    #[inline]
    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult {
        self.count(Invocation::AsidPoolAssign).asid_pool_assign(pool, vspace)
    }

    #[inline]
    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult {
        self.count(Invocation::TcbSetIpcBuffer).tcb_set_ipc_buffer(tcb, vaddr, frame)
    }

    #[inline]
    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult {
        self.count(Invocation::TcbSetSpace).tcb_set_space(tcb, fault_endpoint, cspace_root, vspace)
    }

    #[inline]
    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult {
        self.count(Invocation::TcbSetPriority).tcb_set_priority(tcb, priority)
    }

    #[inline]
    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult {
        self.count(Invocation::TcbResume).tcb_resume(tcb)
    }
}

impl<'p, K: Memory<'p>> Memory<'p> for Counted<K> {
    fn zero(&mut self, vaddr: usize, bytes: usize) {
        self.inner.zero(vaddr, bytes);
    }

    fn copy(&mut self, dst: usize, src: usize, bytes: usize) {
        self.inner.copy(dst, src, bytes);
    }

    fn write(&mut self, vaddr: usize, bytes: &[u8]) {
        self.inner.write(vaddr, bytes);
    }

    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T] {
        self.inner.adopt(vaddr)
    }
}
