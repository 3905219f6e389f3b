// SPDX-License-Identifier: BSD-2-Clause
//! A lock that knows who has it: a thread that takes it twice is told so, where it would wait for
//! itself for ever. Beyond upstream.
//!
//! Taking and releasing it costs no system call unless two threads want it at once; then the second
//! waits at a notification. A thread is known by the address of its IPC buffer.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::state::ipc_buffer_address;
use crate::{cap, Word};

/// The lock, without what it protects.
pub struct NotificationLock {
    /// What it protects, for people.
    what: &'static str,
    /// Threads that have the lock or wait for it.
    users: AtomicUsize,
    /// The IPC buffer of the thread that has it; 0 when nobody has, or a thread without a buffer.
    owner: AtomicUsize,
    /// Signalled for one of those who wait; 0 while there is none.
    notification: AtomicUsize,
}

impl NotificationLock {
    /// Free, without a notification. `what` is what it protects: "the heap".
    pub const fn new(what: &'static str) -> NotificationLock {
        NotificationLock {
            what,
            users: AtomicUsize::new(0),
            owner: AtomicUsize::new(0),
            notification: AtomicUsize::new(0),
        }
    }

    /// The notification to wait at, if there is one yet.
    #[inline(always)]
    pub fn notification(&self) -> Option<cap::Notification> {
        match self.notification.load(Ordering::Acquire) {
            0 => None,
            bits => Some(cap::Notification::from_bits(bits as Word)),
        }
    }

    /// Gives it a notification to wait at. To be called before a second thread uses the lock.
    pub fn set_notification(&self, notification: cap::Notification) {
        self.notification.store(notification.bits() as usize, Ordering::Release);
    }

    /// Makes it as it was at first: for the thread that has the lock, when nobody waits for it.
    pub fn reset(&self) {
        self.notification.store(0, Ordering::Release);
        self.owner.store(0, Ordering::Relaxed);
        self.users.store(0, Ordering::Release);
    }

    /// Waits at `notification`, which is the lock's, until nobody else has the lock. Where somebody
    /// has it, `before_waiting` is told whose IPC buffer is the owner's.
    ///
    /// # Panics
    /// When the calling thread has it already.
    #[inline(always)]
    pub fn acquire_at(&self, notification: cap::Notification, before_waiting: impl FnOnce(Word)) {
        if self.users.fetch_add(1, Ordering::Acquire) != 0 {
            self.refuse_owner();
            before_waiting(self.owner.load(Ordering::Relaxed) as Word);
            notification.wait();
        }
        self.owner.store(ipc_buffer_address() as usize, Ordering::Relaxed);
    }

    /// Yields until nobody else has the lock, a million times at the most: for a lock without a
    /// notification. Returns whether the lock was got.
    ///
    /// # Panics
    /// When the calling thread has it already.
    pub fn acquire_yielding(&self) -> bool {
        for _ in 0..1_000_000 {
            if self.users.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                self.owner.store(ipc_buffer_address() as usize, Ordering::Relaxed);
                return true;
            }
            self.refuse_owner();
            crate::r#yield();
        }
        false
    }

    /// Lets the next thread have it.
    #[inline(always)]
    pub fn release(&self) {
        self.owner.store(0, Ordering::Relaxed);
        if self.users.fetch_sub(1, Ordering::Release) != 1 {
            if let Some(notification) = self.notification() {
                notification.signal();
            }
        }
    }

    /// Whether the calling thread has it.
    pub fn is_own(&self) -> bool {
        let me = ipc_buffer_address() as usize;
        me != 0 && self.owner.load(Ordering::Relaxed) == me
    }

    #[cold]
    #[inline(never)]
    fn refuse_owner(&self) {
        assert!(
            !self.is_own(),
            "{} is locked by the thread that has it already (its IPC buffer is at {:#x}) and \
             would be waited for by itself for ever: use what the first lock returned, or drop \
             that before",
            self.what,
            ipc_buffer_address()
        );
    }
}
