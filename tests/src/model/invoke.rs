// SPDX-License-Identifier: BSD-2-Clause
//! The seam: each method of [`Kernel`] is counted, may be failed on purpose, and then decoded.

use untyped_alloc::kernel::{
    Blueprint, CPtr, CachePolicy, CapPath, Kernel, KernelError, KernelResult, Rights,
};

use super::kernel::ModelKernel;
use super::state::cap::Cap;
use super::state::meter::CallKind;
use super::state::slots::SlotId;

/// What a copy is made with.
#[derive(Clone, Copy)]
enum Data {
    /// `CNode_Copy`.
    None,
    /// `CNode_Mint`, with this word.
    Word(usize),
}

impl ModelKernel<'_> {
    /// The answer to an invocation with a label that the capability in `slot` does not know, in a
    /// message of `words` words (`decodeInvocation` and what it calls).
    ///
    /// # Panics
    /// On an endpoint that may be sent to: the caller would block for good.
    pub(super) fn refuse_label(&self, slot: SlotId, words: usize) -> KernelResult {
        match self.cap_in(slot) {
            Cap::Null | Cap::Zombie { .. } => Err(KernelError::InvalidCapability),
            Cap::Endpoint { rights, .. } | Cap::Notification { rights, .. }
                if !rights.contains(Rights::WRITE) =>
            {
                Err(KernelError::InvalidCapability)
            }
            Cap::Endpoint { .. } => panic!("the caller blocks: an endpoint was invoked"),
            // A signal, whatever the label.
            Cap::Notification { .. } => Ok(()),
            Cap::IoPort { .. } if words < 1 => Err(KernelError::TruncatedMessage),
            _ => Err(KernelError::IllegalOperation),
        }
    }

    /// The CNode at the root of a path, and the slot that the path names (the beginning of
    /// `decodeCNodeInvocation`). `Ok(None)` where the root took the message for a signal.
    fn cnode_slot(&self, path: CapPath, words: usize) -> KernelResult<Option<SlotId>> {
        let root = self.invoked(path.root);
        let cap = self.cap_in(root);
        if !matches!(cap, Cap::CNode { .. }) {
            return self.refuse_label(root, words).map(|()| None);
        }
        self.slot_at(cap, path.index, path.depth).map(Some)
    }

    /// `CNodeCopy` and `CNodeMint`.
    fn copy_cap(&mut self, dst: CapPath, src: CapPath, rights: Rights, data: Data) -> KernelResult {
        let source_root = self.invoked(src.root);
        let Some(into) = self.cnode_slot(dst, 5)? else {
            return Ok(());
        };
        self.must_be_empty(into)?;
        let source = self.slot_at(self.cap_in(source_root), src.index, src.depth)?;
        if self.cap_in(source).is_null() {
            return Err(KernelError::FailedLookup);
        }
        let mut cap = self.cap_in(source).masked(rights);
        if let Data::Word(word) = data {
            cap = cap.with_data(word, &self.arch);
        }
        let cap = self.derived(source, cap)?;
        if cap.is_null() {
            return Err(KernelError::IllegalOperation);
        }
        self.insert_copy(source, into, cap);
        Ok(())
    }

    /// What a copy of the capability `cap` of `source` is (`deriveCap` and its architecture's
    /// part). `Null` where there can be none. A frame's copy is not mapped; a paging structure's
    /// is mapped where the original is, which is why the original must be.
    ///
    /// # Panics
    /// For a table of the level below the root on x86_64: the kernel of 5.0.0 does not know of it
    /// there (`Mode_deriveCap`), and halts.
    pub(super) fn derived(&self, source: SlotId, cap: Cap) -> KernelResult<Cap> {
        match cap {
            Cap::Table { level: 1, .. } if self.arch.halts_at_copy => {
                panic!("the kernel halts: a capability to a PDPT is copied")
            }
            Cap::Zombie { .. } | Cap::IrqControl => Ok(Cap::Null),
            Cap::Untyped { .. } => self.must_be_childless(source).map(|()| cap),
            Cap::Table { mapped: None, .. } => Err(KernelError::IllegalOperation),
            Cap::Frame { base, size_bits, rights, device, .. } => {
                Ok(Cap::Frame { base, size_bits, rights, device, mapped: None })
            }
            _ => Ok(cap),
        }
    }
}

