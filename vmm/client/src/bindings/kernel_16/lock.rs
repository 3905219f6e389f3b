// SPDX-License-Identifier: BSD-2-Clause
//! A lock that knows who has it. A thread is known by where its thread-local storage is: asking for
//! its IPC buffer would not do while somebody looks at that.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::arch;

/// How often who waits for the lock lets others run.
const TRIES: u32 = 1_000_000;

/// The lock, without what it protects.
pub struct Lock {
    /// What it protects, for people.
    what: &'static str,
    taken: AtomicBool,
    /// The thread pointer of who has it; 0 when nobody has, or where threads have none.
    owner: AtomicUsize,
}

impl Lock {
    /// Free.
    pub const fn new(what: &'static str) -> Lock {
        Lock { what, taken: AtomicBool::new(false), owner: AtomicUsize::new(0) }
    }

    /// Yields until nobody else has the lock, a million times at the most. Returns whether the lock
    /// was got.
    ///
    /// # Panics
    /// When the calling thread has it already.
    pub fn acquire_yielding(&self) -> bool {
        // Where that is not kept for each thread, there may be no local storage.
        let me = match sel4::ipc_buffer_is_thread_local() {
            true => arch::thread_pointer(),
            false => 0,
        };
        for _ in 0..TRIES {
            if !self.taken.swap(true, Ordering::Acquire) {
                self.owner.store(me, Ordering::Relaxed);
                return true;
            }
            let is_own = me != 0 && self.owner.load(Ordering::Relaxed) == me;
            assert!(!is_own, "{} is locked by the thread that has it already", self.what);
            sel4::r#yield();
        }
        false
    }

    /// Lets the next thread have it.
    pub fn release(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.taken.store(false, Ordering::Release);
    }
}
