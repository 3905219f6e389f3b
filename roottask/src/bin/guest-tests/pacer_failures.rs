// SPDX-License-Identifier: BSD-2-Clause
//! Calls that the kernel refuses to the pacer and its threads: nobody waits for ever, and nothing
//! is lost.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roottask::arch::ticks;
use roottask::{check, check_eq, Manager, Outcome};
use sel4::cap_type;
use sel4::init_thread::slot;
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Clock, Pacer, PacerError, PacerOptions};
use vmm::sel4::SpawnOptions;
use vmm::{Blame, Blueprint, CPtr};

use crate::context::Context;
use crate::pacing::{begin, compute, place, ATTEMPTS, PARTS, SEEN};

crate::table::tests!("pacer_failures":
    a_pacer_without_its_ports_is_refused_and_leaves_nothing,
    a_thread_that_cannot_be_suspended_clears_all_the_same,
    who_waits_for_a_thread_that_cannot_be_resumed_is_told,
    a_clearing_that_is_refused_half_way_loses_nothing,
    what_was_left_in_a_slot_does_not_spoil_a_clearing,
    more_bytes_than_there_are_and_none,
    an_interrupt_that_came_and_is_taken_away_is_told,
    who_sleeps_without_an_interrupt_is_told,
    who_waits_without_an_interrupt_has_it_cleared,
    a_pacer_without_its_interrupt_can_be_stopped,
    an_interrupt_that_is_taken_away_while_all_wait_is_told,
    who_sleeps_when_the_pacer_is_stopped_is_told,
    who_sleeps_while_the_interrupt_is_taken_away_is_told_at_once,
    who_sleeps_while_the_timer_s_handler_is_deleted_is_told,
    who_waits_for_a_thread_that_has_faulted_is_told,
    who_sleeps_when_the_pacing_thread_has_faulted_is_told,
    a_pacer_whose_notification_cannot_be_bound_is_refused,
    a_pacer_does_without_the_line_of_its_sentinel,
    a_pacer_without_slots_is_refused_and_leaves_nothing,
);

/// Bytes that take it some ticks to clear.
const LARGE: usize = 1 << 24;

/// Microseconds that nobody sleeps to their end.
const LONG_US: u64 = 3_000_000_000;

/// Does something while a capability is not in its slot, and puts it there again.
fn without<T>(
    vmm: &mut Manager,
    slot: CPtr,
    act: impl FnOnce(&mut Manager) -> Outcome<T>,
) -> Outcome<T> {
    let other = vmm.alloc_slots(1)?;
    let (from, to) = (place(vmm, slot), place(vmm, other));
    to.move_(&from)?;
    let done = act(vmm);
    from.move_(&to)?;
    vmm.free_slots(other, 1)?;
    done
}

/// A136.
fn a_pacer_without_its_ports_is_refused_and_leaves_nothing(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let ports = CPtr::new(slot::IO_PORT.index());
    let refused = PacerError::Kernel(sel4::Error::InvalidCapability);
    let started = without(vmm, ports, |vmm| {
        vmm.trim()?;
        let free = vmm.stats().allocator.free_slots;
        let started = Pacer::start(vmm, &PARTS, PacerOptions::new()).map(drop);
        vmm.trim()?;
        check_eq!(vmm.stats().allocator.free_slots, free);
        Ok(started)
    })?;
    check_eq!(started, Err(refused));
    // The parts and the interrupt are free, and it can be stopped without them, too.
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let stopped = without(vmm, ports, |vmm| Ok(pacer.stop(vmm)))?;
    check_eq!(stopped, Err(refused));
    Ok(Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?)
}

/// Does something while memory is being cleared and the clearing thread is suspended, beside who
/// computes and has a lower priority than all others: so it is suspended for some ticks.
fn while_suspended(
    vmm: &mut Manager,
    act: impl FnOnce(&mut Manager, Pacer, &Clock) -> Outcome,
) -> Outcome {
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(100).share(1, 10))?;
    let clock = pacer.clock(vmm)?;
    let computing = compute(vmm)?;
    let (mut attempts, mut before) = (0, 0);
    while pacer.poll(vmm)? || pacer.times_suspended() == before {
        if pacer.clearing_bytes() == 0 {
            attempts += 1;
            check!(attempts < ATTEMPTS);
            before = pacer.times_suspended();
            check!(begin(vmm, &mut pacer, LARGE)? != 0);
        }
        clock.sleep(1)?;
    }
    act(vmm, pacer, &clock)?;
    SEEN.end.store(true, Ordering::Relaxed);
    check!(computing.join(vmm).is_ok());
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    Ok(clock.release(vmm)?)
}

