// SPDX-License-Identifier: BSD-2-Clause
//! The pacer: who computes while memory is cleared, sleeping, and what is refused.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use roottask::arch::ticks;
use roottask::{check, check_eq, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap_type, AbsoluteCPtr, Word};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Pacer, PacerError, PacerOptions, PacerParts};
use vmm::sel4::{JoinHandle, SpawnOptions};
use vmm::{Blueprint, CPtr, Job, RegionOptions};

use crate::context::Context;
use crate::probe::{set_word, word};

crate::table::tests!("pacing":
    who_computes_goes_on_while_memory_is_cleared,
    memory_is_served_while_other_memory_is_cleared,
    a_clearing_that_ticks_overtake_before_it_has_begun_begins,
    who_sleeps_wakes_after_that_time_and_a_time_out_can_be_taken_back,
    a_pacer_that_cannot_be_is_refused_and_leaves_nothing,
    a_second_pacer_is_refused_and_leaves_the_first_alone,
    a_clock_counts_by_the_pacer_that_there_is,
    the_time_stamp_counter_ticks_as_the_kernel_measured,
    a_clearing_that_is_interrupted_clears_each_word_and_no_other,
    jobs_make_memory_ready,
);

pub static PARTS: PacerParts = PacerParts::new();

/// What a thread sees that computes all the time.
pub struct Seen {
    pub end: AtomicBool,
    rounds: AtomicU32,
}

pub static SEEN: Seen = Seen { end: AtomicBool::new(false), rounds: AtomicU32::new(0) };

/// A thread that computes until it is told to end, and returns the longest time that it did not.
pub fn compute(vmm: &mut Manager) -> Outcome<JoinHandle<u64>> {
    SEEN.end.store(false, Ordering::Relaxed);
    SEEN.rounds.store(0, Ordering::Relaxed);
    Ok(vmm.spawn(&SpawnOptions::new().priority(253), || {
        let (mut last, mut longest) = (ticks(), 0);
        while !SEEN.end.load(Ordering::Relaxed) {
            SEEN.rounds.fetch_add(1, Ordering::Relaxed);
            let now = ticks();
            longest = longest.max(now - last);
            last = now;
        }
        longest
    })?)
}

/// Begins to clear memory that was written to, at most `most` bytes.
pub fn begin(vmm: &mut Manager, pacer: &mut Pacer, most: usize) -> Outcome<usize> {
    let bytes = vmm.stats().allocator.largest_free_bytes.min(most);
    if vmm.next_clearing(bytes) == 0 {
        let written = vmm.map(vmm.own_space(), &RegionOptions::new(bytes / 4096))?;
        vmm.release(written)?;
        vmm.trim()?;
    }
    Ok(pacer.begin_clearing(vmm, bytes)?)
}

/// How often memory is cleared until a tick comes meanwhile.
pub const ATTEMPTS: u32 = 100;

