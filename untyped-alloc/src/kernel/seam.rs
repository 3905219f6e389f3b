// SPDX-License-Identifier: BSD-2-Clause
//! The traits [`Kernel`] and [`Memory`].

#[cfg(doc)]
use crate::types::KernelError;
use crate::types::{Blueprint, CPtr, CachePolicy, CapPath, KernelResult, Rights};

/// The kernel, as far as memory management needs it: one method an invocation.
///
/// A capability argument is a [`CPtr`] in the caller's CSpace; a slot argument is a [`CapPath`].
pub trait Kernel {
    /// `Untyped_Retype`: makes `count` objects in the consecutive slots of the CNode at `node`,
    /// from slot number `offset` on. Clears the untyped first if it was used and has no children.
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult;

    /// The same of one object, for what it clears: a call that may take long
    /// ([`Allocator::clear`](crate::Allocator::clear)). An adapter can have another thread make it,
    /// beside which others run; without that it is the call itself.
    fn untyped_retype_to_clear(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
    ) -> KernelResult {
        self.untyped_retype(untyped, blueprint, node, offset, 1)
    }

    /// `CNode_Copy`: a copy of the capability at `src`, with at most `rights`, in the empty slot
    /// `dst`. A copied frame capability starts unmapped.
    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, rights: Rights) -> KernelResult;

    /// `CNode_Mint` with a badge (endpoints and notifications; 28 bits on IA32).
    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        rights: Rights,
        badge: usize,
    ) -> KernelResult;

    /// `CNode_Mint` of a CNode capability with a guard: `guard_bits` bits (0 to 18 on IA32) of
    /// value `guard`.
    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult;

    /// `CNode_Delete`: empties the slot; the last capability to an object destroys it. Deleting
    /// an empty slot succeeds. A frame is unmapped with its last capability alone: a mapped copy
    /// that is deleted leaves its mapping behind.
    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult;

    /// `CNode_Revoke`: deletes every capability derived from the one in the slot, not that one.
    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult;

    /// `CNode_CancelBadgedSends`: takes every message that waits at an endpoint, with the badge of
    /// the capability in the slot, out of its queue. Its sender sends anew: by a capability that is
    /// gone by then, or again. Refused unless the capability is one to an endpoint with all rights.
    fn cnode_cancel_badged_sends(&mut self, slot: CapPath) -> KernelResult;

    /// `Page_Map`: maps the frame at `vaddr` with `rights` (less what its capability lacks).
    /// Refused when this capability is mapped already, when the entry is occupied, or (with
    /// [`KernelError::FailedLookup`]) when a paging structure is missing.
    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult;

    /// `Page_Remap`: gives a mapped frame new rights and attributes where it is.
    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult;

    /// `Page_Unmap`: takes the mapping of this capability away. Succeeds when there is none.
    fn page_unmap(&mut self, frame: CPtr) -> KernelResult;

    /// Makes what was written to the memory of a mapped frame of `bytes` bytes, through any
    /// mapping, what is fetched from it as instructions (`Page_Unify_Instruction` on Arm), without
    /// a kernel call where the machine does that by itself; not counted. Mapping with
    /// [`Rights::EXECUTE`] does it, too.
    fn page_unify(&mut self, frame: CPtr, bytes: usize) {
        let _ = (frame, bytes);
    }

    /// `Page_GetAddress`: the physical address of the frame, in bytes.
    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize>;

    /// Maps a paging structure of `level` (≥ 1) over `vaddr` (`PageTable_Map` and its kin).
    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult;

    /// Unmaps a paging structure of `level`; the kernel clears it, and what was mapped through it
    /// is no longer mapped.
    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult;

    /// `ASIDControl_MakePool`: turns an untyped of the pool's size into an ASID pool whose
    /// capability goes to the empty slot `dst`.
    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult;

    /// `ASIDPool_Assign`: gives a new VSpace root its address-space identifier, without which
    /// nothing can be mapped in it.
    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult;

    /// `TCB_SetIPCBuffer`: the thread's IPC buffer is at `vaddr`, in the frame `frame`.
    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult;

    /// `TCB_SetSpace`: the thread's fault endpoint (a CPtr of *its* CSpace), CSpace and VSpace.
    /// Guard data is left as the CNode capability has it.
    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult;

    /// `TCB_SetPriority`: 0 to 255, at most what the calling thread may give.
    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult;

    /// `TCB_Resume`, and then `Yield`: a thread of at least the caller's priority runs until it
    /// blocks before this returns.
    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult;

    /// Tells the implementation, without a kernel call, that faults of a thread in the manager's
    /// own space come with this badge; of none ([`CPtr::NULL`]) any more.
    fn note_own_badge(&mut self, tcb: CPtr, badge: usize) {
        let _ = (tcb, badge);
    }

    /// Tells the implementation, without a kernel call, where the IPC buffer of a thread in the
    /// manager's own space is.
    fn note_own_buffer(&mut self, tcb: CPtr, vaddr: usize) {
        let _ = (tcb, vaddr);
    }
}

/// Memory that is mapped in the manager's own VSpace: what it does with contents.
///
/// `'p` is how long book-keeping memory lives: `'static` in a root task, the lifetime of a test's
/// arena on the host.
pub trait Memory<'p> {
    /// Fills `bytes` bytes at `vaddr`, all of them mapped writable, with zero; of any alignment.
    fn zero(&mut self, vaddr: usize, bytes: usize);

    /// Copies `bytes` bytes from `src` to `dst`, both mapped, 4 KiB aligned and not overlapping.
    fn copy(&mut self, dst: usize, src: usize, bytes: usize);

    /// Writes `bytes` at `vaddr`, all of it mapped writable; of any alignment.
    fn write(&mut self, vaddr: usize, bytes: &[u8]);

    /// Reads `bytes.len()` bytes at `vaddr`, all of it mapped readable; of any alignment.
    fn read(&mut self, vaddr: usize, bytes: &mut [u8]);

    /// Whether `bytes` bytes at `vaddr`, whole pages of 4 KiB that are mapped readable, are zero.
    /// Other threads may write to them meanwhile: what it says of those bytes may be of before or
    /// after.
    fn is_zero(&mut self, vaddr: usize, bytes: usize) -> bool;

    /// Turns the mapped page at `vaddr` (4 KiB, writable, used by nothing else from now on) into
    /// as many book-keeping nodes as fit.
    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T];
}
