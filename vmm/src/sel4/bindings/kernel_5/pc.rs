// SPDX-License-Identifier: BSD-2-Clause
//! The PC's ports, of which the capability in slot 7 has all, and the lines of the PIC.

use sel4::init_thread::slot;
use sel4::{AbsoluteCPtr, Result, Word};
use untyped_alloc::CPtr;

/// Does nothing: slot 7 has all ports.
pub fn claim_ports(_first: u16, _last: u16, _place: &AbsoluteCPtr) -> Result<()> {
    Ok(())
}

/// Writes a byte to a port.
pub fn port_out8(_ports: CPtr, port: u16, byte: u8) -> Result<()> {
    slot::IO_PORT.cap().ioport_out8(port, byte)
}

/// Makes the handler of an interrupt line of the PC's in an empty slot.
pub fn claim_line(line: Word, place: &AbsoluteCPtr) -> Result<()> {
    slot::IRQ_CONTROL.cap().irq_control_get(line, place)
}

/// Makes the handler of an interrupt that no device raises in an empty slot: of the line of a
/// coprocessor of its own, which no processor has any more that seL4 runs on.
pub fn claim_unused(place: &AbsoluteCPtr) -> Result<()> {
    claim_line(13, place)
}
