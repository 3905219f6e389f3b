// SPDX-License-Identifier: BSD-2-Clause
//! The pacer: who computes while memory is cleared, sleeping, and what is refused.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use roottask::arch::ticks;
use roottask::{check, check_eq, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap_type, AbsoluteCPtr};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Clock, Pacer, PacerError, PacerOptions, PacerParts};
use vmm::sel4::SpawnOptions;
use vmm::{Blueprint, CPtr, Job};

use crate::context::Context;

crate::table::tests!("pacing":
    who_computes_goes_on_while_memory_is_cleared,
    memory_is_served_while_other_memory_is_cleared,
    a_clearing_that_ticks_overtake_before_it_has_begun_begins,
    who_sleeps_wakes_after_that_time_and_a_time_out_can_be_taken_back,
    a_pacer_that_cannot_be_is_refused_and_leaves_nothing,
    a_pacer_without_its_ports_is_refused_and_leaves_nothing,
    a_thread_that_cannot_be_suspended_clears_all_the_same,
    who_waits_for_a_thread_that_cannot_be_resumed_is_told,
    without_its_interrupt_it_clears_and_who_sleeps_is_told,
    a_clearing_that_is_refused_half_way_loses_nothing,
    what_was_left_in_a_slot_does_not_spoil_a_clearing,
    more_bytes_than_there_are_and_none,
    jobs_make_memory_ready,
);

static PARTS: PacerParts = PacerParts::new();

/// What a thread sees that computes all the time.
struct Seen {
    end: AtomicBool,
    rounds: AtomicU32,
}

static SEEN: Seen = Seen { end: AtomicBool::new(false), rounds: AtomicU32::new(0) };

/// A126: it has a lower priority than the clearing thread, and would get nothing in that call.
fn who_computes_goes_on_while_memory_is_cleared(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    SEEN.end.store(false, Ordering::Relaxed);
    SEEN.rounds.store(0, Ordering::Relaxed);
    let computing = vmm.spawn(&SpawnOptions::new().priority(253), || {
        let (mut last, mut longest) = (ticks(), 0);
        while !SEEN.end.load(Ordering::Relaxed) {
            SEEN.rounds.fetch_add(1, Ordering::Relaxed);
            let now = ticks();
            longest = longest.max(now - last);
            last = now;
        }
        longest
    })?;
    let largest = vmm.stats().allocator.largest_free_bytes;
    let before = vmm.stats().allocator.cleared_bytes;
    let bytes = pacer.clear(vmm, largest)?;
    let rounds = SEEN.rounds.load(Ordering::Relaxed);
    check_eq!(bytes, largest);
    check_eq!(vmm.stats().allocator.cleared_bytes - before, bytes as u64);
    SEEN.end.store(true, Ordering::Relaxed);
    let longest = computing.join(vmm).ok();
    debug_println!(
        "  {bytes} bytes cleared, suspended {} times, {rounds} rounds beside it, longest gap {}",
        pacer.times_suspended(),
        longest.unwrap_or(0)
    );
    // Little memory is cleared within a tick.
    check!(bytes < 1 << 22 || (pacer.times_suspended() != 0 && rounds != 0));
    check_eq!(pacer.calls_refused(), 0);
    Ok(pacer.stop(vmm)?)
}

/// A126.
fn memory_is_served_while_other_memory_is_cleared(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let largest = vmm.stats().allocator.largest_free_bytes;
    let bytes = pacer.begin_clearing(vmm, largest)?;
    check_eq!(bytes, pacer.clearing_bytes());
    check_eq!(vmm.stats().allocator.clearing_bytes, bytes);
    check_eq!(pacer.begin_clearing(vmm, 4096).map(drop), Err(PacerError::Busy));
    let one = vmm.allocate(Blueprint::Untyped { size_bits: 12 })?;
    vmm.validate()?;
    pacer.wait(vmm)?;
    check_eq!((pacer.clearing_bytes(), vmm.stats().allocator.clearing_bytes), (0, 0));
    vmm.free(one)?;
    Ok(pacer.stop(vmm)?)
}

