// SPDX-License-Identifier: BSD-2-Clause
//! Time slices that the kernel does not count: who makes many calls gives up the processor.
//!
//! A tick of the kernel's own shortens the time slice of the thread that runs when it comes, and
//! `timerTick` asks whether that thread is running. So some ticks shorten nobody's slice:
//!
//! - those within a call that can be preempted (a revocation, a deletion, a retype that clears),
//!   since the thread is one that is to restart its call there: who makes such calls one upon
//!   another would keep the processor for many slices beside threads of the same priority;
//! - those while the pacing thread runs, whose slice it is then. Its share of the time is a
//!   hundredth, but its ticks and the kernel's are at nearly the same distance from each other for
//!   long, and a slice is a fifth longer for each tick that meets it.
//!
//! With a pacer there is another timer: when a slice has passed by its ticks, the thread yields
//! after its call. (Who computes without calls to the manager is counted by the kernel alone,
//! and so is Page_Map, whose costs are held to within a few instructions.)
//!
//! ```text
//!   another's slice │ call  call  call … call │ yield: another's slice │ call …
//!                   └ since                   └ a slice later
//! ```

use core::sync::atomic::{AtomicU32, Ordering};

use sel4::sel4_cfg_usize;

use untyped_alloc::KernelResult;

/// Microseconds of a time slice.
const SLICE_US: u32 = (sel4_cfg_usize!(TIME_SLICE) * sel4_cfg_usize!(TIMER_TICK_MS) * 1000) as u32;

/// Ticks before the end of a slice at which it is given up: the tick that is under way when it
/// begins, and what a call lasts.
const EARLY: u32 = 2;

/// Ticks of the time-stamp counter in a microsecond, as the boot information has it; 0: unknown.
static TICKS_PER_US: AtomicU32 = AtomicU32::new(0);

/// Notes what the boot information says of the counter's frequency, in MHz.
pub(super) fn note_ticks_per_us(mhz: sel4::Word) {
    TICKS_PER_US.store(u32::try_from(mhz).unwrap_or(0), Ordering::Relaxed);
}

/// Ticks of the processor's time-stamp counter in a microsecond, as the kernel measured them when
/// it booted; `None` before the manager was started, and where the kernel does not know. No kernel
/// call.
pub fn ticks_per_us() -> Option<u32> {
    match TICKS_PER_US.load(Ordering::Relaxed) {
        0 => None,
        ticks => Some(ticks),
    }
}

/// When a thread that makes calls had the processor, by a timer's ticks.
#[derive(Debug)]
pub(super) struct LongCalls {
    ticks: &'static AtomicU32,
    /// Ticks of a slice.
    slice: u32,
    /// Since when it has had the processor.
    since: u32,
    /// When the last call came to its end.
    end: u32,
}

impl LongCalls {
    /// By a timer whose `ticks` are `period_us` microseconds apart.
    pub(super) fn new(ticks: &'static AtomicU32, period_us: u32) -> LongCalls {
        let now = ticks.load(Ordering::Relaxed);
        LongCalls { ticks, slice: (SLICE_US / period_us.max(1)).max(1), since: now, end: now }
    }

    fn now(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Makes a call, and yields after it if a slice has passed.
    fn make(&mut self, call: impl FnOnce() -> KernelResult) -> KernelResult {
        self.begin();
        let done = call();
        self.end();
        done
    }

    fn begin(&mut self) {
        // So long between two calls: the kernel counted that, and gave others their slice.
        if self.now().wrapping_sub(self.end) >= self.slice {
            self.since = self.end.wrapping_add(self.slice);
        }
    }

    fn end(&mut self) {
        self.end = self.now();
        if self.end.wrapping_sub(self.since) >= self.slice.saturating_sub(EARLY).max(1) {
            self.yield_to_others();
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self) {
        self.begin();
        self.end();
    }

    #[cold]
    fn yield_to_others(&mut self) {
        sel4::r#yield();
        self.end = self.now();
        self.since = self.end;
    }
}

/// Makes a call that may be long: as it is, where there is no timer.
pub(super) fn make(
    calls: &mut Option<LongCalls>,
    call: impl FnOnce() -> KernelResult,
) -> KernelResult {
    match calls {
        None => call(),
        Some(calls) => calls.make(call),
    }
}

/// Yields if a slice has passed, after a call that itself takes no time to speak of: nothing but a
/// comparison, where there is no timer.
#[inline(always)]
pub(super) fn after_short(calls: &mut Option<LongCalls>) {
    if let Some(calls) = calls {
        calls.look();
    }
}
