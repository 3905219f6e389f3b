// SPDX-License-Identifier: BSD-2-Clause
//! Faults, as their handler receives them.

use roottask::{check, check_eq, Outcome, ThreadOptions};
use sel4::{Fault, MessageInfoBuilder, Word};
use vmm::{Blueprint, Pages, RegionOptions};

use crate::context::{answer_fault, Child, Context, Event};
use crate::probe::{
    load, probe_load, probe_store, probe_syscall, probe_undefined, set_word, store, word, STORED,
};

crate::table::tests!("fault":
    a_load_from_nowhere_says_where,
    a_store_to_nowhere_says_that_it_was_one,
    a_jump_to_nowhere_says_where,
    the_null_page_is_never_mapped,
    kernel_memory_is_out_of_reach,
    the_handler_maps_the_page_and_the_thread_goes_on,
    a_call_of_no_capability_is_a_capability_fault,
    a_receive_from_no_capability_says_that_it_was_receiving,
    an_undefined_instruction_is_exception_six,
    a_system_call_that_there_is_not_says_its_number,
    a_fault_without_handler_leaves_the_others_alone,
);

/// The x86 page-fault error code for a load from, and a store to, a page that is not present.
const LOAD_NOT_PRESENT: Word = 0b100;
const STORE_NOT_PRESENT: Word = 0b110;

fn a_load_from_nowhere_says_where(context: &mut Context) -> Outcome {
    let region = context.vmm.reserve(context.space, &RegionOptions::new(1))?;
    let address = region.start().bits() + 0x234;
    let fault = context.spawn(load, address)?.vm_fault()?;
    check_eq!(fault.addr() as usize, address);
    check_eq!(fault.ip() as usize, probe_load as *const () as usize);
    check_eq!(fault.fsr(), LOAD_NOT_PRESENT);
    check_eq!(fault.prefetch_fault(), 0);
    check_eq!(fault.inner().get_Addr(), fault.addr());
    Ok(context.vmm.release(region)?)
}

fn a_store_to_nowhere_says_that_it_was_one(context: &mut Context) -> Outcome {
    let region = context.vmm.reserve(context.space, &RegionOptions::new(1))?;
    let address = region.start().bits() + 4092;
    let fault = context.spawn(store, address)?.vm_fault()?;
    check_eq!(fault.addr() as usize, address);
    check_eq!(fault.ip() as usize, probe_store as *const () as usize);
    check_eq!(fault.fsr(), STORE_NOT_PRESENT);
    Ok(context.vmm.release(region)?)
}

fn jump(address: usize) -> Word {
    // SAFETY: nothing is mapped there, so nothing is executed; the thread ends here.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> Word>(address) };
    function()
}

fn a_jump_to_nowhere_says_where(context: &mut Context) -> Outcome {
    let region = context.vmm.reserve(context.space, &RegionOptions::new(1))?;
    let address = region.start().bits();
    let fault = context.spawn(jump, address)?.vm_fault()?;
    check_eq!(fault.addr() as usize, address);
    check_eq!(fault.ip() as usize, address);
    Ok(context.vmm.release(region)?)
}

fn the_null_page_is_never_mapped(context: &mut Context) -> Outcome {
    check_eq!(context.spawn(load, 0)?.vm_fault()?.addr(), 0);
    check_eq!(context.spawn(store, 4092)?.vm_fault()?.addr(), 4092);
    Ok(())
}

fn kernel_memory_is_out_of_reach(context: &mut Context) -> Outcome {
    let fault = context.spawn(load, 0xe010_0000)?.vm_fault()?;
    check_eq!(fault.addr(), 0xe010_0000);
    // From user mode, whether the page is there or not.
    check_eq!(fault.fsr() & 0b110, 0b100);
    Ok(())
}

