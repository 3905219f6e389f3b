// SPDX-License-Identifier: BSD-2-Clause
//! Invocations about interrupts and scheduling domains.

use crate::sys::{
    DomainSetSet, IRQAckIRQ, IRQClearIRQHandler, IRQIssueIRQHandler, IRQSetIRQHandler,
    X86IRQIssueIRQHandlerIOAPIC, X86IRQIssueIRQHandlerMSI,
};
use crate::{cap, AbsoluteCPtr, InvocationContext, Result, Word};

impl<C: InvocationContext> cap::IrqControl<C> {
    /// Makes a handler of interrupt line `irq` in the empty slot `dst` (`IRQControl_Get`). With the
    /// PIC only.
    ///
    /// # Errors
    /// `RangeError` for a line that is not there, `RevokeFirst` when it has a handler,
    /// `DeleteFirst` when `dst` is occupied, `IllegalOperation` with the IOAPIC.
    #[inline]
    pub fn irq_control_get(self, irq: Word, dst: &AbsoluteCPtr) -> Result<()> {
        self.invoke_with(
            IRQIssueIRQHandler,
            [irq, dst.path().bits(), dst.path().depth() as Word],
            [dst.root().bits()],
        )?;
        Ok(())
    }

    /// Makes a handler of an IOAPIC's pin in the empty slot `dst` (`IRQControl_GetIOAPIC`).
    ///
    /// # Errors
    /// `RangeError`, `RevokeFirst`, `DeleteFirst` as [`irq_control_get`](Self::irq_control_get);
    /// `IllegalOperation` with the PIC.
    #[inline]
    pub fn irq_control_get_ioapic(
        self,
        ioapic: Word,
        pin: Word,
        level: Word,
        polarity: Word,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        self.invoke_with(
            X86IRQIssueIRQHandlerIOAPIC,
            [dst.path().bits(), dst.path().depth() as Word, ioapic, pin, level, polarity, vector],
            [dst.root().bits()],
        )?;
        Ok(())
    }

    /// Makes a handler of a PCI device's message-signalled interrupt in the empty slot `dst`
    /// (`IRQControl_GetMSI`).
    ///
    /// # Errors
    /// As [`irq_control_get_ioapic`](Self::irq_control_get_ioapic).
    #[inline]
    pub fn irq_control_get_msi(
        self,
        pci_bus: Word,
        pci_dev: Word,
        pci_func: Word,
        handle: Word,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        self.invoke_with(
            X86IRQIssueIRQHandlerMSI,
            [
                dst.path().bits(),
                dst.path().depth() as Word,
                pci_bus,
                pci_dev,
                pci_func,
                handle,
                vector,
            ],
            [dst.root().bits()],
        )?;
        Ok(())
    }
}

impl<C: InvocationContext> cap::IrqHandler<C> {
    /// Lets the line interrupt again (`IRQHandler_Ack`).
    ///
    /// # Errors
    /// None on an interrupt handler.
    #[inline]
    pub fn irq_handler_ack(self) -> Result<()> {
        self.invoke_with(IRQAckIRQ, [], [])?;
        Ok(())
    }

    /// Signals `notification` at each interrupt (`IRQHandler_SetNotification`).
    ///
    /// # Errors
    /// `InvalidCapability` when it is no notification that may be signalled.
    #[inline]
    pub fn irq_handler_set_notification(self, notification: cap::Notification) -> Result<()> {
        self.invoke_with(IRQSetIRQHandler, [], [notification.bits()])?;
        Ok(())
    }

    /// Signals nobody (`IRQHandler_Clear`).
    ///
    /// # Errors
    /// None on an interrupt handler.
    #[inline]
    pub fn irq_handler_clear(self) -> Result<()> {
        self.invoke_with(IRQClearIRQHandler, [], [])?;
        Ok(())
    }
}

impl<C: InvocationContext> cap::DomainSet<C> {
    /// Moves a thread to a scheduling domain (`DomainSet_Set`).
    ///
    /// # Errors
    /// `InvalidArgument` when there is no such domain or `tcb` is none.
    #[inline]
    pub fn domain_set_set(self, domain: u8, tcb: cap::Tcb) -> Result<()> {
        self.invoke_with(DomainSetSet, [domain.into()], [tcb.bits()])?;
        Ok(())
    }
}
