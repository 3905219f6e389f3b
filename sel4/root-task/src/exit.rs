// SPDX-License-Identifier: BSD-2-Clause
//! Ending the program, and QEMU with it.

use sel4::init_thread::slot;

/// The port of QEMU's `-device isa-debug-exit,iobase=0xf4,iosize=4`.
const DEBUG_EXIT_PORT: u16 = 0xf4;

/// How a program ends. QEMU's own exit code is twice the value and one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well: QEMU exits with 33.
    Success = 0x10,
    /// The program says that something is wrong: QEMU exits with 35.
    Failure = 0x11,
    /// The program panicked: QEMU exits with 37.
    Panic = 0x12,
}

/// Ends the program: QEMU exits with the code where it has the device for it, and elsewhere the
/// initial thread stops for good. Beyond upstream.
///
/// Any thread whose CSpace has the initial thread's well-known slots may call it.
pub fn exit(code: ExitCode) -> ! {
    // Without the device, or without the capability, there is nothing better to do than to go on.
    let _ = slot::IO_PORT.cap().ioport_out8(DEBUG_EXIT_PORT, code as u8);
    let _ = slot::TCB.cap().tcb_suspend();
    loop {
        sel4::r#yield();
    }
}