fn the_handler_maps_the_page_and_the_thread_goes_on(context: &mut Context) -> Outcome {
    let region = context.vmm.reserve(context.space, &RegionOptions::new(4))?;
    let address = region.start().bits() + 2 * 4096 + 8;
    let child = context.spawn(store, address)?;
    check_eq!(child.vm_fault()?.addr() as usize, address);
    let page = address & !4095;
    context.vmm.populate(context.space, Pages::at(page))?;
    check_eq!(word(page), 0);
    set_word(page, 6);
    answer_fault();
    check_eq!(child.result()?, STORED);
    check_eq!((word(page), word(address)), (6, STORED));
    Ok(context.vmm.release(region)?)
}

fn cap_fault(child: &Child) -> Outcome<sel4::CapFault> {
    match child.wait()? {
        Event::Fault(Fault::CapFault(fault)) => Ok(fault),
        event => Err(crate::context::unexpected(&event)),
    }
}

/// A pointer whose upper half does not match the root CNode's guard.
const NOWHERE: Word = 0x7777_0000;

fn call(cptr: usize) -> Word {
    let endpoint = sel4::cap::Endpoint::from_bits(cptr as Word);
    endpoint.call(MessageInfoBuilder::default().build()).label()
}

fn receive(cptr: usize) -> Word {
    sel4::cap::Endpoint::from_bits(cptr as Word).recv(()).1
}

fn a_call_of_no_capability_is_a_capability_fault(context: &mut Context) -> Outcome {
    let child = context.spawn(call, NOWHERE as usize)?;
    let fault = cap_fault(&child)?;
    check_eq!(fault.addr(), NOWHERE);
    check_eq!(fault.in_recv_phase(), 0);
    Ok(())
}

fn a_receive_from_no_capability_says_that_it_was_receiving(context: &mut Context) -> Outcome {
    let child = context.spawn(receive, NOWHERE as usize)?;
    let fault = cap_fault(&child)?;
    check_eq!(fault.addr(), NOWHERE);
    check_eq!(fault.in_recv_phase(), 1);
    Ok(())
}

fn undefined(_: usize) -> Word {
    // SAFETY: the thread faults there, and does not go on.
    unsafe { probe_undefined(0) }
}

fn an_undefined_instruction_is_exception_six(context: &mut Context) -> Outcome {
    let child = context.spawn(undefined, 0)?;
    let event = child.wait()?;
    let Event::Fault(Fault::UserException(fault)) = event else {
        return Err(crate::context::unexpected(&event));
    };
    check_eq!(fault.number(), 6);
    check_eq!(fault.fault_ip() as usize, probe_undefined as *const () as usize);
    let stack = child.thread.stack();
    check!((stack.bottom()..stack.top()).contains(&(fault.sp() as usize)));
    Ok(())
}

fn unknown_syscall(number: usize) -> Word {
    // SAFETY: the kernel has no such call; it changes nothing, and the handler ends the thread.
    unsafe { probe_syscall(number as Word) }
}

fn a_system_call_that_there_is_not_says_its_number(context: &mut Context) -> Outcome {
    let child = context.spawn(unknown_syscall, 0x1234)?;
    let event = child.wait()?;
    let Event::Fault(Fault::UnknownSyscall(fault)) = event else {
        return Err(crate::context::unexpected(&event));
    };
    check_eq!(fault.syscall(), 0x1234);
    check_eq!(crate::arch::number_of(&fault), 0x1234);
    Ok(())
}

fn a_fault_without_handler_leaves_the_others_alone(context: &mut Context) -> Outcome {
    let endpoint = context.vmm.allocate(Blueprint::Endpoint)?;
    let orphan = context.prepare_with(&ThreadOptions::new("orphan"), endpoint, load, 0)?;
    orphan.start()?;
    crate::context::let_children_run()?;
    // It stands at the instruction that faulted.
    let registers = orphan.thread.tcb().tcb_read_all_registers(true)?;
    check_eq!(*registers.pc() as usize, probe_load as *const () as usize);
    let region = context.vmm.map(context.space, &RegionOptions::new(1))?;
    let other = context.spawn(store, region.start().bits())?;
    check_eq!(other.result()?, STORED);
    Ok(context.vmm.release(region)?)
}