impl ModelKernel<'_> {
    /// What a message does with a capability that comes with it: it is copied into the receiver's
    /// slot, which is emptied first, as a receiver does. No call of the receiver's is counted.
    pub fn transfer(&mut self, into: CapPath, from: Option<CapPath>) -> KernelResult {
        if let Some(slot) = self.cnode_slot(into, 2)? {
            self.delete(slot);
        }
        match from {
            Some(from) => self.copy_cap(into, from, Rights::all(), Data::None),
            None => Ok(()),
        }
    }
}

impl Kernel for ModelKernel<'_> {
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult {
        self.meter.count(CallKind::UntypedRetype)?;
        self.retype(untyped, blueprint, node, offset, count)
    }

    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, rights: Rights) -> KernelResult {
        self.meter.count(CallKind::CNodeCopy)?;
        self.copy_cap(dst, src, rights, Data::None)
    }

    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        rights: Rights,
        badge: usize,
    ) -> KernelResult {
        self.meter.count(CallKind::CNodeMintBadge)?;
        self.copy_cap(dst, src, rights, Data::Word(badge))
    }

    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult {
        self.meter.count(CallKind::CNodeMintGuard)?;
        let word = self.arch.guard_word(guard, guard_bits);
        self.copy_cap(dst, src, Rights::all(), Data::Word(word))
    }

    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult {
        self.meter.count(CallKind::CNodeDelete)?;
        if let Some(slot) = self.cnode_slot(slot, 2)? {
            self.delete(slot);
        }
        Ok(())
    }

    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult {
        self.meter.count(CallKind::CNodeRevoke)?;
        if let Some(slot) = self.cnode_slot(slot, 2)? {
            self.revoke(slot);
        }
        Ok(())
    }

    fn cnode_cancel_badged_sends(&mut self, slot: CapPath) -> KernelResult {
        self.meter.count(CallKind::CNodeCancelBadgedSends)?;
        match self.cnode_slot(slot, 2)? {
            Some(slot) => self.cancel_badged_sends(slot),
            None => Ok(()),
        }
    }

    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.meter.count(CallKind::PageMap)?;
        self.map_page(frame, vspace, vaddr, rights, cache)
    }

    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        _vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        self.meter.count(CallKind::PageRemap)?;
        self.remap_page(frame, vspace, rights, cache)
    }

    fn page_unmap(&mut self, frame: CPtr) -> KernelResult {
        self.meter.count(CallKind::PageUnmap)?;
        self.unmap_page(frame)
    }

    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        self.meter.count(CallKind::PageGetAddress)?;
        self.page_address(frame)
    }

    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult {
        self.meter.count(CallKind::TableMap)?;
        self.map_table(table, level, vspace, vaddr)
    }

    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult {
        self.meter.count(CallKind::TableUnmap)?;
        self.unmap_table_call(table, level)
    }

    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        self.meter.count(CallKind::AsidControlMakePool)?;
        self.make_pool(untyped, dst)
    }

    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult {
        self.meter.count(CallKind::AsidPoolAssign)?;
        self.assign(pool, vspace)
    }

    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult {
        self.meter.count(CallKind::TcbSetIpcBuffer)?;
        self.set_ipc_buffer(tcb, vaddr, frame)
    }

    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult {
        self.meter.count(CallKind::TcbSetSpace)?;
        self.set_space(tcb, fault_endpoint, cspace_root, vspace)
    }

    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult {
        self.meter.count(CallKind::TcbSetPriority)?;
        self.set_priority(tcb, priority)
    }

    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult {
        self.meter.count(CallKind::TcbResume)?;
        self.resume(tcb)
    }
}