/// The slot of the clearing thread's capability.
fn clearing_thread(pacer: &Pacer) -> CPtr {
    CPtr::new(pacer.clearing_thread().map_or(0, |thread| thread.bits() as usize))
}

/// Takes the interrupt from whoever has it.
fn take_interrupt() -> sel4::Result<()> {
    slot::CNODE.cap().absolute_cptr(slot::IRQ_CONTROL.cap()).revoke()
}

/// A137.
fn a_thread_that_cannot_be_suspended_clears_all_the_same(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(100))?;
    without(vmm, clearing_thread(&pacer), |vmm| {
        let mut attempts = 0;
        while pacer.calls_refused() == 0 {
            attempts += 1;
            check!(attempts < ATTEMPTS);
            check!(begin(vmm, &mut pacer, LARGE)? != 0);
            pacer.wait(vmm)?;
        }
        Ok(())
    })?;
    check_eq!((pacer.times_suspended(), vmm.stats().allocator.clearing_bytes), (0, 0));
    Ok(pacer.stop(vmm)?)
}

/// A137. Both while it lasts and afterwards.
fn who_waits_for_a_thread_that_cannot_be_resumed_is_told(context: &mut Context) -> Outcome {
    while_suspended(&mut context.vmm, |vmm, mut pacer, clock| {
        let bytes = pacer.clearing_bytes();
        let waited = without(vmm, clearing_thread(&pacer), |vmm| Ok(pacer.wait(vmm)))?;
        check_eq!(waited, Err(PacerError::Kernel(sel4::Error::InvalidCapability)));
        check_eq!(pacer.clearing_bytes(), bytes);
        // Ticks have it go on.
        clock.sleep(5000)?;
        pacer.wait(vmm)?;
        Ok(pacer.stop(vmm)?)
    })
}

/// A125, A137.
fn a_clearing_that_is_refused_half_way_loses_nothing(context: &mut Context) -> Outcome {
    while_suspended(&mut context.vmm, |vmm, mut pacer, _| {
        let bytes = pacer.clearing_bytes();
        let free = vmm.stats().allocator.untyped_bytes + bytes;
        let Some(untyped) = pacer.clearing_untyped() else { return Err(PacerError::Busy.into()) };
        let waited = without(vmm, untyped, |vmm| Ok(pacer.wait(vmm)))?;
        let refused = vmm::Error::Allocator(vmm::AllocatorError::Kernel {
            invocation: vmm::Invocation::UntypedRetype,
            error: vmm::KernelError::InvalidCapability,
        });
        check_eq!(waited, Err(PacerError::Manager(refused)));
        check_eq!((pacer.clearing_bytes(), pacer.clearing_untyped()), (0, None));
        check_eq!(vmm.stats().allocator.untyped_bytes, free);
        vmm.validate()?;
        check_eq!(pacer.clear(vmm, bytes)?, bytes);
        Ok(pacer.stop(vmm)?)
    })
}

/// A61, A137.
fn what_was_left_in_a_slot_does_not_spoil_a_clearing(context: &mut Context) -> Outcome {
    const SLOTS: usize = 64;
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let first = vmm.alloc_slots(SLOTS)?;
    let thread = place(vmm, CPtr::new(slot::TCB.index()));
    for number in 0..SLOTS {
        let slot = place(vmm, CPtr::new(first.bits() + number));
        slot.copy(&thread, sel4::CapRights::all())?;
    }
    vmm.free_slots(first, SLOTS)?;
    vmm.trim()?;
    check!(pacer.clear(vmm, 1 << 12)? != 0);
    vmm.validate()?;
    pacer.stop(vmm)?;
    // Nor what a pacer has in slots of its own.
    for _ in 0..SLOTS / 4 {
        Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?;
    }
    Ok(())
}

/// A124, A137.
fn more_bytes_than_there_are_and_none(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let total = vmm.stats().allocator.total_bytes;
    for bytes in [usize::MAX, total + 1] {
        check_eq!(pacer.clear(vmm, bytes)?, 0);
    }
    let bytes = pacer.clear(vmm, 0)?;
    check!(bytes <= total);
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    Ok(pacer.stop(vmm)?)
}

