// SPDX-License-Identifier: BSD-2-Clause
//! The manager's IPC buffers.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{
    cap, CapRights, MessageInfoBuilder, ObjectBlueprint, VmAttributes, Word, NUM_MESSAGE_REGISTERS,
};
use vmm::{Pages, RegionOptions};

use crate::arch::IPC_BUFFER_BYTES;
use crate::context::{let_children_run, Context};
use crate::probe::{load, words};

crate::table::tests!("ipc_buffer":
    no_two_share_a_frame,
    the_pages_on_either_side_fault,
    a_new_one_is_clear,
    releasing_takes_it_from_its_thread,
    it_is_not_released_or_unmapped_as_memory,
    releasing_twice_is_refused,
    a_thread_can_be_given_another,
);

fn no_two_share_a_frame(context: &mut Context) -> Outcome {
    let mut frames = Vec::new();
    let mut buffers = Vec::new();
    frames.push(slot::IPC_BUFFER.cap().frame_get_address()?);
    for _ in 0..24 {
        let buffer = context.vmm.allocate_ipc_buffer(context.space)?;
        let physical = context.vmm.physical_address(context.space, buffer.address())?;
        check_eq!(buffer.address() % IPC_BUFFER_BYTES, 0);
        check!(!frames.contains(&(physical & !4095)));
        frames.push(physical & !4095);
        buffers.push(buffer);
    }
    for buffer in buffers {
        context.vmm.release_ipc_buffer(buffer)?;
    }
    Ok(())
}

fn the_pages_on_either_side_fault(context: &mut Context) -> Outcome {
    let buffer = context.vmm.allocate_ipc_buffer(context.space)?;
    for address in [buffer.address() - size_of::<Word>(), buffer.address() + 4096] {
        check_eq!(context.spawn(load, address)?.vm_fault()?.addr() as usize, address);
        check_eq!(context.vmm.mapping_at(context.space, address)?, None);
    }
    check_eq!(context.spawn(load, buffer.address())?.result()?, 0);
    Ok(context.vmm.release_ipc_buffer(buffer)?)
}

fn a_new_one_is_clear(context: &mut Context) -> Outcome {
    // Dirty frames are at hand when the buffer is made.
    let region = context.vmm.map(context.space, &RegionOptions::new(16))?;
    words(region.start().bits(), 16).fill(0xdead);
    context.vmm.release(region)?;
    let buffer = context.vmm.allocate_ipc_buffer(context.space)?;
    check!(words(buffer.address(), 1).iter().all(|&word| word == 0));
    Ok(context.vmm.release_ipc_buffer(buffer)?)
}

fn receive(endpoint: usize) -> Word {
    cap::Endpoint::from_bits(endpoint as Word).recv(()).0.into_inner().words[0]
}

fn releasing_takes_it_from_its_thread(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    let endpoint: cap::Endpoint = scratch.make(ObjectBlueprint::Endpoint, 0)?;
    let child = context.spawn(receive, endpoint.bits() as usize)?;
    let_children_run()?;
    let buffer = child.thread.buffer();
    // Addresses to look at its frame through: the page behind keeps their page table.
    let region = context.vmm.map(context.space, &RegionOptions::new(2))?;
    let window = region.start().bits();
    context.vmm.unmap(context.space, Pages::at(window))?;
    context.vmm.release_ipc_buffer(buffer)?;

    // The frame is free now; whoever gets it must not find a message in it. So look at it, behind
    // the manager's back, while a message is sent to the thread.
    let frame = buffer.frame().cap::<sel4::cap_type::Granule>();
    let (vspace, attributes) = (slot::VSPACE.cap(), VmAttributes::DEFAULT);
    frame.frame_map(vspace, window, CapRights::read_only(), attributes)?;
    let before = words(window, 1).to_vec();
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut().fill(0x1ea4));
    endpoint.nb_send(MessageInfoBuilder::default().length(NUM_MESSAGE_REGISTERS).build());
    // The thread comes back from its receive, and touches the buffer it no longer has.
    let fault = child.vm_fault()?;
    let addresses = buffer.address()..buffer.address() + IPC_BUFFER_BYTES;
    check!(addresses.contains(&(fault.addr() as usize)));
    check!(words(window, 1).iter().eq(&before));
    check!(!before.contains(&0x1ea4));
    frame.frame_unmap()?;
    context.vmm.release(region)?;
    Ok(())
}

fn it_is_not_released_or_unmapped_as_memory(context: &mut Context) -> Outcome {
    let buffer = context.vmm.allocate_ipc_buffer(context.space)?;
    let (region, name) = (buffer.region(), context.vmm.region_info(buffer.region())?.name);
    let wrong_kind = Err(vmm::Error::WrongKind { region, name });
    check_eq!(context.vmm.release(buffer.region()), wrong_kind);
    check_eq!(context.vmm.unmap(context.space, Pages::at(buffer.address())), wrong_kind);
    Ok(context.vmm.release_ipc_buffer(buffer)?)
}

fn releasing_twice_is_refused(context: &mut Context) -> Outcome {
    let buffer = context.vmm.allocate_ipc_buffer(context.space)?;
    context.vmm.release_ipc_buffer(buffer)?;
    let gone = Err(vmm::Error::NoSuchIpcBuffer { address: buffer.address() });
    check_eq!(context.vmm.release_ipc_buffer(buffer), gone);
    let child = context.prepare(254, receive, 0)?;
    let tcb = child.thread.tcb().into();
    check_eq!(context.vmm.set_ipc_buffer(tcb, buffer), gone);
    Ok(())
}

fn sum_of_message(endpoint: usize) -> Word {
    cap::Endpoint::from_bits(endpoint as Word).recv(());
    sel4::with_ipc_buffer(|buffer| buffer.msg_regs().iter().sum())
}

fn a_thread_can_be_given_another(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    let endpoint: cap::Endpoint = scratch.make(ObjectBlueprint::Endpoint, 0)?;
    let child = context.prepare(254, sum_of_message, endpoint.bits() as usize)?;
    let other = context.vmm.allocate_ipc_buffer(context.space)?;
    let tcb = child.thread.tcb().into();
    child.start()?;
    child.thread.tcb().tcb_suspend()?;
    context.vmm.set_ipc_buffer(tcb, other)?;
    // SAFETY: mapped for the child, which does not run.
    unsafe { sel4::init_ipc_buffer(other.address() as *mut sel4::IpcBuffer) };
    child.thread.tcb().tcb_resume()?;
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut().fill(3));
    endpoint.send(MessageInfoBuilder::default().length(NUM_MESSAGE_REGISTERS).build());
    check_eq!(child.result()?, 360);
    check_eq!(words(other.address(), 1)[120], 3);
    check_eq!(words(child.thread.buffer().address(), 1)[120], 0);
    child.thread.tcb().tcb_suspend()?;
    Ok(context.vmm.release_ipc_buffer(other)?)
}
