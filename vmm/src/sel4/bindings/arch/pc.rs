// SPDX-License-Identifier: BSD-2-Clause
//! The PC's ports and interrupts. A range of ports is issued once, and is free again when its
//! capability is deleted. Where the kernel uses the IOAPIC, an interrupt has a vector of the
//! caller's choice; a pin has the vector that it was given last, whoever had it before.

use sel4::init_thread::slot;
use sel4::{AbsoluteCPtr, Error, Result, Word};
use untyped_alloc::CPtr;

use super::super::invoke::invoke;

/// The last vector that user space has (`irq_user_max` of the platform, from `irq_user_min` on),
/// which is tried first; the others follow, from above.
const LAST_VECTOR: Word = 107;

/// The pin of the first IOAPIC that has a line of the PIC's: its own number but for the interval
/// timer's.
fn pin_of_line(line: Word) -> Word {
    match line {
        0 => 2,
        line => line,
    }
}

/// Puts a capability to the ports `first` to `last` into an empty slot.
pub fn claim_ports(first: u16, last: u16, place: &AbsoluteCPtr) -> Result<()> {
    slot::IO_PORT_CONTROL.cap().ioport_control_issue(first.into(), last.into(), place)
}

/// Writes a byte to a port, by the capability that [`claim_ports`] put into the slot `ports`.
pub fn port_out8(ports: CPtr, port: u16, byte: u8) -> Result<()> {
    let ports = ports.bits() as sel4::CPtrBits;
    invoke(|buffer| buffer.seL4_X86_IOPort_Out8(ports, port.into(), byte.into()))
}

/// Makes the handler of an interrupt line of the PC's in an empty slot.
pub fn claim_line(line: Word, place: &AbsoluteCPtr) -> Result<()> {
    let control = slot::IRQ_CONTROL.cap();
    if sel4::sel4_cfg_bool!(IRQ_PIC) {
        return control.irq_control_get(line, place);
    }
    let pin = pin_of_line(line);
    // By its rising edge.
    by_free_vector(LAST_VECTOR, |vector| {
        control.irq_control_get_ioapic(0, pin, 0, 0, vector, place)
    })
}

/// Makes the handler of an interrupt that no device raises in an empty slot: of the line of a
/// coprocessor of its own, which no processor has any more that seL4 runs on; with the IOAPIC, of a
/// message that no device is told to send.
pub fn claim_unused(place: &AbsoluteCPtr) -> Result<()> {
    if sel4::sel4_cfg_bool!(IRQ_PIC) {
        return claim_line(13, place);
    }
    let control = slot::IRQ_CONTROL.cap();
    // The last may have just become the timer's: a kernel that prints tells of each that is taken.
    by_free_vector(LAST_VECTOR - 1, |vector| control.irq_control_get_msi(0, 0, 0, 0, vector, place))
}

/// Makes a handler with the first vector that nobody has, from `last` on downwards.
fn by_free_vector(last: Word, make: impl FnMut(Word) -> Result<()>) -> Result<()> {
    let mut answers = (0..=last).rev().map(make);
    let taken = Err(Error::RevokeFirst);
    answers.find(|answer| *answer != taken).unwrap_or(taken)
}