/// A216. Who sleeps wakes late where others want the processor, and never early.
fn the_time_stamp_counter_ticks_as_the_kernel_measured(context: &mut Context) -> Outcome {
    const US: u64 = 10_000;
    let vmm = &mut context.vmm;
    let told = vmm::sel4::ticks_per_us().unwrap_or(0);
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let mut least = u64::MAX;
    for _ in 0..5 {
        let begun = ticks();
        clock.sleep(US)?;
        least = least.min(ticks() - begun);
    }
    let measured = least / US;
    debug_println!("  {told} ticks in a microsecond are told, {measured} were measured");
    let told = u64::from(told);
    check!(told != 0 && told * 9 / 10 <= measured && measured <= told * 2);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// A126: it has a lower priority than the clearing thread, and would get nothing in that call.
fn who_computes_goes_on_while_memory_is_cleared(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let computing = compute(vmm)?;
    let (mut attempts, mut rounds) = (0, 0);
    while rounds == 0 {
        attempts += 1;
        check!(attempts < ATTEMPTS);
        let before = vmm.stats().allocator.cleared_bytes;
        let bytes = begin(vmm, &mut pacer, usize::MAX)?;
        pacer.wait(vmm)?;
        check!(bytes != 0 && vmm.stats().allocator.cleared_bytes >= before + bytes as u64);
        rounds = SEEN.rounds.load(Ordering::Relaxed);
    }
    SEEN.end.store(true, Ordering::Relaxed);
    let longest = computing.join(vmm).ok();
    debug_println!(
        "  cleared {attempts} times, suspended {} times, {rounds} rounds beside it, longest gap {}",
        pacer.times_suspended(),
        longest.unwrap_or(0)
    );
    check!(pacer.times_suspended() != 0);
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
    check_eq!(clock.set_alarm(1, alarm), Err(PacerError::TooManySleepers { most: 16 }));
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

/// A103. The first goes on giving ticks, clearing, and telling when its interrupt is gone.
fn a_second_pacer_is_refused_and_leaves_the_first_alone(context: &mut Context) -> Outcome {
    static OTHERS: PacerParts = PacerParts::new();
    let vmm = &mut context.vmm;
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let slots = vmm.stats().allocator.free_slots;
    let refused = Pacer::start(vmm, &OTHERS, PacerOptions::new()).err();
    check_eq!(refused, Some(PacerError::NoTimer(sel4::Error::RevokeFirst)));
    vmm.validate()?;
    vmm.trim()?;
    check!(vmm.stats().allocator.free_slots >= slots);
    let before = clock.ticks();
    clock.sleep(2000)?;
    check!(clock.ticks() - before >= 4);
    check!(begin(vmm, &mut pacer, 1 << 20)? != 0);
    pacer.wait(vmm)?;
    clock.release(vmm)?;
    pacer.stop(vmm)?;
    // The others' parts are free.
    Ok(Pacer::start(vmm, &OTHERS, PacerOptions::new())?.stop(vmm)?)
}

/// A127. The first pacer's ticks are a hundred times as long as the second's.
fn a_clock_counts_by_the_pacer_that_there_is(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(50_000))?;
    let clock = pacer.clock(vmm)?;
    pacer.stop(vmm)?;
    check_eq!(clock.sleep(1), Err(PacerError::TimerLost));
    let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let before = clock.ticks();
    clock.sleep(5_000)?;
    check!(clock.ticks() - before >= 10);
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// The place of a slot.
pub fn place(vmm: &Manager, slot: CPtr) -> AbsoluteCPtr {
    let path = vmm.allocator().path(slot);
    path.root
        .cap::<cap_type::CNode>()
        .absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, usize::from(path.depth))
}

/// The physical addresses of pages, sorted.
fn frames(vmm: &mut Manager, start: usize, pages: usize) -> Outcome<Vec<usize>> {
    let space = vmm.own_space();
    let mut frames = Vec::new();
    for page in 0..pages {
        frames.push(vmm.physical_address(space, start + page * 4096)?);
    }
    frames.sort_unstable();
    Ok(frames)
}

/// A126, A3. The memory on either side of what is cleared holds other words all the while.
fn a_clearing_that_is_interrupted_clears_each_word_and_no_other(context: &mut Context) -> Outcome {
    const WORD: usize = size_of::<Word>();
    let (vmm, space) = (&mut context.vmm, context.space);
    let pages = (vmm.stats().allocator.largest_free_bytes / 4 / 4096).min(2048);
    let bytes = pages * 4096;
    let written = |at: usize| !(at as Word);
    // Both lie beside the middle one.
    let mut regions = [(); 3].map(|()| None);
    for region in &mut regions {
        let start = region.insert(vmm.map(space, &RegionOptions::new(pages))?).start().bits();
        (start..start + bytes).step_by(WORD).for_each(|at| set_word(at, written(at)));
    }
    let [Some(below), Some(middle), Some(above)] = regions else { return Ok(()) };
    let dirty = frames(vmm, middle.start().bits(), pages)?;
    vmm.release(middle)?;
    vmm.trim()?;

    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new().period_us(100))?;
    let computing = compute(vmm)?;
    let mut cleared = 0;
    // So much is made into frames at a time.
    while (1..=2 * bytes).contains(&vmm.next_clearing(1 << 20)) {
        cleared += pacer.clear(vmm, 1 << 20)?;
    }
    SEEN.end.store(true, Ordering::Relaxed);
    check!(computing.join(vmm).is_ok());
    let suspended = pacer.times_suspended();
    pacer.stop(vmm)?;
    debug_println!("  {cleared} bytes cleared, suspended {suspended} times");

    // What was written to is as the clearing left it, where it came to it: that needs none any
    // more. What other tests left may have been enough, and then the request by address clears the
    // rest.
    let before = vmm.stats().allocator.cleared_bytes;
    let words = |start: usize, pages: usize| (start..start + pages * 4096).step_by(WORD);
    for run in dirty.chunk_by(|frame, next| frame + 4096 == *next) {
        let options = RegionOptions::new(run.len());
        let again = vmm.map_physical(space, run[0], &options)?;
        check_eq!(words(again.start().bits(), run.len()).find(|&at| word(at) != 0), None);
        vmm.release(again)?;
    }
    let late = vmm.stats().allocator.cleared_bytes - before;
    debug_println!("  {late} bytes cleared without it, of {bytes}");
    for region in [below, above] {
        let start = region.start().bits();
        check_eq!(words(start, pages).find(|&at| word(at) != written(at)), None);
        vmm.release(region)?;
    }
    Ok(())
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
