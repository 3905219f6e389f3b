// SPDX-License-Identifier: BSD-2-Clause
//! The pacer: who computes while memory is cleared, sleeping, and what is refused.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use roottask::arch::ticks;
use roottask::{check, check_eq, Outcome};
use sel4::cap_type;
use sel4::init_thread::slot;
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Pacer, PacerError, PacerOptions, PacerParts};
use vmm::sel4::SpawnOptions;
use vmm::{Blueprint, Job};

use crate::context::Context;

crate::table::tests!("pacing":
    who_computes_goes_on_while_memory_is_cleared,
    memory_is_served_while_other_memory_is_cleared,
    a_clearing_that_ticks_overtake_before_it_has_begun_begins,
    who_sleeps_wakes_after_that_time_and_a_time_out_can_be_taken_back,
    a_pacer_that_cannot_be_is_refused_and_leaves_nothing,
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
    let path = vmm.allocator().path(taken);
    let place = path
        .root
        .cap::<cap_type::CNode>()
        .absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, usize::from(path.depth));
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
