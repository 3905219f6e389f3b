// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of threads.

use crate::sys::{
    TCBBindNotification, TCBCopyRegisters, TCBReadRegisters, TCBResume, TCBSetIPCBuffer,
    TCBSetMCPriority, TCBSetPriority, TCBSetSpace, TCBSuspend, TCBUnbindNotification,
    TCBWriteRegisters,
};
use crate::{cap, CNodeCapData, CPtr, InvocationContext, Result, UserContext, Word};

/// `TCB_WriteRegisters`' first words: flags and how many registers.
const WRITE_HEADER: usize = 2;

impl<C: InvocationContext> cap::Tcb<C> {
    /// The first `count` registers of the thread (`TCB_ReadRegisters`); the others are
    /// as [`UserContext::default`] has them. `suspend` stops the thread first.
    ///
    /// # Errors
    /// `IllegalOperation` for the calling thread itself; `RangeError` when `count` is 0 or too
    /// great.
    pub fn tcb_read_registers(self, suspend: bool, count: Word) -> Result<UserContext> {
        let mut context = UserContext::default();
        let bits = self.bits();
        let mut invocation_context = self.into_invocation_context();
        // The answer is longer than two words, so the buffer is needed whatever the question.
        invocation_context.with_context(|ipc_buffer| {
            let tcb = cap::Tcb::from_bits(bits).with(&mut *ipc_buffer);
            let first = tcb.invoke_for_words(TCBReadRegisters, [suspend.into(), count])?;
            crate::sys::syscall::publish(ipc_buffer.inner_mut());
            let msg = ipc_buffer.msg_regs();
            let words = context.words_mut();
            let count = words.len().min(count as usize);
            words[..count].copy_from_slice(&msg[..count]);
            for (word, mr) in words[..count].iter_mut().zip(first) {
                *word = mr;
            }
            Ok(context)
        })
    }

    /// All registers of the thread.
    ///
    /// # Errors
    /// As [`tcb_read_registers`](Self::tcb_read_registers).
    pub fn tcb_read_all_registers(self, suspend: bool) -> Result<UserContext> {
        self.tcb_read_registers(suspend, UserContext::LEN as Word)
    }

    /// Sets the first `count` registers of the thread (`TCB_WriteRegisters`); `resume` lets it run
    /// then. `tls_base` is where its thread-local storage is found: by GS on IA32, where FS and GS
    /// take no selectors but their own and 0, by FS on x86_64.
    ///
    /// # Errors
    /// `IllegalOperation` for the calling thread itself; `TruncatedMessage` when `count` is too
    /// great.
    pub fn tcb_write_registers(
        self,
        resume: bool,
        count: Word,
        regs: &mut UserContext,
    ) -> Result<()> {
        let mut words = [0; WRITE_HEADER + UserContext::LEN];
        words[0] = resume.into();
        words[1] = count;
        words[WRITE_HEADER..].copy_from_slice(regs.words());
        self.invoke_with(TCBWriteRegisters, words, [])?;
        Ok(())
    }

    /// Sets all registers of the thread.
    ///
    /// # Errors
    /// As [`tcb_write_registers`](Self::tcb_write_registers).
    pub fn tcb_write_all_registers(self, resume: bool, regs: &mut UserContext) -> Result<()> {
        self.tcb_write_registers(resume, UserContext::LEN as Word, regs)
    }

    /// Copies registers from the thread `source` to this one (`TCB_CopyRegisters`): with
    /// `transfer_frame` all that a function uses, with `transfer_integer` `tls_base` (and on IA32
    /// FS and GS).
    /// The only way for a thread to set its own TLS base. Beyond upstream.
    ///
    /// # Errors
    /// `InvalidCapability` when `source` is no TCB.
    pub fn tcb_copy_registers(
        self,
        source: cap::Tcb,
        suspend_source: bool,
        resume_target: bool,
        transfer_frame: bool,
        transfer_integer: bool,
    ) -> Result<()> {
        let flags = [suspend_source, resume_target, transfer_frame, transfer_integer]
            .into_iter()
            .enumerate()
            .fold(0, |flags, (bit, set)| flags | Word::from(set) << bit);
        self.invoke_with(TCBCopyRegisters, [flags], [source.bits()])?;
        Ok(())
    }

    /// Lets the thread run (`TCB_Resume`).
    ///
    /// # Errors
    /// None on a TCB.
    pub fn tcb_resume(self) -> Result<()> {
        self.invoke_with(TCBResume, [], [])?;
        Ok(())
    }

    /// Stops the thread (`TCB_Suspend`). What it was waiting for is forgotten.
    ///
    /// # Errors
    /// None on a TCB.
    pub fn tcb_suspend(self) -> Result<()> {
        self.invoke_with(TCBSuspend, [], [])?;
        Ok(())
    }

    /// Sets the thread's priority, 0 to 255 (`TCB_SetPriority`).
    ///
    /// `authority` is for upstream's sake: seL4 5.0.0 takes the calling thread's maximum.
    ///
    /// # Errors
    /// `RangeError` when it is above the calling thread's maximum.
    pub fn tcb_set_priority(self, authority: cap::Tcb, priority: Word) -> Result<()> {
        let _ = authority;
        self.invoke_with(TCBSetPriority, [priority], [])?;
        Ok(())
    }

