// SPDX-License-Identifier: BSD-2-Clause
//! A thread that computes all the time, and the gaps in which it got nothing.
//!
//! Times are the low 32 bits of the time-stamp counter, one tick an instruction under `-icount
//! shift=0`: a gap is much shorter than 2^32.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use sel4_root_task::debug_println;
use vmm::sel4::pacer::Clock;

/// What is done beside the thread, in this order; the last takes apart what was made.
pub const STEPS: [&str; 6] = [
    "mapping",
    "giving back",
    "mapping again",
    "giving back again",
    "mapping in a space",
    "destroying it",
];

/// A gap below this is a round of the thread's own loop.
const OWN: u32 = 1 << 9;

/// Rounds that a thread computes before it sleeps.
const ROUNDS: u32 = 1000;

/// Now, in instructions.
pub fn now() -> u32 {
    roottask::arch::ticks() as u32
}

/// What one thread saw. It alone writes, but for the two words about whoever waits.
pub struct Watch {
    end: AtomicBool,
    /// Gaps by the power of two below them.
    gaps: [AtomicU32; 32],
    /// The longest that ended in each step, and the step that is done now.
    longest: [AtomicU32; STEPS.len()],
    step: AtomicUsize,
    /// Instructions of its own.
    own: AtomicU32,
    last: AtomicU32,
    /// The root task waits, so that a thread of a lower priority may run.
    waiting: AtomicBool,
    waits_since: AtomicU32,
    /// The longest gap while it waited.
    in_waits: AtomicU32,
}

impl Watch {
    /// Nothing was seen.
    pub const fn new() -> Watch {
        Watch {
            end: AtomicBool::new(false),
            gaps: [const { AtomicU32::new(0) }; 32],
            longest: [const { AtomicU32::new(0) }; STEPS.len()],
            step: AtomicUsize::new(0),
            own: AtomicU32::new(0),
            last: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            waits_since: AtomicU32::new(0),
            in_waits: AtomicU32::new(0),
        }
    }

    /// Forgets what was seen, for the next thread.
    pub fn reset(&self) {
        self.end.store(false, Relaxed);
        self.step.store(0, Relaxed);
        self.longest.iter().for_each(|longest| longest.store(0, Relaxed));
        self.gaps.iter().for_each(|count| count.store(0, Relaxed));
        let words = [&self.own, &self.waits_since, &self.in_waits];
        words.into_iter().for_each(|word| word.store(0, Relaxed));
        self.waiting.store(false, Relaxed);
        self.last.store(now(), Relaxed);
    }

    /// Computes until it is told to end.
    pub fn compute(&self) {
        loop {
            let now = now();
            self.note(now.wrapping_sub(self.last.swap(now, Relaxed)), now);
            if self.end.load(Relaxed) {
                return;
            }
        }
    }

    /// Computes for a while, sleeps for `us` microseconds, and again; being late is a gap.
    pub fn compute_and_sleep(&self, clock: &Clock, us: u32) {
        // A sleeper is woken by the tick after the next at the latest; 1000 instructions last 1 µs.
        let due = 2 * us * 1000;
        while !self.end.load(Relaxed) {
            for _ in 0..ROUNDS {
                let now = now();
                self.note(now.wrapping_sub(self.last.swap(now, Relaxed)), now);
            }
            if clock.sleep(us.into()).is_err() {
                return;
            }
            let now = now();
            let slept = now.wrapping_sub(self.last.swap(now, Relaxed));
            self.note(slept.saturating_sub(due), now);
        }
    }

    fn note(&self, gap: u32, now: u32) {
        let add =
            |word: &AtomicU32, more| word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
        if let Some(count) = self.gaps.get(gap.checked_ilog2().unwrap_or(0) as usize) {
            add(count, 1);
        }
        if gap < OWN {
            add(&self.own, gap);
        }
        if let Some(longest) = self.longest.get(self.step.load(Relaxed)) {
            longest.store(longest.load(Relaxed).max(gap), Relaxed);
        }
        if self.waiting.load(Relaxed) {
            self.note_in_wait(gap.min(now.wrapping_sub(self.waits_since.load(Relaxed))));
        }
    }

    fn note_in_wait(&self, gap: u32) {
        self.in_waits.store(self.in_waits.load(Relaxed).max(gap), Relaxed);
    }

    /// Says that the root task waits from now on.
    pub fn begin_wait(&self) {
        self.waits_since.store(now(), Relaxed);
        self.waiting.store(true, Relaxed);
    }

    /// Says that it goes on; the time since the thread ran last is a gap, too.
    pub fn end_wait(&self) {
        let now = now();
        self.waiting.store(false, Relaxed);
        let since_last = now.wrapping_sub(self.last.load(Relaxed));
        self.note_in_wait(since_last.min(now.wrapping_sub(self.waits_since.load(Relaxed))));
    }

    /// Tells the thread to end.
    pub fn end(&self) {
        self.end.store(true, Relaxed);
    }

    /// The instructions of its own so far.
    pub fn own(&self) -> u32 {
        self.own.load(Relaxed)
    }

    /// The longest gap that ended in each step.
    pub fn longest(&self) -> [u32; STEPS.len()] {
        self.longest.each_ref().map(|longest| longest.load(Relaxed))
    }

    /// Says which step is done from now on.
    pub fn set_step(&self, step: usize) {
        self.step.store(step, Relaxed);
    }

    /// The longest gap while the root task waited.
    pub fn longest_in_waits(&self) -> u32 {
        self.in_waits.load(Relaxed)
    }

    /// Prints how many gaps there were of each size; those below [`OWN`] are none.
    pub fn print(&self) {
        let smallest = OWN.ilog2() as usize;
        for (bits, count) in self.gaps.iter().enumerate().skip(smallest) {
            match count.load(Relaxed) {
                0 => {}
                count => debug_println!("  {:>10} and more: {count:>6}", 1u32 << bits),
            }
        }
    }
}
