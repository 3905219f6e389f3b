// SPDX-License-Identifier: BSD-2-Clause
//! A value that one thread at a time reaches. Beyond upstream.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::{cap, NotificationLock};

/// A value behind a lock, for the threads of one program. Locking and unlocking take no kernel call
/// unless two threads want it at once: then the second waits at the notification.
///
/// There is no poisoning: a panic ends the program.
pub struct Mutex<T: ?Sized> {
    notification: cap::Notification,
    lock: NotificationLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard alone, of which there is one at a time; with it the
// value moves from thread to thread.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked one. Threads wait at `notification`, which nothing else may use. `what` is what
    /// it protects, for people: "the queue".
    pub const fn new(what: &'static str, notification: cap::Notification, value: T) -> Mutex<T> {
        Mutex { notification, lock: NotificationLock::new(what), value: UnsafeCell::new(value) }
    }

    /// The value, when nobody shares the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until no other thread has the value.
    ///
    /// # Panics
    /// When the calling thread has it already.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Whoever unlocks signals only if somebody waits, and by this.
        self.lock.set_notification(self.notification);
        self.lock.acquire_at(self.notification, |_| ());
        MutexGuard { mutex: self }
    }
}

/// The right to a [`Mutex`]'s value; dropping it unlocks.
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// What it is the guard of.
    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: while the guard is there, no other thread reaches the value.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.lock.release();
    }
}

// SAFETY: a shared guard gives shared references to the value alone.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}
