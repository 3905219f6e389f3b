// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of x86 I/O ports. Beyond upstream.

use crate::sys::{
    X86IOPortIn16, X86IOPortIn32, X86IOPortIn8, X86IOPortOut16, X86IOPortOut32, X86IOPortOut8,
};
use crate::{cap, InvocationContext, Result, Word};

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
