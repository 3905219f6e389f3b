// SPDX-License-Identifier: BSD-2-Clause
//! Threads: registers, priorities, their own IPC buffers and TLS.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, CNodeCapData, CapRights, Error, ObjectBlueprint, UserContext, Word};

use crate::arch::{first_tls_word, number_registers};
use crate::context::{let_children_run, place, Context};
use crate::probe::load;

crate::table::tests!("thread":
    registers_are_read_as_they_were_written,
    a_higher_priority_runs_first,
    a_priority_above_the_maximum_is_refused,
    a_suspended_thread_does_not_run,
    each_thread_finds_its_own_ipc_buffer,
    the_tls_base_is_where_the_thread_pointer_leads,
    one_cannot_read_ones_own_registers,
    hundred_threads_run_at_once,
    a_thread_with_a_cspace_of_its_own_prints,
);

fn registers_are_read_as_they_were_written(context: &mut Context) -> Outcome {
    let child = context.prepare(254, load, 0)?;
    let tcb = child.thread.tcb();
    let mut written = sel4::UserContext::default();
    number_registers(&mut written);
    tcb.tcb_write_all_registers(false, &mut written)?;
    let read = tcb.tcb_read_all_registers(false)?;
    // Of the flags the kernel sets and clears some.
    let others = |context: &UserContext| {
        context.named().map(|(name, value)| match name {
            "eflags" | "rflags" => 0,
            _ => value,
        })
    };
    check_eq!(others(&read), others(&written));
    check_eq!((*read.pc(), *read.sp()), (0x8000, 0x9000));
    check_eq!(*tcb.tcb_read_registers(false, 1)?.pc(), 0x8000);
    Ok(())
}

/// Numbers the calls of [`take_number`].
static NEXT_NUMBER: AtomicUsize = AtomicUsize::new(0);

fn take_number(_: usize) -> Word {
    NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) as Word
}

fn a_higher_priority_runs_first(context: &mut Context) -> Outcome {
    NEXT_NUMBER.store(0, Ordering::Relaxed);
    let low = context.prepare(10, take_number, 0)?;
    let high = context.prepare(20, take_number, 0)?;
    let middle = context.prepare(1, take_number, 0)?;
    for child in [low, middle, high] {
        child.start()?;
    }
    middle.thread.tcb().tcb_set_priority(slot::TCB.cap(), 15)?;
    check_eq!(low.result()?, 2);
    check_eq!(middle.result()?, 1);
    check_eq!(high.result()?, 0);
    Ok(())
}

fn a_priority_above_the_maximum_is_refused(context: &mut Context) -> Outcome {
    let child = context.prepare(254, load, 0)?;
    let (tcb, me) = (child.thread.tcb(), slot::TCB.cap());
    check_eq!(tcb.tcb_set_priority(me, 256), Err(Error::RangeError));
    check_eq!(tcb.tcb_set_mc_priority(me, 256), Err(Error::RangeError));
    check_eq!(tcb.tcb_set_priority(me, 255), Ok(()));
    Ok(())
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

fn count_for_ever(_: usize) -> Word {
    loop {
        COUNT.fetch_add(1, Ordering::Relaxed);
        sel4::r#yield();
    }
}

fn a_suspended_thread_does_not_run(context: &mut Context) -> Outcome {
    COUNT.store(0, Ordering::Relaxed);
    let child = context.prepare(255, count_for_ever, 0)?;
    child.start()?;
    while COUNT.load(Ordering::Relaxed) == 0 {
        sel4::r#yield();
    }
    child.thread.tcb().tcb_suspend()?;
    let count = COUNT.load(Ordering::Relaxed);
    (0..100).for_each(|_| sel4::r#yield());
    check_eq!(COUNT.load(Ordering::Relaxed), count);
    child.thread.tcb().tcb_resume()?;
    while COUNT.load(Ordering::Relaxed) == count {
        sel4::r#yield();
    }
    Ok(())
}

fn own_ipc_buffer(_: usize) -> Word {
    sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer) as Word)
}

