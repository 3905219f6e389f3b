// SPDX-License-Identifier: BSD-2-Clause
//! A kernel that counts the calls made through it, by invocation.

use crate::types::{
    Blueprint, CPtr, CachePolicy, CapPath, Invocation, KernelResult, Refused, Rights,
};

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
    #[must_use]
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

/// The invocations, each once: as the seam has it, and as a method of [`Counted`] whose error names
/// the invocation too.
macro_rules! counted {
    ($($invocation:ident => fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl<K: Kernel> Kernel for Counted<K> {
            $(
                #[inline]
                fn $name(&mut self, $($argument: $type),*) -> KernelResult<$answer> {
                    self.count(Invocation::$invocation).$name($($argument),*)
                }
            )*
        }

        /// The invocations of [`Kernel`] with errors that say which of them was refused.
        impl<K: Kernel> Counted<K> {
            $(
                #[doc = concat!("As [`Kernel::", stringify!($name), "`].")]
                ///
                /// # Errors
                /// What the kernel answers, with the invocation.
                #[inline]
                pub fn $name(&mut self, $($argument: $type),*) -> Result<$answer, Refused> {
                    let answer = self.count(Invocation::$invocation).$name($($argument),*);
                    answer.map_err(|error| Refused { invocation: Invocation::$invocation, error })
                }
            )*
        }
    };
}

counted! {
    UntypedRetype => fn untyped_retype(
        untyped: CPtr, blueprint: Blueprint, node: CapPath, offset: usize, count: usize
    ) -> ();
    UntypedRetype => fn untyped_retype_to_clear(
        untyped: CPtr, blueprint: Blueprint, node: CapPath, offset: usize
    ) -> ();
    CNodeCopy => fn cnode_copy(dst: CapPath, src: CapPath, rights: Rights) -> ();
    CNodeMint => fn cnode_mint_badge(
        dst: CapPath, src: CapPath, rights: Rights, badge: usize
    ) -> ();
    CNodeMint => fn cnode_mint_guard(
        dst: CapPath, src: CapPath, guard: usize, guard_bits: u8
    ) -> ();
    CNodeDelete => fn cnode_delete(slot: CapPath) -> ();
    CNodeRevoke => fn cnode_revoke(slot: CapPath) -> ();
    CNodeCancelBadgedSends => fn cnode_cancel_badged_sends(slot: CapPath) -> ();
    PageMap => fn page_map(
        frame: CPtr, vspace: CPtr, vaddr: usize, rights: Rights, cache: CachePolicy
    ) -> ();
    PageRemap => fn page_remap(
        frame: CPtr, vspace: CPtr, vaddr: usize, rights: Rights, cache: CachePolicy
    ) -> ();
    PageUnmap => fn page_unmap(frame: CPtr) -> ();
    PageGetAddress => fn page_get_address(frame: CPtr) -> usize;
    TableMap => fn table_map(table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> ();
    TableUnmap => fn table_unmap(table: CPtr, level: u8) -> ();
    AsidControlMakePool => fn asid_control_make_pool(untyped: CPtr, dst: CapPath) -> ();
    AsidPoolAssign => fn asid_pool_assign(pool: CPtr, vspace: CPtr) -> ();
    TcbSetIpcBuffer => fn tcb_set_ipc_buffer(tcb: CPtr, vaddr: usize, frame: CPtr) -> ();
    TcbSetSpace => fn tcb_set_space(
        tcb: CPtr, fault_endpoint: CPtr, cspace_root: CPtr, vspace: CPtr
    ) -> ();
    TcbSetPriority => fn tcb_set_priority(tcb: CPtr, priority: u8) -> ();
    TcbResume => fn tcb_resume(tcb: CPtr) -> ();
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

    fn read(&mut self, vaddr: usize, bytes: &mut [u8]) {
        self.inner.read(vaddr, bytes);
    }

    fn is_zero(&mut self, vaddr: usize, bytes: usize) -> bool {
        self.inner.is_zero(vaddr, bytes)
    }

    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T] {
        self.inner.adopt(vaddr)
    }
}
