// SPDX-License-Identifier: BSD-2-Clause
//! I/O ports.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, cap_type, CapRights, Error, Word};

use crate::context::{Context, Scratch};

crate::table::tests!("io_port":
    a_byte_written_is_read_back,
    the_firmware_device_says_its_name,
    a_capability_of_another_type_is_refused,
    a_narrowed_capability_reaches_no_other_port,
    a_narrowed_capability_does_not_get_wider,
    an_issued_range_reaches_no_other_port,
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
    let port: cap::IOPort = slot::VSPACE.cap().cast();
    check_eq!(port.ioport_in8(SCRATCH), Err(Error::IllegalOperation));
    Ok(())
}

/// A capability to ports, of one to more; the null capability if the kernel makes none.
fn narrowed(scratch: &Scratch, from: usize, (first, last): (u16, u16), to: usize) -> Outcome {
    let range = Word::from(first) << 16 | Word::from(last);
    Ok(scratch.place(to).mint(&scratch.place(from), CapRights::all(), range)?)
}

/// A204.
fn a_narrowed_capability_reaches_no_other_port(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 8)?;
    let all = slot::CNODE.cap().absolute_cptr(slot::IO_PORT.cptr());
    scratch.place(0).copy(&all, CapRights::all())?;
    narrowed(&scratch, 0, (SCRATCH - 1, SCRATCH), 1)?;
    let port: cap::IOPort = scratch.cap(1);
    port.ioport_out8(SCRATCH, 0x3c)?;
    check_eq!(port.ioport_in8(SCRATCH)?, 0x3c);
    for beside in [0, SCRATCH - 2, SCRATCH + 1, u16::MAX] {
        check_eq!(port.ioport_in8(beside), Err(Error::IllegalOperation));
        check_eq!(port.ioport_out8(beside, 0), Err(Error::IllegalOperation));
    }
    // Four bytes from its last port on are not all its own.
    check_eq!(port.ioport_in32(SCRATCH), Err(Error::IllegalOperation));
    check_eq!(port.ioport_in16(SCRATCH), Err(Error::IllegalOperation));
    Ok(())
}

/// A204.
fn a_narrowed_capability_does_not_get_wider(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 8)?;
    let all = slot::CNODE.cap().absolute_cptr(slot::IO_PORT.cptr());
    scratch.place(0).copy(&all, CapRights::all())?;
    narrowed(&scratch, 0, (SCRATCH - 1, SCRATCH), 1)?;
    for wider in [(0, u16::MAX), (SCRATCH - 2, SCRATCH), (SCRATCH - 1, SCRATCH + 1)] {
        // The kernel makes no capability then.
        check!(narrowed(&scratch, 1, wider, 2).is_err());
    }
    Ok(())
}

/// A117.
fn an_issued_range_reaches_no_other_port(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 8)?;
    let control = slot::IO_PORT_CONTROL.cap();
    let (first, last) = (Word::from(SCRATCH - 1), Word::from(SCRATCH));
    control.ioport_control_issue(first, last, &scratch.place(0))?;
    let port: cap::IOPort = scratch.cap(0);
    let write = |port: Word, byte: Word| {
        let ports = scratch.cap::<cap_type::IOPort>(0).bits();
        sel4::with_ipc_buffer_mut(|buffer| {
            Error::from_sys(buffer.inner_mut().seL4_X86_IOPort_Out8(ports, port, byte))
        })
    };
    check_eq!(write(last, 0x3c), None);
    check_eq!(port.ioport_in8(SCRATCH)?, 0x3c);
    check_eq!(write(last + 1, 0), Some(Error::IllegalOperation));
    check_eq!(write(last, 0x100), Some(Error::InvalidArgument));
    check_eq!(write(0x1_0000, 0), Some(Error::InvalidArgument));
    check_eq!(port.ioport_in8(SCRATCH - 2), Err(Error::IllegalOperation));
    let none = Err(Error::InvalidArgument);
    check_eq!(control.ioport_control_issue(last, first, &scratch.place(1)), none);
    check_eq!(control.ioport_control_issue(0, 0x1_0000, &scratch.place(1)), none);
    let occupied = control.ioport_control_issue(first, last, &scratch.place(0));
    check_eq!(occupied, Err(Error::DeleteFirst));
    Ok(())
}
