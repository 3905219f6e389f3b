// SPDX-License-Identifier: BSD-2-Clause
//! A lock that knows who has it, on a notification. A thread is known by its IPC buffer's address.

use core::sync::atomic::{AtomicUsize, Ordering};

use sel4::{cap, Word};

/// The lock, without what it protects.
pub struct NotificationLock {
    /// What it protects, for people.
    what: &'static str,
    /// Threads that have it or wait for it.
    users: AtomicUsize,
    /// The IPC buffer of the thread that has it; 0 when nobody has.
    owner: AtomicUsize,
    /// Signalled for one of those who wait; 0 while there is none.
    notification: AtomicUsize,
}

impl NotificationLock {
    /// Free, without a notification.
    pub const fn new(what: &'static str) -> NotificationLock {
        NotificationLock {
            what,
            users: AtomicUsize::new(0),
            owner: AtomicUsize::new(0),
            notification: AtomicUsize::new(0),
        }
    }

    /// The notification to wait at, if there is one yet.
    pub fn notification(&self) -> Option<cap::Notification> {
        let bits = self.notification.load(Ordering::Acquire);
        (bits != 0).then(|| cap::Notification::from_bits(bits as Word))
    }

    /// Gives it a notification, before a second thread uses it.
    pub fn set_notification(&self, notification: cap::Notification) {
        self.notification.store(notification.bits() as usize, Ordering::Release);
    }

    /// Makes it as it was at first: for the thread that has it, when nobody waits.
    pub fn reset(&self) {
        self.set_notification(cap::Notification::from_bits(0));
        self.owner.store(0, Ordering::Relaxed);
        self.users.store(0, Ordering::Release);
    }

    /// Waits at its notification until nobody else has it. Where somebody has, `before_waiting` is
    /// told whose IPC buffer is the owner's.
    ///
    /// # Panics
    /// When the calling thread has it already: it would wait for itself for ever.
    pub fn acquire_at(&self, notification: cap::Notification, before_waiting: impl FnOnce(Word)) {
        let me = sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer) as usize);
        if self.users.fetch_add(1, Ordering::Acquire) != 0 {
            let owner = self.owner.load(Ordering::Relaxed);
            assert!(owner != me, "{} is locked by the thread that has it already", self.what);
            before_waiting(owner as Word);
            notification.wait();
        }
        self.owner.store(me, Ordering::Relaxed);
    }

    /// Whether the calling thread has it.
    pub fn is_own(&self) -> bool {
        let me = sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer) as usize);
        self.owner.load(Ordering::Relaxed) == me
    }

    /// Lets the next thread have it.
    pub fn release(&self) {
        self.owner.store(0, Ordering::Relaxed);
        if self.users.fetch_sub(1, Ordering::Release) != 1 {
            if let Some(notification) = self.notification() {
                notification.signal();
            }
        }
    }
}
