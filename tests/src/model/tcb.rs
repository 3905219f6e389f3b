// SPDX-License-Identifier: BSD-2-Clause
//! Threads, as far as memory management sees them: rules from `src/object/tcb.c`.
//!
//! A thread holds copies of capabilities in slots of its own. They are in the derivation tree like
//! any other: they keep objects from being destroyed, and a revoke takes them away.

use untyped_alloc::kernel::{CPtr, KernelError, KernelResult};

use super::kernel::ModelKernel;
use super::state::cap::Cap;
use super::state::slots::SlotId;
use super::state::threads::{TcbView, tcb_slot};

/// The kernel checks for 2^9 bytes (`checkValidIPCBuffer`), on x86_64 too, where a buffer has 2^10
/// and so may reach beyond its frame: whoever sets one must check it himself.
const IPC_BUFFER_ALIGN: usize = 1 << 9;

impl ModelKernel<'_> {
    /// The thread that the capability in slot `tcb` of the caller's CSpace stands for.
    pub fn tcb(&self, tcb: CPtr) -> Option<TcbView> {
        let Cap::Tcb { base } = self.cap(tcb) else {
            return None;
        };
        let state = self.tcbs[&base];
        let held = |number| self.cap_in(self.slots.id(base, number));
        Some(TcbView {
            fault_endpoint: state.fault_endpoint,
            cspace: held(tcb_slot::CSPACE),
            vspace: held(tcb_slot::VSPACE),
            ipc_frame: held(tcb_slot::IPC_BUFFER),
            ipc_buffer: state.ipc_buffer,
        })
    }

    /// The root of the calling thread's CSpace.
    pub(super) fn caller_cspace(&self) -> Cap {
        self.cap_in(self.slots.id(self.caller, tcb_slot::CSPACE))
    }

    /// `decodeSetIPCBuffer`. At address 0 the thread has none from then on, whatever `frame` is.
    pub(super) fn set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult {
        let thread = self.invoked(tcb);
        let source = self.invoked(frame);
        let Cap::Tcb { base } = self.cap_in(thread) else {
            return self.refuse_label(thread, 1);
        };
        let mut new = Cap::Null;
        if vaddr != 0 {
            new = self.derived(source, self.cap_in(source))?;
            match new {
                Cap::Frame { device: false, .. } => {}
                _ => return Err(KernelError::IllegalOperation),
            }
            if !vaddr.is_multiple_of(IPC_BUFFER_ALIGN) {
                return Err(KernelError::AlignmentError);
            }
        }
        self.delete(self.slots.id(base, tcb_slot::IPC_BUFFER));
        if let Some(state) = self.tcbs.get_mut(&base) {
            state.ipc_buffer = vaddr;
        }
        if vaddr != 0 {
            self.hold(base, tcb_slot::IPC_BUFFER, thread, source, new);
        }
        Ok(())
    }

    /// `decodeSetSpace`, with no guard data for either capability.
    pub(super) fn set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace: CPtr,
        vspace: CPtr,
    ) -> KernelResult {
        let thread = self.invoked(tcb);
        let (cspace, vspace) = (self.invoked(cspace), self.invoked(vspace));
        let Cap::Tcb { base } = self.cap_in(thread) else {
            return self.refuse_label(thread, 3);
        };
        for number in [tcb_slot::CSPACE, tcb_slot::VSPACE] {
            if self.long_to_delete(self.slots.id(base, number)) {
                return Err(KernelError::IllegalOperation);
            }
        }
        let new_cspace = self.derived(cspace, self.cap_in(cspace))?;
        if !matches!(new_cspace, Cap::CNode { .. }) {
            return Err(KernelError::IllegalOperation);
        }
        let new_vspace = self.derived(vspace, self.cap_in(vspace))?;
        if !matches!(new_vspace, Cap::Table { level: 0, mapped: Some(_), .. }) {
            return Err(KernelError::IllegalOperation);
        }
        if let Some(state) = self.tcbs.get_mut(&base) {
            state.fault_endpoint = fault_endpoint.bits();
        }
        for (number, source, new) in
            [(tcb_slot::CSPACE, cspace, new_cspace), (tcb_slot::VSPACE, vspace, new_vspace)]
        {
            self.delete(self.slots.id(base, number));
            self.hold(base, number, thread, source, new);
        }
        if base == self.caller {
            // At the latest when the caller runs next with another VSpace, all is flushed.
            self.stale.clear();
        }
        Ok(())
    }

    /// `decodeSetPriority`, where the caller may give any. The label's one word is the priority.
    pub(super) fn set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult {
        let thread = self.invoked(tcb);
        let Cap::Tcb { base } = self.cap_in(thread) else {
            return self.refuse_label(thread, 1);
        };
        if let Some(state) = self.tcbs.get_mut(&base) {
            state.priority = priority;
        }
        Ok(())
    }

    /// `TCBResume` of a thread without a program, and the `Yield` after it. It runs if no priority
    /// is above its own, which is so at 255, and stops at its first instruction. If its VSpace is
    /// not the caller's, `setVMRoot` has the processor forget the caller's translations.
    pub(super) fn resume(&mut self, tcb: CPtr) -> KernelResult {
        let thread = self.invoked(tcb);
        let Cap::Tcb { base } = self.cap_in(thread) else {
            return self.refuse_label(thread, 0);
        };
        let runs = self.tcbs.get(&base).is_some_and(|state| state.priority == u8::MAX);
        let root = self.active_root(self.cap_in(self.slots.id(base, tcb_slot::VSPACE)));
        if runs && base != self.caller && root != self.caller_root() {
            self.stale.clear();
        }
        Ok(())
    }

    /// Puts `new` into a slot of the thread at `base`, unless deleting what was there before took
    /// the source or the thread's own capability away.
    fn hold(&mut self, base: usize, number: usize, thread: SlotId, source: SlotId, new: Cap) {
        if new.same_object(&self.cap_in(source), &self.arch)
            && (Cap::Tcb { base }).same_object(&self.cap_in(thread), &self.arch)
        {
            self.insert_copy(source, self.slots.id(base, number), new);
        }
    }

    /// Whether deleting this would take the kernel long: it is the last capability to something
    /// with slots (`slotCapLongRunningDelete`).
    fn long_to_delete(&self, slot: SlotId) -> bool {
        let long =
            matches!(self.cap_in(slot), Cap::CNode { .. } | Cap::Tcb { .. } | Cap::Zombie { .. });
        long && self.is_final(slot)
    }
}