    /// Sets the highest priority that the thread may give, 0 to 255 (`TCB_SetMCPriority`).
    ///
    /// `authority` is for upstream's sake: seL4 5.0.0 takes the calling thread's maximum.
    ///
    /// # Errors
    /// As [`tcb_set_priority`](Self::tcb_set_priority).
    pub fn tcb_set_mc_priority(self, authority: cap::Tcb, mcp: Word) -> Result<()> {
        let _ = authority;
        self.invoke_with(TCBSetMCPriority, [mcp], [])?;
        Ok(())
    }

    /// Sets both priorities, in two invocations: seL4 5.0.0 has none for both.
    ///
    /// # Errors
    /// As [`tcb_set_priority`](Self::tcb_set_priority); the maximum may be set then and the
    /// priority not.
    pub fn tcb_set_sched_params(
        self,
        authority: cap::Tcb,
        mcp: Word,
        priority: Word,
    ) -> Result<()> {
        let bits = self.bits();
        let mut context = self.into_invocation_context();
        cap::Tcb::from_bits(bits).with(&mut context).tcb_set_mc_priority(authority, mcp)?;
        cap::Tcb::from_bits(bits).with(&mut context).tcb_set_priority(authority, priority)
    }

    /// Sets the thread's spaces and its IPC buffer: [`tcb_set_space`](Self::tcb_set_space), then
    /// [`tcb_set_ipc_buffer`](Self::tcb_set_ipc_buffer).
    ///
    /// Two invocations, since `TCB_Configure` of seL4 5.0.0 also sets the priorities, and this, as
    /// upstream, does not.
    ///
    /// # Errors
    /// Those of the two; when the second fails the first is done.
    pub fn tcb_configure(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
        ipc_buffer: Word,
        ipc_buffer_frame: cap::Granule,
    ) -> Result<()> {
        let bits = self.bits();
        let mut context = self.into_invocation_context();
        cap::Tcb::from_bits(bits).with(&mut context).tcb_set_space(
            fault_ep,
            cspace_root,
            cspace_root_data,
            vspace_root,
        )?;
        cap::Tcb::from_bits(bits)
            .with(&mut context)
            .tcb_set_ipc_buffer(ipc_buffer, ipc_buffer_frame)
    }

    /// Sets the thread's fault endpoint (a pointer in *its* CSpace, resolved when it faults),
    /// CSpace and VSpace (`TCB_SetSpace`).
    ///
    /// # Errors
    /// `IllegalOperation` when a capability is of the wrong type, its guard impossible, the VSpace
    /// without ASID, or the old space being deleted.
    pub fn tcb_set_space(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
    ) -> Result<()> {
        self.invoke_with(
            TCBSetSpace,
            [fault_ep.bits(), cspace_root_data.into_word(), 0],
            [cspace_root.bits(), vspace_root.bits()],
        )?;
        Ok(())
    }

    /// Sets the thread's IPC buffer: the 128 words at `ipc_buffer` in its VSpace, in the frame
    /// `ipc_buffer_frame` that is mapped there (`TCB_SetIPCBuffer`). 0 takes the buffer away.
    ///
    /// # Errors
    /// `AlignmentError` when the address is no multiple of the buffer's size; `IllegalOperation`
    /// when the capability is no frame's, or one of device memory.
    pub fn tcb_set_ipc_buffer(
        self,
        ipc_buffer: Word,
        ipc_buffer_frame: cap::Granule,
    ) -> Result<()> {
        self.invoke_with(TCBSetIPCBuffer, [ipc_buffer], [ipc_buffer_frame.bits()])?;
        Ok(())
    }

    /// Lets the thread's waits at endpoints end at signals of `notification` too
    /// (`TCB_BindNotification`).
    ///
    /// # Errors
    /// `IllegalOperation` when either is bound already, threads wait at the notification, or it may
    /// not be received from.
    pub fn tcb_bind_notification(self, notification: cap::Notification) -> Result<()> {
        self.invoke_with(TCBBindNotification, [], [notification.bits()])?;
        Ok(())
    }

    /// Ends what [`tcb_bind_notification`](Self::tcb_bind_notification) began
    /// (`TCB_UnbindNotification`).
    ///
    /// # Errors
    /// `IllegalOperation` when none is bound.
    pub fn tcb_unbind_notification(self) -> Result<()> {
        self.invoke_with(TCBUnbindNotification, [], [])?;
        Ok(())
    }

    /// Moves the thread to a processor core (`TCB_SetAffinity`).
    ///
    /// # Errors
    /// `IllegalOperation` when there is no such core.
    #[cfg(sel4_multi_node)]
    pub fn tcb_set_affinity(self, affinity: Word) -> Result<()> {
        self.invoke_with(crate::sys::TCBSetAffinity, [affinity], [])?;
        Ok(())
    }
}