/// A138. As a rule the interrupt has come, and its handler is gone before the pacing thread, which
/// has this thread's priority, comes to acknowledge it. Who set an alarm before is told as well.
fn an_interrupt_that_came_and_is_taken_away_is_told(context: &mut Context) -> Outcome {
    const MORE_THAN_A_TICK: u64 = 6_000_000;
    while_suspended(&mut context.vmm, |vmm, mut pacer, clock| {
        let alarm = vmm.allocate(Blueprint::Notification)?;
        clock.set_alarm(LONG_US, alarm)?;
        let begun = ticks();
        while ticks() - begun < MORE_THAN_A_TICK {}
        take_interrupt()?;
        check_eq!(clock.sleep(LONG_US), Err(PacerError::TimerLost));
        alarm.cap::<cap_type::Notification>().wait();
        check_eq!(clock.set_alarm(1, alarm), Err(PacerError::TimerLost));
        pacer.wait(vmm)?;
        vmm.free(alarm)?;
        Ok(pacer.stop(vmm)?)
    })
}

/// A138. As a rule the next interrupt has not come, and so it never does.
fn who_sleeps_without_an_interrupt_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let alarm = vmm.allocate(Blueprint::Notification)?;
    clock.sleep(1)?;
    take_interrupt()?;
    // As a rule it is told after that; where this thread's slice has just ended, before.
    match clock.set_alarm(LONG_US, alarm) {
        Ok(()) => {
            alarm.cap::<cap_type::Notification>().wait();
        }
        told => check_eq!(told, Err(PacerError::TimerLost)),
    }
    for us in [1, LONG_US] {
        check_eq!(clock.sleep(us), Err(PacerError::TimerLost));
    }
    vmm.free(alarm)?;
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A138.
fn who_waits_without_an_interrupt_has_it_cleared(context: &mut Context) -> Outcome {
    while_suspended(&mut context.vmm, |vmm, mut pacer, clock| {
        take_interrupt()?;
        pacer.wait(vmm)?;
        check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
        // What is to be cleared from then on is, too.
        check!(begin(vmm, &mut pacer, LARGE)? != 0);
        pacer.wait(vmm)?;
        Ok(pacer.stop(vmm)?)
    })
}

/// A138. Also in the midst of clearing.
fn a_pacer_without_its_interrupt_can_be_stopped(context: &mut Context) -> Outcome {
    let pacer = Pacer::start(&mut context.vmm, &PARTS, PacerOptions::new())?;
    take_interrupt()?;
    pacer.stop(&mut context.vmm)?;
    while_suspended(&mut context.vmm, |vmm, pacer, _| {
        take_interrupt()?;
        Ok(pacer.stop(vmm)?)
    })
}

/// A138. The thread that takes it runs while the clearing thread is suspended, if it ever is, and
/// ends: then nobody runs. Where somebody sleeps, it asks for the time as well.
fn an_interrupt_that_is_taken_away_while_all_wait_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(100).share(1, 10))?;
    let clock = pacer.clock(vmm)?;
    let taking = vmm.spawn(&SpawnOptions::new().priority(253), take_interrupt)?;
    check!(begin(vmm, &mut pacer, LARGE)? != 0);
    pacer.wait(vmm)?;
    check_eq!(taking.join(vmm).ok(), Some(Ok(())));
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    clock.release(vmm)?;
    pacer.stop(vmm)?;

    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let (clock, another) = (pacer.clock(vmm)?, pacer.clock(vmm)?);
    let taking = vmm.spawn(&SpawnOptions::new().priority(253), move || {
        let taken = take_interrupt();
        (taken, another.sleep(1), another)
    })?;
    check_eq!(clock.sleep(LONG_US), Err(PacerError::TimerLost));
    let Ok((taken, slept, another)) = taking.join(vmm) else { return Err(PacerError::Busy.into()) };
    check_eq!((taken, slept), (Ok(()), Err(PacerError::TimerLost)));
    another.release(vmm)?;
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A138.
fn who_sleeps_when_the_pacer_is_stopped_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let (clock, sleeping) = (pacer.clock(vmm)?, pacer.clock(vmm)?);
    let sleeping = vmm.spawn(&SpawnOptions::new(), move || (sleeping.sleep(LONG_US), sleeping))?;
    clock.sleep(2000)?;
    pacer.stop(vmm)?;
    let Ok((slept, other)) = sleeping.join(vmm) else { return Err(PacerError::Busy.into()) };
    check_eq!(slept, Err(PacerError::TimerLost));
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    other.release(vmm)?;
    Ok(clock.release(vmm)?)
}

