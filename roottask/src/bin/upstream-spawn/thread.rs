// SPDX-License-Identifier: BSD-2-Clause
//! A second thread of the root task: its objects are made and it is started by hand; it signals,
//! calls, checks the answer, and signals again.

use core::cell::UnsafeCell;

use sel4::{cap_type, init_thread};

use crate::image::frame_of;

const BADGE: sel4::Badge = 0x1337;
const LABEL: sel4::Word = 42;

/// Memory of the program's image for the second thread.
#[repr(C, align(4096))]
struct Pages<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: only the second thread uses it, once it runs.
unsafe impl<const BYTES: usize> Sync for Pages<BYTES> {}

static STACK: Pages<16384> = Pages(UnsafeCell::new([0; 16384]));
static IPC_BUFFER: Pages<4096> = Pages(UnsafeCell::new([0; 4096]));

/// How many slots it takes: the first empty ones.
pub const SLOTS: usize = 4;

/// The slots of the objects made, behind the first empty one.
#[derive(Clone, Copy)]
enum Made {
    Notification,
    Badged,
    Endpoint,
    Tcb,
}

static FIRST_SLOT: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

fn slot<T: sel4::CapType>(made: Made) -> init_thread::Slot<T> {
    let first = FIRST_SLOT.load(core::sync::atomic::Ordering::Relaxed);
    init_thread::Slot::from_index(first + made as usize)
}

/// Starts the thread, hears from it and suspends it.
pub fn run(bootinfo: &sel4::BootInfo) -> sel4::Result<()> {
    let first = bootinfo.empty().start();
    FIRST_SLOT.store(first, core::sync::atomic::Ordering::Relaxed);
    let untyped = find_untyped(bootinfo, 12);
    let cnode = init_thread::slot::CNODE.cap();
    for (made, blueprint) in [
        (Made::Notification, sel4::ObjectBlueprint::Notification),
        (Made::Endpoint, sel4::ObjectBlueprint::Endpoint),
        (Made::Tcb, sel4::ObjectBlueprint::Tcb),
    ] {
        let slot: init_thread::Slot = slot(made);
        untyped.untyped_retype(&blueprint, &cnode.absolute_cptr_for_self(), slot.index(), 1)?;
    }
    let notification = slot::<cap_type::Notification>(Made::Notification).cap();
    cnode.absolute_cptr(slot::<cap_type::Notification>(Made::Badged).cptr()).mint(
        &cnode.absolute_cptr(notification),
        sel4::CapRights::write_only(),
        BADGE,
    )?;

    let tcb = slot::<cap_type::Tcb>(Made::Tcb).cap();
    tcb.tcb_configure(
        init_thread::slot::NULL.cptr(),
        cnode,
        sel4::CNodeCapData::new(0, 0),
        init_thread::slot::VSPACE.cap(),
        IPC_BUFFER.0.get() as sel4::Word,
        frame_of(bootinfo, IPC_BUFFER.0.get() as usize),
    )?;
    let authority = init_thread::slot::TCB.cap();
    tcb.tcb_set_sched_params(authority, 255, 255)?;
    let mut context = sel4::UserContext::default();
    *context.pc_mut() = second_thread as *const () as sel4::Word;
    // As after a call: 4 below a multiple of 16.
    *context.sp_mut() = (STACK.0.get() as usize + size_of_val(&STACK) - 4) as sel4::Word;
    tcb.tcb_write_all_registers(true, &mut context)?;

    let (_, badge) = notification.wait();
    sel4::debug_println!("signalled with badge {badge:#x}");
    assert_eq!(badge, BADGE);

    let endpoint = slot::<cap_type::Endpoint>(Made::Endpoint).cap();
    let (info, _) = endpoint.recv(());
    let sum = sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[..info.length()].iter().sum());
    sel4::debug_println!("received label {}, {} words, sum {sum}", info.label(), info.length());
    assert_eq!((info.label(), info.length(), sum), (LABEL, 10, 45));
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[0] = sum;
        sel4::reply(buffer, sel4::MessageInfoBuilder::default().length(1).build());
    });
    let (_, badge) = notification.wait();
    assert_eq!(badge, BADGE);
    tcb.tcb_suspend()?;
    sel4::debug_println!("answered");
    Ok(())
}

/// The second thread: signals, calls, checks the answer, signals again.
extern "C" fn second_thread() -> ! {
    // SAFETY: this thread's own buffer, and the only reference to it.
    let buffer = unsafe { &mut *IPC_BUFFER.0.get().cast::<sel4::IpcBuffer>() };
    sel4::set_ipc_buffer(buffer);
    let badged = slot::<cap_type::Notification>(Made::Badged).cap();
    badged.signal();
    let info = sel4::MessageInfoBuilder::default().label(LABEL).length(10).build();
    sel4::with_ipc_buffer_mut(|buffer| {
        let words = buffer.msg_regs_mut()[..10].iter_mut();
        words.enumerate().for_each(|(index, word)| *word = index as sel4::Word);
    });
    let answer = slot::<cap_type::Endpoint>(Made::Endpoint).cap().call(info);
    assert_eq!(answer.length(), 1);
    assert_eq!(sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0]), 45);
    badged.signal();
    loop {
        sel4::r#yield();
    }
}

/// The first untyped of RAM that has 2^`size_bits` bytes.
fn find_untyped(bootinfo: &sel4::BootInfo, size_bits: usize) -> sel4::cap::Untyped {
    let list = bootinfo.untyped_list();
    let found = bootinfo
        .kernel_untyped_range()
        .find(|&index| list[index].size_bits() >= size_bits)
        .expect("there is RAM");
    bootinfo.untyped().index(found).cap()
}
