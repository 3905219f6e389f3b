// SPDX-License-Identifier: BSD-2-Clause
//! The IDE controller of a PC, found by PCI's configuration ports ("mechanism 1" of PCI 2.1: an
//! address goes to one port, and the word there is read and written at the other).

use sel4::cap::IOPort;
use sel4::init_thread::slot;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// The bit without which the second port is somebody else's.
const ENABLE: u32 = 1 << 31;

/// Registers of a function, and what is in them.
const COMMAND: u8 = 0x04;
const CLASS: u8 = 0x08;
const FIFTH_BASE: u8 = 0x20;
/// Ports answer; the device may be a bus master.
const COMMAND_BITS: u32 = 1 << 0 | 1 << 2;
/// Mass storage, IDE.
const IDE: u32 = 0x0101;
/// Of the programming interface: the first channel is not at the ports of an AT.
const NATIVE: u32 = 1 << 8;
/// A base is of ports, and not of memory.
const IS_PORT: u32 = 1;

fn ports() -> IOPort {
    slot::IO_PORT.cap()
}

fn select(function: u32, register: u8) -> sel4::Result<()> {
    ports().ioport_out32(ADDRESS, ENABLE | function << 8 | u32::from(register))
}

fn read(function: u32, register: u8) -> sel4::Result<u32> {
    select(function, register)?;
    ports().ioport_in32(DATA)
}

/// Looks for an IDE controller on the first bus whose first channel is where that of an AT is, lets
/// it be a bus master, and returns the first of its sixteen ports for that. Two kernel calls for
/// each of 256 functions at the most.
///
/// # Errors
/// No capability to I/O ports.
pub(crate) fn ide_bus_master() -> sel4::Result<Option<u16>> {
    for function in 0..256 {
        let class = read(function, CLASS)?;
        if class >> 16 != IDE || class & NATIVE != 0 {
            continue;
        }
        let base = read(function, FIFTH_BASE)?;
        if base & IS_PORT == 0 || base & !IS_PORT == 0 {
            continue;
        }
        let command = read(function, COMMAND)?;
        select(function, COMMAND)?;
        // The upper half is the status, in which a bit that is written is cleared.
        ports().ioport_out32(DATA, command & 0xffff | COMMAND_BITS)?;
        return Ok(u16::try_from(base & !0xf).ok());
    }
    Ok(None)
}
