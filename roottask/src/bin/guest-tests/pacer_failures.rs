// SPDX-License-Identifier: BSD-2-Clause
//! Calls that the kernel refuses to the pacer and its threads: nobody waits for ever, and nothing
//! is lost.

use core::sync::atomic::Ordering;

use roottask::arch::ticks;
use roottask::{check, check_eq, Manager, Outcome};
use sel4::cap_type;
use sel4::init_thread::slot;
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Clock, Pacer, PacerError, PacerOptions};
use vmm::sel4::SpawnOptions;
use vmm::{Blueprint, CPtr};

use crate::context::Context;
use crate::pacing::{compute, place, PARTS, SEEN};

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
);

/// Bytes that take it some ticks to clear.
const LARGE: [usize; 3] = [1 << 24, 1 << 23, 1 << 22];

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

/// A pacer, and a piece that takes it many ticks to clear; `None` where there is none so large.
fn begin_large(vmm: &mut Manager) -> Outcome<Option<(Pacer, Clock, usize)>> {
    // Once it is suspended, it is so for some ticks, beside who computes.
    vmm.trim()?;
    let bytes = LARGE.into_iter().find(|&bytes| vmm.next_clearing(bytes) != 0);
    let Some(bytes) = bytes else {
        debug_println!("  too little memory");
        return Ok(None);
    };
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(100).share(1, 10))?;
    let clock = pacer.clock(vmm)?;
    let bytes = pacer.begin_clearing(vmm, bytes)?;
    check!(bytes != 0);
    Ok(Some((pacer, clock, bytes)))
}

/// Does something while a thread computes beside it that has a lower priority than all others.
fn beside_who_computes<T>(
    vmm: &mut Manager,
    act: impl FnOnce(&mut Manager) -> Outcome<T>,
) -> Outcome<T> {
    let computing = compute(vmm)?;
    let done = act(vmm);
    SEEN.end.store(true, Ordering::Relaxed);
    check!(computing.join(vmm).is_ok());
    done
}

/// Stops the pacer, and gives back the clock.
fn stop(vmm: &mut Manager, pacer: Pacer, clock: Clock) -> Outcome {
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
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
    let Some((mut pacer, clock, _)) = begin_large(vmm)? else { return Ok(()) };
    without(vmm, clearing_thread(&pacer), |vmm| Ok(pacer.wait(vmm)?))?;
    check_eq!(pacer.times_suspended(), 0);
    check!(pacer.calls_refused() != 0);
    stop(vmm, pacer, clock)
}

/// Lets ticks come until the clearing thread is suspended.
fn until_suspended(pacer: &Pacer, clock: &Clock) -> Outcome {
    let mut ticks = 0;
    while pacer.times_suspended() == 0 {
        clock.sleep(1)?;
        ticks += 1;
        check!(ticks < 1000);
    }
    Ok(())
}

/// A137. Both while it lasts and afterwards.
fn who_waits_for_a_thread_that_cannot_be_resumed_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let Some((mut pacer, clock, bytes)) = begin_large(vmm)? else { return Ok(()) };
    beside_who_computes(vmm, |vmm| {
        until_suspended(&pacer, &clock)?;
        let waited = without(vmm, clearing_thread(&pacer), |vmm| Ok(pacer.wait(vmm)))?;
        check_eq!(waited, Err(PacerError::Kernel(sel4::Error::InvalidCapability)));
        check_eq!(pacer.clearing_bytes(), bytes);
        // The next tick has it go on.
        clock.sleep(5000)?;
        Ok(pacer.wait(vmm)?)
    })?;
    stop(vmm, pacer, clock)
}