/// A135. While this thread computes, which has the priority of the pacing thread, the clearing
/// thread has been woken and not run yet when the first ticks come.
fn a_clearing_that_ticks_overtake_before_it_has_begun_begins(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    // Meanwhile it comes to wait for something to clear.
    clock.sleep(1000)?;
    let bytes = pacer.begin_clearing(vmm, 1 << 18)?;
    check!(bytes != 0);
    let begun = clock.ticks();
    while clock.ticks().wrapping_sub(begun) < 4 {}
    check_eq!(pacer.poll(vmm), Ok(false));
    pacer.wait(vmm)?;
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A127.
fn who_sleeps_wakes_after_that_time_and_a_time_out_can_be_taken_back(
    context: &mut Context,
) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(1000))?;
    let clock = pacer.clock(vmm)?;
    let before = clock.ticks();
    clock.sleep(0)?;
    clock.sleep(5_000)?;
    check!(clock.ticks() - before >= 5);
    check_eq!(clock.sleep(u64::MAX), Err(PacerError::TooLong(u64::MAX)));

    let alarm = vmm.allocate(Blueprint::Notification)?;
    let notification = alarm.cap::<cap_type::Notification>();
    clock.set_alarm(2_000, alarm)?;
    notification.wait();
    clock.set_alarm(2_000, alarm)?;
    clock.clear_alarm(alarm);
    clock.sleep(5_000)?;
    check_eq!(notification.poll().1, 0);
    for _ in 0..16 {
        clock.set_alarm(60_000_000, alarm)?;
    }
    check_eq!(clock.set_alarm(1, alarm), Err(PacerError::TooManySleepers));
    clock.clear_alarm(alarm);
    clock.sleep(1)?;
    clock.release(vmm)?;
    pacer.stop(vmm)?;
    vmm.free(alarm)?;
    Ok(())
}

/// A128.
fn a_pacer_that_cannot_be_is_refused_and_leaves_nothing(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let calls = vmm.kernel_calls();
    for us in [0, 99, 54_926, u32::MAX] {
        let refused = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(us)).err();
        check_eq!(refused, Some(PacerError::BadPeriod(us)));
    }
    check_eq!(vmm.kernel_calls(), calls);

    // The interrupt is somebody else's.
    let taken = vmm.alloc_slots(1)?;
    let place = place(vmm, taken);
    slot::IRQ_CONTROL.cap().irq_control_get(0, &place)?;
    let refused = Pacer::start(vmm, &PARTS, PacerOptions::new()).err();
    check_eq!(refused, Some(PacerError::NoTimer(sel4::Error::RevokeFirst)));
    place.delete()?;
    vmm.free_slots(taken, 1)?;

    // Now it is free, and so are the parts; but not twice.
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let refused = Pacer::start(vmm, &PARTS, PacerOptions::new()).err();
    check_eq!(refused, Some(PacerError::PartsInUse));
    Ok(pacer.stop(vmm)?)
}

/// The place of a slot.
fn place(vmm: &Manager, slot: CPtr) -> AbsoluteCPtr {
    let path = vmm.allocator().path(slot);
    path.root
        .cap::<cap_type::CNode>()
        .absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, usize::from(path.depth))
}

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

/// A pacer, and a piece that takes it some ticks to clear.
fn begin_large(vmm: &mut Manager) -> Outcome<(Pacer, Clock, usize)> {
    // Once it is suspended, it is so for some ticks.
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().share(1, 4))?;
    let clock = pacer.clock(vmm)?;
    vmm.trim()?;
    let largest = vmm.stats().allocator.largest_free_bytes;
    check_eq!(pacer.begin_clearing(vmm, largest)?, largest);
    Ok((pacer, clock, largest))
}