fn each_thread_finds_its_own_ipc_buffer(context: &mut Context) -> Outcome {
    let mine = own_ipc_buffer(0) as usize;
    check_eq!(mine, context.bootinfo.ipc_buffer() as usize);
    for _ in 0..3 {
        let child = context.spawn(own_ipc_buffer, 0)?;
        check_eq!(child.result()? as usize, child.thread.buffer().address());
        check_eq!(own_ipc_buffer(0) as usize, mine);
    }
    Ok(())
}

/// The first word at the thread pointer.
fn tls_word(_: usize) -> Word {
    first_tls_word()
}

static FIRST: [Word; 1] = [0xaaaa_0001];
static SECOND: [Word; 1] = [0xbbbb_0002];

fn the_tls_base_is_where_the_thread_pointer_leads(context: &mut Context) -> Outcome {
    for (base, expected) in [(&FIRST, 0xaaaa_0001), (&SECOND, 0xbbbb_0002)] {
        let child = context.prepare(254, tls_word, 0)?;
        child.start()?;
        let tcb = child.thread.tcb();
        let mut registers = tcb.tcb_read_all_registers(true)?;
        registers.inner_mut().tls_base = base.as_ptr() as Word;
        tcb.tcb_write_all_registers(true, &mut registers)?;
        check_eq!(child.result()?, expected);
    }
    Ok(())
}

fn one_cannot_read_ones_own_registers(_: &mut Context) -> Outcome {
    let read = slot::TCB.cap().tcb_read_all_registers(false);
    check_eq!(read.map(|_| ()), Err(Error::IllegalOperation));
    Ok(())
}

fn hundred_threads_run_at_once(context: &mut Context) -> Outcome {
    COUNT.store(0, Ordering::Relaxed);
    NEXT_NUMBER.store(0, Ordering::Relaxed);
    for _ in 0..100 {
        context.spawn(take_number, 0)?;
    }
    let_children_run()?;
    check_eq!(NEXT_NUMBER.load(Ordering::Relaxed), 100);
    check!(context.vmm.stats().allocator.live.tcbs >= 100);
    Ok(())
}

/// What the thread below has in its CSpace: nothing but a bell, and itself.
const BELL: Word = 1;
const ITSELF: Word = 2;
/// The badge of its ring.
const RANG: Word = 5;

/// Bytes that were written where the kernel does not print.
static WRITTEN: AtomicUsize = AtomicUsize::new(0);

fn count_byte(_: u8) {
    WRITTEN.fetch_add(1, Ordering::Relaxed);
}

fn print_and_ring(_: usize) -> Word {
    sel4::debug_println!("a thread with a CSpace of its own prints");
    cap::Notification::from_bits(BELL).signal();
    let _ = cap::Tcb::from_bits(ITSELF).tcb_suspend();
    0
}

/// By the kernel, or by what the program gave in its place: no slot is needed.
fn a_thread_with_a_cspace_of_its_own_prints(context: &mut Context) -> Outcome {
    const RADIX: usize = 2;
    let scratch = context.scratch(12, 2)?;
    let bell: cap::Notification = scratch.make(ObjectBlueprint::Notification, 0)?;
    let cnode: cap::CNode = scratch.make(ObjectBlueprint::CNode { size_bits: RADIX }, 1)?;
    let child = context.prepare(254, print_and_ring, 0)?;
    let tcb = child.thread.tcb();
    let own = |slot| cnode.absolute_cptr_from_bits_with_depth(slot, RADIX);
    own(BELL).mint(&scratch.place(0), CapRights::write_only(), RANG)?;
    own(ITSELF).mint(&place(tcb.cptr()), CapRights::all(), 0)?;
    let guard = CNodeCapData::new(0, sel4::WORD_SIZE - RADIX);
    tcb.tcb_set_space(slot::NULL.cptr(), cnode, guard, slot::VSPACE.cap())?;
    WRITTEN.store(0, Ordering::Relaxed);
    sel4::set_debug_put_char(count_byte);
    child.start()?;
    let_children_run()?;
    sel4::set_debug_put_char(sel4::debug_put_char_by_port);
    let (_, rang) = bell.poll();
    own(ITSELF).delete()?;
    check_eq!(rang, RANG);
    let written = WRITTEN.load(Ordering::Relaxed);
    check_eq!(written, if sel4::sel4_cfg_bool!(PRINTING) { 0 } else { 41 });
    Ok(())
}