/// A125, A137.
fn a_clearing_that_is_refused_half_way_loses_nothing(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let Some((mut pacer, clock, bytes)) = begin_large(vmm)? else { return Ok(()) };
    vmm.trim()?;
    let free = vmm.stats().allocator.untyped_bytes + bytes;
    let waited = beside_who_computes(vmm, |vmm| {
        until_suspended(&pacer, &clock)?;
        let Some(untyped) = pacer.clearing_untyped() else { return Err(PacerError::Busy.into()) };
        without(vmm, untyped, |vmm| Ok(pacer.wait(vmm)))
    })?;
    let refused = vmm::Error::Allocator(vmm::AllocatorError::Kernel {
        invocation: vmm::Invocation::UntypedRetype,
        error: vmm::KernelError::InvalidCapability,
    });
    check_eq!(waited, Err(PacerError::Manager(refused)));
    check_eq!(pacer.clearing_untyped(), None);
    vmm.trim()?;
    vmm.validate()?;
    check_eq!(vmm.stats().allocator.untyped_bytes, free);
    check_eq!(pacer.clear(vmm, bytes)?, bytes);
    stop(vmm, pacer, clock)
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
    Ok(pacer.stop(vmm)?)
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

/// A138. The interrupt has come, and its handler is gone before the pacing thread, which has this
/// thread's priority, comes to acknowledge it.
fn an_interrupt_that_came_and_is_taken_away_is_told(context: &mut Context) -> Outcome {
    const MORE_THAN_A_TICK: u64 = 6_000_000;
    let vmm = &mut context.vmm;
    let Some((mut pacer, clock, _)) = begin_large(vmm)? else { return Ok(()) };
    until_suspended(&pacer, &clock)?;
    let alarm = vmm.allocate(Blueprint::Notification)?;
    clock.set_alarm(LONG_US, alarm)?;
    let begun = ticks();
    while ticks() - begun < MORE_THAN_A_TICK {}
    take_interrupt()?;
    alarm.cap::<cap_type::Notification>().wait();
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    check_eq!(clock.set_alarm(1, alarm), Err(PacerError::TimerLost));
    pacer.wait(vmm)?;
    vmm.free(alarm)?;
    stop(vmm, pacer, clock)
}

/// A138. As a rule the next interrupt has not come, and so it never does.
fn who_sleeps_without_an_interrupt_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let alarm = vmm.allocate(Blueprint::Notification)?;
    clock.sleep(1)?;
    take_interrupt()?;
    clock.set_alarm(LONG_US, alarm)?;
    alarm.cap::<cap_type::Notification>().wait();
    for us in [1, LONG_US] {
        check_eq!(clock.sleep(us), Err(PacerError::TimerLost));
    }
    vmm.free(alarm)?;
    stop(vmm, pacer, clock)
}

/// A138.
fn who_waits_without_an_interrupt_has_it_cleared(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let Some((mut pacer, clock, _)) = begin_large(vmm)? else { return Ok(()) };
    beside_who_computes(vmm, |vmm| {
        until_suspended(&pacer, &clock)?;
        take_interrupt()?;
        Ok(pacer.wait(vmm)?)
    })?;
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    // What is to be cleared from then on is, too.
    pacer.clear(vmm, 1 << 20)?;
    stop(vmm, pacer, clock)
}

/// A138. Also in the midst of clearing, with who computes beside it.
fn a_pacer_without_its_interrupt_can_be_stopped(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    take_interrupt()?;
    pacer.stop(vmm)?;
    let Some((pacer, clock, _)) = begin_large(vmm)? else { return Ok(()) };
    beside_who_computes(vmm, |vmm| {
        until_suspended(&pacer, &clock)?;
        take_interrupt()?;
        Ok(pacer.stop(vmm)?)
    })?;
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    Ok(clock.release(vmm)?)
}

/// A138. The thread that takes it runs while the clearing thread is suspended, and ends: then
/// nobody runs. Where somebody sleeps, it asks for the time as well.
fn an_interrupt_that_is_taken_away_while_all_wait_is_told(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let Some((mut pacer, clock, _)) = begin_large(vmm)? else { return Ok(()) };
    let taking = vmm.spawn(&SpawnOptions::new().priority(253), take_interrupt)?;
    pacer.wait(vmm)?;
    check_eq!(taking.join(vmm).ok(), Some(Ok(())));
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    stop(vmm, pacer, clock)?;

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
    stop(vmm, pacer, clock)
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
