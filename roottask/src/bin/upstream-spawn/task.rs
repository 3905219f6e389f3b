// SPDX-License-Identifier: BSD-2-Clause
//! A program in an address space and a CSpace of its own. It prints, and tells that it has.

use alloc::string::String;

use sel4::{cap_type, init_thread};

use crate::elf::Elf;
use crate::objects::Objects;
use crate::{image, vspace};

/// The program's file. `lib.sh` builds it first, and says where in `VMM_CLIENTS`.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/upstream-child"));

/// The program's CNode has 2^2 slots: a notification in slot 1, its TCB in slot 2, and in slot 3
/// the endpoint that it prints to where the kernel does not print.
const CNODE_BITS: usize = 2;

/// Makes and starts the program, prints for it what the kernel does not, and waits for its signal.
pub fn run(bootinfo: &sel4::BootInfo, objects: &mut Objects) -> sel4::Result<()> {
    let elf = Elf::new(PROGRAM);
    let space = vspace::make(objects, &elf, image::free_page(bootinfo)?)?;
    let signal = objects.make_fixed::<cap_type::Notification>()?;
    let output = objects.make_fixed::<cap_type::Endpoint>()?;
    let cnode = objects.make_sized::<cap_type::CNode>(CNODE_BITS)?;
    let tcb = objects.make_fixed::<cap_type::Tcb>()?;
    let given = [
        (1, signal.cast(), sel4::CapRights::write_only()),
        (2, tcb.cast(), sel4::CapRights::all()),
        (3, output.cast::<cap_type::Unspecified>(), sel4::CapRights::write_only()),
    ];
    for (slot, object, rights) in given {
        let from = init_thread::slot::CNODE.cap().absolute_cptr(object);
        cnode.absolute_cptr_from_bits_with_depth(slot, CNODE_BITS).mint(&from, rights, 0)?;
    }

    tcb.tcb_configure(
        init_thread::slot::NULL.cptr(),
        cnode,
        sel4::CNodeCapData::new(0, sel4::WORD_SIZE - CNODE_BITS),
        space.vspace,
        space.ipc_buffer as sel4::Word,
        space.ipc_buffer_frame,
    )?;
    let mut context = sel4::UserContext::default();
    *context.pc_mut() = elf.entry() as sel4::Word;
    tcb.tcb_set_sched_params(init_thread::slot::TCB.cap(), 255, 255)?;
    tcb.tcb_write_all_registers(true, &mut context)?;

    if !sel4::sel4_cfg_bool!(PRINTING) {
        let line = received_line(output);
        sel4::debug_println!("{line}");
    }
    signal.wait();
    sel4::debug_println!("the task has signalled");
    Ok(())
}

/// What the program sends until the end of its line: a byte is the label of a message.
fn received_line(output: sel4::cap::Endpoint) -> String {
    let mut line = String::new();
    loop {
        let (info, _) = output.recv(());
        match info.label() as u8 {
            b'\n' => return line,
            byte => line.push(byte.into()),
        }
    }
}