/// The slot of the clearing thread's capability.
fn clearing_thread(pacer: &Pacer) -> CPtr {
    CPtr::new(pacer.clearing_thread().map_or(0, |thread| thread.bits() as usize))
}

/// A137.
fn a_thread_that_cannot_be_suspended_clears_all_the_same(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let (mut pacer, clock, _) = begin_large(vmm)?;
    without(vmm, clearing_thread(&pacer), |vmm| Ok(pacer.wait(vmm)?))?;
    check_eq!(pacer.times_suspended(), 0);
    check!(pacer.calls_refused() != 0);
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
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
    let (mut pacer, clock, bytes) = begin_large(vmm)?;
    until_suspended(&pacer, &clock)?;
    let waited = without(vmm, clearing_thread(&pacer), |vmm| Ok(pacer.wait(vmm)))?;
    check_eq!(waited, Err(PacerError::Kernel(sel4::Error::InvalidCapability)));
    check_eq!(pacer.clearing_bytes(), bytes);
    // The next tick has it go on.
    clock.sleep(2000)?;
    pacer.wait(vmm)?;
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A138. The interrupt has come, and its handler is gone before the pacing thread, which has this
/// thread's priority, comes to acknowledge it.
fn without_its_interrupt_it_clears_and_who_sleeps_is_told(context: &mut Context) -> Outcome {
    const MORE_THAN_A_TICK: u64 = 6_000_000;
    let vmm = &mut context.vmm;
    let (mut pacer, clock, _) = begin_large(vmm)?;
    until_suspended(&pacer, &clock)?;
    let alarm = vmm.allocate(Blueprint::Notification)?;
    clock.set_alarm(60_000_000, alarm)?;
    let begun = ticks();
    while ticks() - begun < MORE_THAN_A_TICK {}
    place(vmm, CPtr::new(slot::IRQ_CONTROL.index())).revoke()?;
    alarm.cap::<cap_type::Notification>().wait();
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    check_eq!(clock.set_alarm(1, alarm), Err(PacerError::TimerLost));
    pacer.wait(vmm)?;
    check_eq!(vmm.stats().allocator.clearing_bytes, 0);
    clock.release(vmm)?;
    vmm.free(alarm)?;
    Ok(pacer.stop(vmm)?)
}

/// A125, A137.
fn a_clearing_that_is_refused_half_way_loses_nothing(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let (mut pacer, clock, bytes) = begin_large(vmm)?;
    until_suspended(&pacer, &clock)?;
    let Some(untyped) = pacer.clearing_untyped() else { return Err(PacerError::Busy.into()) };
    let waited = without(vmm, untyped, |vmm| Ok(pacer.wait(vmm)))?;
    let refused = vmm::Error::Allocator(vmm::AllocatorError::Kernel {
        invocation: vmm::Invocation::UntypedRetype,
        error: vmm::KernelError::InvalidCapability,
    });
    check_eq!(waited, Err(PacerError::Manager(refused)));
    check_eq!(pacer.clearing_untyped(), None);
    vmm.validate()?;
    check_eq!(vmm.stats().allocator.largest_free_bytes, bytes);
    check_eq!(pacer.clear(vmm, bytes)?, bytes);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
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
    let largest = vmm.stats().allocator.largest_free_bytes;
    check_eq!(pacer.clear(vmm, largest)?, largest);
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

/// A124.
fn jobs_make_memory_ready(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    // What is large would take long.
    let small = |job: &Job| job.cleared_by_one_call() <= 1 << 20;
    let mut jobs = 0;
    while let Some(job) = vmm.next_job().filter(small) {
        check!(vmm.run_job(job)?);
        jobs += 1;
        check!(jobs < 10_000);
    }
    check!(jobs != 0);
    check_eq!(vmm.stats().allocator.dirty_ready_bytes, 0);
    vmm.validate()?;
    Ok(())
}
