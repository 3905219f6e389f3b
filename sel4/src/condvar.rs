// SPDX-License-Identifier: BSD-2-Clause
//! Waiting until something holds of a mutex's value. Beyond upstream.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{cap, MessageInfoBuilder, MutexGuard};

/// Where threads wait until another has changed the value of a [`Mutex`](crate::Mutex).
///
/// They wait at an endpoint and not at a notification: signals that nobody has taken yet become
/// one, and of two threads that were to be woken one would wait for ever. Who wakes a thread hands
/// the message over, and so waits until that thread, which has unlocked the mutex to wait, is there
/// for it. Whoever wakes has the mutex: so it is always a thread that waited before.
pub struct Condvar {
    endpoint: cap::Endpoint,
    /// Threads that wait; written with the mutex locked.
    waiting: AtomicUsize,
}

impl Condvar {
    /// Nobody waits. Nothing else may use `endpoint`.
    pub const fn new(endpoint: cap::Endpoint) -> Condvar {
        Condvar { endpoint, waiting: AtomicUsize::new(0) }
    }

    /// Unlocks the mutex, waits until another thread wakes this one, and locks it again.
    ///
    /// A thread that waits must not be destroyed, and have no bound notification, whose signals
    /// would end its wait: whoever wakes it would wait for it.
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(guard);
        self.endpoint.recv(());
        mutex.lock()
    }

    /// Waits until `condition` does not hold of the value; it may hold no more from the beginning.
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// Wakes a thread, if one waits. `guard` is that of the mutex which they wait with.
    pub fn notify_one<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        let _ = guard;
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 {
            self.waiting.store(waiting - 1, Ordering::Relaxed);
            self.endpoint.send(MessageInfoBuilder::default().build());
        }
    }

    /// Wakes all threads that wait. `guard` is that of the mutex which they wait with.
    pub fn notify_all<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        while self.waiting.load(Ordering::Relaxed) > 0 {
            self.notify_one(guard);
        }
    }
}
