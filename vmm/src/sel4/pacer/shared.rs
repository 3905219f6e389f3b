// SPDX-License-Identifier: BSD-2-Clause
//! What the pacer's threads and the root task share: numbers that each reads and writes by itself.
//! There is no lock, as a thread that is suspended with one would hold up all others.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use sel4::{cap_type, Word};
use untyped_alloc::{CPtr, CapPath};

use super::error::PacerError;

/// What the clearing thread does.
pub(super) mod work {
    /// It waits for a call to make.
    pub const NONE: usize = 0;
    /// There is one.
    pub const WANTED: usize = 1;
    /// It makes it. Only then may it be suspended: a thread that was woken from a wait, and is
    /// suspended and resumed before it has run, waits again (seL4 5.0.0 has it repeat the system
    /// call), and what woke it is gone.
    pub const CALLING: usize = 2;
    /// It has made one, and waits to be asked.
    pub const DONE: usize = 3;
}

/// How the pacing thread is.
pub(super) mod pacing {
    /// It runs, or was not made.
    pub const RUNS: usize = 0;
    /// It has ended, as it was told to.
    pub const ENDED: usize = 1;
    /// It has faulted.
    pub const FAULTED: usize = 2;
}

/// How many may sleep, or wait with a time-out, at a time.
pub(super) const SLEEPERS: usize = 16;

/// One who is to be woken: the notification, or 0, and at which tick.
pub(super) struct Sleeper {
    notification: AtomicUsize,
    at: AtomicU32,
}

/// An entry that is being filled in.
const TAKEN: usize = usize::MAX;

/// What a pacer's threads share with the root task: for a `static`, and for one pacer.
pub struct PacerParts {
    pub(super) taken: AtomicBool,
    /// What the clearing thread does: see [`work`].
    pub(super) work: AtomicUsize,
    untyped: AtomicUsize,
    size_bits: AtomicUsize,
    root: AtomicUsize,
    index: AtomicUsize,
    depth: AtomicUsize,
    offset: AtomicUsize,
    /// What the kernel answered: 0, or the number of its error.
    pub(super) answer: AtomicUsize,
    /// A capability that wakes the pacing thread with the badge of who asks, or 0.
    pub(super) tick: AtomicUsize,
    /// Nobody else runs while the clearing thread is suspended.
    pub(super) idle: AtomicBool,
    /// The threads are to end, the clearing thread when it has nothing to do.
    pub(super) end: AtomicBool,
    /// Why the clearing thread, which is suspended, could not be resumed: the number of the
    /// kernel's error, or 0.
    pub(super) stuck: AtomicUsize,
    /// The timer does not answer any more.
    pub(super) lost: AtomicBool,
    /// The clearing thread has faulted.
    pub(super) faulted: AtomicBool,
    /// How the pacing thread is: see [`pacing`].
    pub(super) pacing: AtomicUsize,
    pub(super) ticks: AtomicU32,
    /// Microseconds between two ticks.
    pub(super) period_us: AtomicU32,
    /// How often the clearing thread was suspended.
    pub(super) suspended: AtomicU32,
    /// Calls of the pacing thread that the kernel refused.
    pub(super) refused: AtomicU32,
    sleepers: [Sleeper; SLEEPERS],
}

/// A call that clears, as the clearing thread makes it.
#[derive(Clone, Copy)]
pub(in crate::sel4) struct Call {
    pub untyped: CPtr,
    pub size_bits: u8,
    pub node: CapPath,
    pub offset: usize,
}

impl PacerParts {
    /// For a `static`.
    pub const fn new() -> PacerParts {
        PacerParts {
            taken: AtomicBool::new(false),
            work: AtomicUsize::new(work::NONE),
            untyped: AtomicUsize::new(0),
            size_bits: AtomicUsize::new(0),
            root: AtomicUsize::new(0),
            index: AtomicUsize::new(0),
            depth: AtomicUsize::new(0),
            offset: AtomicUsize::new(0),
            answer: AtomicUsize::new(0),
            tick: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            end: AtomicBool::new(false),
            stuck: AtomicUsize::new(0),
            lost: AtomicBool::new(true),
            faulted: AtomicBool::new(false),
            pacing: AtomicUsize::new(pacing::RUNS),
            ticks: AtomicU32::new(0),
            period_us: AtomicU32::new(0),
            suspended: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            sleepers: [const { Sleeper { notification: AtomicUsize::new(0), at: AtomicU32::new(0) } };
                SLEEPERS],
        }
    }

