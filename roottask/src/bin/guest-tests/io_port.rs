// SPDX-License-Identifier: BSD-2-Clause
//! I/O ports.

use roottask::{check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::Error;

use crate::context::Context;

crate::table::tests!("io_port":
    a_byte_written_is_read_back,
    the_firmware_device_says_its_name,
    a_capability_of_another_type_is_refused,
);

/// COM1's scratch register, which does nothing.
const SCRATCH: u16 = 0x3ff;

fn a_byte_written_is_read_back(_: &mut Context) -> Outcome {
    let port = slot::IO_PORT.cap();
    for byte in [0x5a, 0xa5, 0] {
        port.ioport_out8(SCRATCH, byte)?;
        check_eq!(port.ioport_in8(SCRATCH)?, byte);
    }
    Ok(())
}

fn the_firmware_device_says_its_name(_: &mut Context) -> Outcome {
    let port = slot::IO_PORT.cap();
    port.ioport_out16(0x510, 0)?;
    let mut name = [0; 4];
    for byte in &mut name {
        *byte = port.ioport_in8(0x511)?;
    }
    check_eq!(&name, b"QEMU");
    Ok(())
}

fn a_capability_of_another_type_is_refused(_: &mut Context) -> Outcome {
    let port: sel4::cap::IOPort = slot::VSPACE.cap().cast();
    check_eq!(port.ioport_in8(SCRATCH), Err(Error::IllegalOperation));
    Ok(())
}