/// A100. Nobody else asks for the time, or for anything, and somebody of a lower priority computes
/// all the while. It is told before who took the interrupt goes on, whose priority is lower.
fn who_sleeps_while_the_interrupt_is_taken_away_is_told_at_once(context: &mut Context) -> Outcome {
    static GOES_ON: AtomicBool = AtomicBool::new(false);
    let vmm = &mut context.vmm;
    GOES_ON.store(false, Ordering::Relaxed);
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let computing = compute(vmm)?;
    let taking = vmm.spawn(&SpawnOptions::new().priority(254), || {
        let taken = take_interrupt();
        GOES_ON.store(true, Ordering::Relaxed);
        taken
    })?;
    check_eq!(clock.sleep(LONG_US), Err(PacerError::TimerLost));
    check!(!GOES_ON.load(Ordering::Relaxed));
    SEEN.end.store(true, Ordering::Relaxed);
    check!(computing.join(vmm).is_ok());
    check_eq!(taking.join(vmm).ok(), Some(Ok(())));
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A100. The tick after that finds nothing to acknowledge.
fn who_sleeps_while_the_timer_s_handler_is_deleted_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let Some(handler) = pacer.interrupt_handler() else { return Err(PacerError::Busy.into()) };
    let handler = place(vmm, handler);
    let taking = vmm.spawn(&SpawnOptions::new(), move || handler.delete())?;
    check_eq!(clock.sleep(LONG_US), Err(PacerError::TimerLost));
    check_eq!(taking.join(vmm).ok(), Some(Ok(())));
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A101. It jumps to where nothing is when it goes on. Its memory is free and dirty then, and can
/// be cleared by a new pacer.
fn who_waits_for_a_thread_that_has_faulted_is_told(context: &mut Context) -> Outcome {
    while_suspended(&mut context.vmm, |vmm, mut pacer, clock| {
        let bytes = pacer.clearing_bytes();
        let free = vmm.stats().allocator.untyped_bytes + bytes;
        let Some(thread) = pacer.clearing_thread() else { return Err(PacerError::Busy.into()) };
        let mut registers = thread.tcb_read_all_registers(false)?;
        *registers.pc_mut() = 0;
        thread.tcb_write_all_registers(false, &mut registers)?;
        check_eq!(pacer.wait(vmm), Err(PacerError::ThreadFaulted));
        check_eq!((pacer.clearing_bytes(), vmm.stats().allocator.untyped_bytes), (0, free));
        check_eq!(pacer.clear(vmm, bytes), Err(PacerError::ThreadFaulted));
        vmm.validate()?;
        // Time goes on.
        clock.sleep(1000)?;
        check_eq!(pacer.stop(vmm), Err(PacerError::ThreadFaulted));
        let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
        check_eq!(pacer.clear(vmm, bytes)?, bytes);
        Ok(pacer.stop(vmm)?)
    })
}

/// A213. It jumps to where nothing is when the next tick comes.
fn who_sleeps_when_the_pacing_thread_has_faulted_is_told(context: &mut Context) -> Outcome {
    while_suspended(&mut context.vmm, |vmm, mut pacer, clock| {
        let (bytes, alarm) = (pacer.clearing_bytes(), vmm.allocate(Blueprint::Notification)?);
        let Some(thread) = pacer.pacing_thread() else { return Err(PacerError::Busy.into()) };
        clock.set_alarm(LONG_US, alarm)?;
        let mut registers = thread.tcb_read_all_registers(false)?;
        *registers.pc_mut() = 0;
        thread.tcb_write_all_registers(false, &mut registers)?;
        check_eq!(clock.sleep(LONG_US), Err(PacerError::ThreadFaulted));
        alarm.cap::<cap_type::Notification>().wait();
        for us in [1, LONG_US] {
            check_eq!(clock.sleep(us), Err(PacerError::ThreadFaulted));
        }
        check_eq!(clock.set_alarm(1, alarm), Err(PacerError::ThreadFaulted));
        // What was being cleared is, and nothing is begun that would not be paced.
        pacer.wait(vmm)?;
        check_eq!((pacer.clearing_bytes(), vmm.stats().allocator.clearing_bytes), (0, 0));
        check_eq!(pacer.clear(vmm, bytes), Err(PacerError::ThreadFaulted));
        check_eq!(pacer.stop(vmm), Err(PacerError::ThreadFaulted));
        vmm.free(alarm)?;
        vmm.validate()?;
        let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
        check!(begin(vmm, &mut pacer, bytes)? != 0);
        pacer.wait(vmm)?;
        clock.sleep(1)?;
        Ok(pacer.stop(vmm)?)
    })
}

/// A214. A thread that has its turn in the midst of a start binds the pacing thread's notification
/// to itself.
fn a_pacer_whose_notification_cannot_be_bound_is_refused(context: &mut Context) -> Outcome {
    const TIMES: usize = 4000;
    static SLOT: AtomicUsize = AtomicUsize::new(0);
    static OWN: AtomicUsize = AtomicUsize::new(0);
    let vmm = &mut context.vmm;
    SLOT.store(0, Ordering::Relaxed);
    let binding = vmm.spawn(&SpawnOptions::new().priority(255), || loop {
        let (slot, own) = (SLOT.load(Ordering::Acquire), OWN.load(Ordering::Relaxed));
        if slot == usize::MAX {
            return;
        }
        if slot != 0 {
            let own = sel4::Cap::<cap_type::Tcb>::from_bits(own as sel4::Word);
            let _ = own.tcb_bind_notification(CPtr::new(slot).cap());
        }
        sel4::r#yield();
    })?;
    OWN.store(binding.tcb().bits() as usize, Ordering::Relaxed);
    // The first notification that a start makes is this one.
    vmm.trim()?;
    let free = vmm.stats().allocator.free_slots;
    let first = vmm.allocate(Blueprint::Notification)?;
    vmm.free(first)?;
    let mut times = 0;
    let refused = loop {
        vmm.trim()?;
        SLOT.store(first.slot().bits(), Ordering::Release);
        let started = Pacer::start(vmm, &PARTS, PacerOptions::new());
        SLOT.store(0, Ordering::Release);
        match started {
            Ok(pacer) => pacer.stop(vmm)?,
            Err(refused) => break refused,
        }
        times += 1;
        check!(times < TIMES);
    };
    debug_println!("  refused at start {times}");
    check_eq!(refused, PacerError::Kernel(sel4::Error::IllegalOperation));
    SLOT.store(usize::MAX, Ordering::Release);
    let ended = binding.join(vmm);
    check!(ended.is_ok());
    vmm.validate()?;
    vmm.trim()?;
    check!(vmm.stats().allocator.free_slots >= free);
    Ok(Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?)
}

/// A104. Line 13 is another's, as long as this test has it.
fn a_pacer_does_without_the_line_of_its_sentinel(context: &mut Context) -> Outcome {
    const LINE: sel4::Word = 13;
    let vmm = &mut context.vmm;
    let handler = vmm.alloc_slots(1)?;
    slot::IRQ_CONTROL.cap().irq_control_get(LINE, &place(vmm, handler))?;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    clock.sleep(1000)?;
    check!(begin(vmm, &mut pacer, LARGE)? != 0);
    pacer.wait(vmm)?;
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    pacer.stop(vmm)?;
    vmm.release_slot(handler)?;
    // And with it again.
    Ok(Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?)
}

/// A128. The CSpace grows as long as there is memory, so there is none left either.
fn a_pacer_without_slots_is_refused_and_leaves_nothing(context: &mut Context) -> Outcome {
    const MAX_MEMORY: usize = 64 << 20;
    const TIMES: usize = 40;
    let vmm = &mut context.vmm;
    if vmm.stats().allocator.total_bytes > MAX_MEMORY {
        debug_println!("  too much memory to take all slots");
        return Ok(());
    }
    let (mut runs, mut count) = (Vec::new(), 256);
    while count > 0 {
        match vmm.alloc_slots(count) {
            Ok(first) => runs.push((first, count)),
            Err(_) => count /= 2,
        }
    }
    let mut refused = 0;
    'given: while let Some((first, count)) = runs.pop() {
        for _ in 0..TIMES {
            match Pacer::start(vmm, &PARTS, PacerOptions::new()) {
                Ok(pacer) => {
                    pacer.stop(vmm)?;
                    runs.push((first, count));
                    break 'given;
                }
                Err(PacerError::Manager(error)) => check_eq!(error.blame(), Blame::Resource),
                Err(error) => return Err(error.into()),
            }
            refused += 1;
        }
        vmm.free_slots(first, count)?;
    }
    check!(refused != 0);
    debug_println!("  refused {refused} times");
    for (first, count) in runs {
        vmm.free_slots(first, count)?;
    }
    Ok(())
}
