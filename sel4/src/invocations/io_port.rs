// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of x86 I/O ports. Beyond upstream, but for how a range is had.

use crate::init_thread::slot;
use crate::sys::{
    X86IOPortIn16, X86IOPortIn32, X86IOPortIn8, X86IOPortOut16, X86IOPortOut32, X86IOPortOut8,
};
use crate::{cap, AbsoluteCPtr, CapRights, Error, InvocationContext, Result, Word};

impl<C: InvocationContext> cap::IOPortControl<C> {
    /// Puts a capability to the ports `first_port` to `last_port` into the empty slot `dst`. The
    /// kernel of 5.0.0 has no such invocation: the capability, which must lie in the initial CNode,
    /// is minted there narrower (`CNode_Mint`). So a range can be had more than once.
    ///
    /// # Errors
    /// `InvalidArgument` where there are no such ports; what [`AbsoluteCPtr::mint`] says.
    pub fn ioport_control_issue(
        self,
        first_port: Word,
        last_port: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        if first_port > last_port || last_port > u16::MAX.into() {
            return Err(Error::InvalidArgument);
        }
        let all = slot::CNODE.cap().absolute_cptr(self.cptr());
        let range = first_port << 16 | last_port;
        let dst = dst.with(self.into_invocation_context());
        dst.mint(&all, CapRights::all(), range)
    }
}

impl<C: InvocationContext> cap::IOPort<C> {
    /// Reads a byte from `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the port.
    #[inline]
    pub fn ioport_in8(self, port: u16) -> Result<u8> {
        Ok(self.invoke_with(X86IOPortIn8, [port.into()], [])?.0 as u8)
    }

    /// Reads two bytes from `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the ports.
    #[inline]
    pub fn ioport_in16(self, port: u16) -> Result<u16> {
        Ok(self.invoke_with(X86IOPortIn16, [port.into()], [])?.0 as u16)
    }

    /// Reads four bytes from `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the ports.
    #[inline]
    pub fn ioport_in32(self, port: u16) -> Result<u32> {
        Ok(self.invoke_with(X86IOPortIn32, [port.into()], [])?.0 as u32)
    }

    /// Writes a byte to `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the port.
    #[inline]
    pub fn ioport_out8(self, port: u16, data: u8) -> Result<()> {
        self.invoke_with(X86IOPortOut8, [port.into(), data.into()], [])?;
        Ok(())
    }

    /// Writes two bytes to `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the ports.
    #[inline]
    pub fn ioport_out16(self, port: u16, data: u16) -> Result<()> {
        self.invoke_with(X86IOPortOut16, [port.into(), data.into()], [])?;
        Ok(())
    }

    /// Writes four bytes to `port`.
    ///
    /// # Errors
    /// `IllegalOperation` when the capability does not cover the ports.
    #[inline]
    pub fn ioport_out32(self, port: u16, data: u32) -> Result<()> {
        self.invoke_with(X86IOPortOut32, [port.into(), Word::from(data)], [])?;
        Ok(())
    }
}