    /// Puts a call there for the clearing thread. Nobody else may write while it waits for one.
    pub(super) fn put_call(&self, call: Call) {
        self.untyped.store(call.untyped.bits(), Ordering::Relaxed);
        self.size_bits.store(call.size_bits.into(), Ordering::Relaxed);
        self.root.store(call.node.root.bits(), Ordering::Relaxed);
        self.index.store(call.node.index, Ordering::Relaxed);
        self.depth.store(call.node.depth.into(), Ordering::Relaxed);
        self.offset.store(call.offset, Ordering::Relaxed);
        self.work.store(work::WANTED, Ordering::Release);
    }

    /// The call that was put there.
    pub(super) fn call(&self) -> Call {
        Call {
            untyped: CPtr::new(self.untyped.load(Ordering::Relaxed)),
            size_bits: self.size_bits.load(Ordering::Relaxed) as u8,
            node: CapPath {
                root: CPtr::new(self.root.load(Ordering::Relaxed)),
                index: self.index.load(Ordering::Relaxed),
                depth: self.depth.load(Ordering::Relaxed) as u8,
            },
            offset: self.offset.load(Ordering::Relaxed),
        }
    }

    /// Has `notification` signalled at tick `at`; false when too many wait for something already.
    pub(super) fn wake_at(&self, notification: CPtr, at: u32) -> bool {
        self.sleepers.iter().any(|sleeper| {
            let free = sleeper.notification.compare_exchange(
                0,
                TAKEN,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if free.is_ok() {
                sleeper.at.store(at, Ordering::Relaxed);
                sleeper.notification.store(notification.bits(), Ordering::Release);
            }
            free.is_ok()
        })
    }

    /// Has nobody signal `notification` any more because of a time.
    pub(super) fn remove_sleeper(&self, notification: CPtr) {
        for sleeper in &self.sleepers {
            let _ = sleeper.notification.compare_exchange(
                notification.bits(),
                0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
    }

    /// Says whether `notification` is to be signalled at some tick.
    pub(super) fn is_sleeper(&self, notification: CPtr) -> bool {
        let is =
            |sleeper: &Sleeper| sleeper.notification.load(Ordering::Acquire) == notification.bits();
        self.sleepers.iter().any(is)
    }

    /// Has the pacing thread try whether interrupts still come: where the kernel does not take the
    /// acknowledgement of one, all who wait for a tick are told. Without a sentinel nobody would
    /// notice else, as the next interrupt does not come.
    pub(super) fn ask_for_timer(&self) {
        match self.tick.load(Ordering::Acquire) {
            0 => {}
            tick => sel4::Cap::<cap_type::Notification>::from_bits(tick as Word).signal(),
        }
    }

    /// Signals those whose time has come.
    pub(super) fn wake(&self, now: u32) {
        self.wake_where(|at| is_due(at, now));
    }

    /// Whether the pacing thread has faulted.
    pub(super) fn pacing_faulted(&self) -> bool {
        self.pacing.load(Ordering::Acquire) == pacing::FAULTED
    }

    /// Whether who clears is paced: nothing has gone wrong, and it is not to end.
    pub(super) fn paces(&self) -> bool {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let wrong = is(&self.lost) || is(&self.faulted) || self.pacing_faulted();
        !wrong && !is(&self.end) && self.stuck.load(Ordering::Acquire) == 0
    }

    /// Why no tick comes any more.
    pub(super) fn why_lost(&self) -> PacerError {
        match self.pacing_faulted() {
            true => PacerError::ThreadFaulted,
            false => PacerError::TimerLost,
        }
    }

    /// Says that no tick comes any more, and signals all who wait for one.
    pub(super) fn lose_timer(&self) {
        self.lost.store(true, Ordering::Release);
        self.wake_where(|_| true);
    }

    fn wake_where(&self, due: impl Fn(u32) -> bool) {
        for sleeper in &self.sleepers {
            let notification = sleeper.notification.load(Ordering::Acquire);
            if notification == 0 || notification == TAKEN {
                continue;
            }
            if !due(sleeper.at.load(Ordering::Relaxed)) {
                continue;
            }
            let removed = sleeper.notification.compare_exchange(
                notification,
                0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if removed.is_ok() {
                sel4::Cap::<cap_type::Notification>::from_bits(notification as Word).signal();
            }
        }
    }
}

/// Says whether tick `at` has come. Ticks go round: at most half of them have.
pub(super) fn is_due(at: u32, now: u32) -> bool {
    now.wrapping_sub(at) <= u32::MAX / 2
}

impl Default for PacerParts {
    fn default() -> Self {
        PacerParts::new()
    }
}

/// The error with a number, as the clearing thread writes it down.
pub(super) fn kernel_error(number: usize) -> sel4::Error {
    sel4::Error::from_sys(number as sel4::sys::seL4_Error::Type)
        .unwrap_or(sel4::Error::IllegalOperation)
}
