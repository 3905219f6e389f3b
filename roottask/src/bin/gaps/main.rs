// SPDX-License-Identifier: BSD-2-Clause
//! A130: how long others wait while memory is cleared and taken apart. A thread that computes tells
//! the gaps in which it got nothing, with and without the pacer.
//!
//! ```text
//!   watch.rs     the thread that computes, and the histogram of its gaps
//!   course.rs    what is done meanwhile
//!   stretch.rs   how late interrupts come within the kernel's long calls
//! ```
//!
//! It wants `--icount`, so that the time-stamp counter counts instructions. With the pacer, the
//! longest gap is at most
//!
//! - a time slice for each thread that is ready beside it ([`READY`]) and [`MAX_GAP`] for one of
//!   the priority of whoever does all that;
//! - [`MAX_GAP`] for one of a lower priority while the former waits for memory to be cleared (it
//!   has to wait, of course, as long as the former runs);
//! - [`MAX_GAP`] after its time for one of a higher priority, which sleeps by the pacer's clock so
//!   that others run at all. Without the pacer there is nothing that would wake it.
//!
//! And clearing in pieces takes at most 1.1 of what clearing in one call takes; so does destroying
//! beside others, of destroying without the pacer.
#![no_std]
#![no_main]

mod course;
mod stretch;
mod watch;

use roottask::{check, check_eq, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::sel4_cfg_usize;
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm::sel4::{start_with, BootPool, SpawnOptions, StartOptions};

use course::Course;
use watch::{Watch, STEPS};

static POOL: BootPool = BootPool::new();
static PARTS: PacerParts = PacerParts::new();
static WATCH: Watch = Watch::new();

/// The most instructions of a gap beside slices of others.
const MAX_GAP: u32 = 600_000;

/// Instructions of a time slice: 10^6 last a millisecond.
const SLICE: u32 =
    (sel4_cfg_usize!(TIME_SLICE) * sel4_cfg_usize!(TIMER_TICK_MS) * 1_000_000) as u32;

/// Threads that are ready beside the one that computes in each step: the root task, and by turns
/// the clearing thread.
const READY: [u32; STEPS.len()] = [2, 1, 2, 1, 2, 1];

/// Microseconds between two ticks of the pacer.
const PERIOD_US: u32 = 500;

/// The priority of this thread, below that of the pacer's.
const PRIORITY: u8 = 100;

/// What one call clears unless it is told to.
const LIMIT: usize = 1 << 18;

/// The thread that computes, compared with this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Watcher {
    Lower,
    Equal,
    Higher,
}

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let vmm = &mut start_with(bootinfo, &POOL, &StartOptions::new())?;
    let me = slot::TCB.cap();
    me.tcb_set_priority(me, PRIORITY.into())?;
    stretch::measure(vmm)?;
    for watcher in [Watcher::Lower, Watcher::Equal] {
        let without = round(vmm, watcher, false)?;
        let with = round(vmm, watcher, true)?;
        // Bytes may differ a little: what is kept for book-keeping does.
        compare("clearing 4 KiB", without.clearing, with.clearing)?;
        compare("destroying a page", without.destroying, with.destroying)?;
    }
    round(vmm, Watcher::Higher, true)?;
    vmm.validate()?;
    debug_println!("gaps: passed");
    exit(ExitCode::Success)
}

/// Instructions of what was done.
struct Cost {
    /// Of clearing 4 KiB.
    clearing: u64,
    /// Of destroying a page of the space.
    destroying: u64,
}

/// In pieces it takes at most 1.1 of what it takes at one go.
fn compare(what: &str, without: u64, with: u64) -> Outcome {
    debug_println!("  {what}: {without} instructions, with the pacer {with}");
    check!(without != 0 && with * 10 <= without * 11);
    Ok(())
}

/// The course beside one thread.
fn round(vmm: &mut Manager, watcher: Watcher, paced: bool) -> Outcome<Cost> {
    // As after boot: large untypeds that must be cleared; but a little for what is begun with.
    vmm.limit_clearing(usize::MAX);
    vmm.trim()?;
    vmm.limit_clearing(LIMIT);
    vmm.clear_ahead(1 << 20)?;

    let options = PacerOptions::new().period_us(PERIOD_US);
    let pacer = paced.then(|| Pacer::start(vmm, &PARTS, options)).transpose()?;
    let clock = pacer.as_ref().map(|pacer| pacer.clock(vmm)).transpose()?;
    let mut course = Course { pacer, watch: &WATCH, cleared: 0, instructions: 0, destroying: 0 };
    WATCH.reset();
    let (priority, sleeps) = match watcher {
        Watcher::Lower => (PRIORITY - 1, false),
        Watcher::Equal => (PRIORITY, false),
        Watcher::Higher => (PRIORITY + 1, true),
    };
    let thread = vmm.spawn(&SpawnOptions::new().priority(priority), move || {
        match clock.as_ref().filter(|_| sleeps) {
            Some(clock) => WATCH.compute_and_sleep(clock, PERIOD_US),
            None => WATCH.compute(),
        }
        clock
    })?;
    let done = course.run(vmm);
    WATCH.end();
    let clock = thread.join(vmm).ok();
    let (pages, of_space) = done?;

    let with = if paced { "with the pacer" } else { "without the pacer" };
    debug_println!("{watcher:?} priority, {with}: {pages} pages, a space of {of_space}");
    WATCH.print();
    let (by_step, in_waits) = (WATCH.longest(), WATCH.longest_in_waits());
    for (longest, step) in by_step.iter().zip(STEPS) {
        debug_println!("  longest until {step}: {longest}");
    }
    let longest = by_step.into_iter().max().unwrap_or(0);
    let mut bounds = READY.iter().map(|ready| ready * SLICE + MAX_GAP);
    let bounded = by_step.iter().all(|&gap| bounds.next().is_some_and(|bound| gap <= bound));
    check!(course.cleared >= (pages as u64) << 11);
    // Without the pacer a lower one gets nothing at all.
    check_eq!(WATCH.own() == 0, watcher == Watcher::Lower && !paced);
    if let Some(pacer) = course.pacer {
        let (suspended, refused) = (pacer.times_suspended(), pacer.calls_refused());
        debug_println!("  clearing was suspended {suspended} times");
        check!(suspended != 0 && refused == 0);
        match watcher {
            Watcher::Lower => {
                debug_println!("  longest while the root task waited: {in_waits}");
                check!(in_waits != 0 && in_waits <= MAX_GAP);
            }
            Watcher::Equal => check!(bounded),
            Watcher::Higher => check!(longest <= MAX_GAP),
        }
        if let Some(clock) = clock.flatten() {
            clock.release(vmm)?;
        }
        pacer.stop(vmm)?;
    }
    Ok(Cost {
        clearing: course.instructions * 4096 / course.cleared.max(1),
        destroying: course.destroying / (of_space as u64).max(1),
    })
}
