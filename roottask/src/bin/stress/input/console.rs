// SPDX-License-Identifier: BSD-2-Clause
//! What the host says on the serial line: a byte that asks the run to finish.

use sel4::init_thread::slot;

/// The first serial port's data, and its line status.
const DATA: u16 = 0x3f8;
const STATUS: u16 = DATA + 5;
/// A byte has come.
const READY: u8 = 1;
/// What asks to finish: "quit".
const FINISH: u8 = b'q';

/// Whether the host has asked since the last time. One kernel call, two if a byte came.
pub fn asked_to_finish() -> bool {
    let port = slot::IO_PORT.cap();
    // Without the device nobody asks.
    port.ioport_in8(STATUS).is_ok_and(|status| status & READY != 0)
        && port.ioport_in8(DATA).is_ok_and(|byte| byte == FINISH)
}
