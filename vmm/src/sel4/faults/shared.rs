// SPDX-License-Identifier: BSD-2-Clause
//! A manager that two threads of the root task use: the handler's and its own.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

use sel4::Word;

use super::Manager;
use crate::sel4::bindings::NotificationLock;
use crate::types::error::{Error, Result};
use untyped_alloc::{Blueprint, Object};

/// A manager behind a lock. Taking and releasing it costs no system call unless two threads want it
/// at once.
///
/// Whoever holds it must not lock it again, nor touch memory that is mapped by faults: the handler
/// that would map it waits for the lock. Both end the program by a panic that says so; the second
/// where the handler is a thread of [`super::start`], and the one who holds it is registered and
/// got its IPC buffer from the manager or the kernel.
pub struct SharedManager {
    inner: UnsafeCell<MaybeUninit<Inner>>,
    /// Has a notification as soon as there is a manager.
    lock: NotificationLock,
}

/// What is behind the lock.
struct Inner {
    manager: Manager,
    wakeup: Object,
}

// SAFETY: the manager is reached through a guard only, which exists once at a time: see `lock`.
unsafe impl Sync for SharedManager {}

impl SharedManager {
    /// Without a manager yet, for a `static`.
    pub const fn new() -> SharedManager {
        SharedManager {
            inner: UnsafeCell::new(MaybeUninit::uninit()),
            lock: NotificationLock::new("the manager"),
        }
    }

    /// Puts the manager in. To be called once, before other threads use it.
    ///
    /// # Errors
    /// [`Error::Allocator`] when there is no notification to be had; [`Error::AlreadyShared`].
    pub fn share(&'static self, mut manager: Manager) -> Result {
        if self.lock.notification().is_some() {
            return Err(Error::AlreadyShared);
        }
        let wakeup = manager.allocate(Blueprint::Notification)?;
        // SAFETY: nobody else reaches it: `lock` refuses before its notification is set, and the
        // caller sees to it that this is called once.
        unsafe { (*self.inner.get()).write(Inner { manager, wakeup }) };
        self.lock.set_notification(wakeup.cap());
        Ok(())
    }

    /// Takes the manager out again, for one thread alone.
    ///
    /// # Errors
    /// What freeing the lock's notification meets: the manager stays where it is.
    ///
    /// # Panics
    /// When there is no manager.
    pub fn unshare(&'static self) -> Result<Manager> {
        let mut guard = self.lock();
        let wakeup = guard.inner().wakeup;
        guard.free(wakeup)?;
        core::mem::forget(guard);
        self.lock.reset();
        // SAFETY: `share` wrote it; the guard is gone without unlocking, and without the
        // notification nobody gets another: the value is moved out once.
        Ok(unsafe { (*self.inner.get()).assume_init_read() }.manager)
    }

    /// Waits until nobody else has the manager.
    ///
    /// # Panics
    /// When there is no manager yet; when the calling thread has it already.
    pub fn lock(&self) -> ManagerGuard<'_> {
        self.lock_or(|_| ())
    }

    /// As `lock`; nothing where there is no manager yet, or the calling thread has it already.
    pub(in crate::sel4) fn lock_unless_own(&self) -> Option<ManagerGuard<'_>> {
        let free = self.lock.notification().is_some() && !self.lock.is_own();
        free.then(|| self.lock())
    }

    /// As `lock`. Where another thread has the manager, `before_waiting` is told the address of
    /// that thread's IPC buffer.
    #[inline(always)]
    pub(super) fn lock_or(&self, before_waiting: impl FnOnce(Word)) -> ManagerGuard<'_> {
        let wakeup = self.lock.notification();
        let wakeup = wakeup.expect("the manager is used before it is shared");
        self.lock.acquire_at(wakeup, before_waiting);
        ManagerGuard(self)
    }
}

impl Default for SharedManager {
    fn default() -> Self {
        SharedManager::new()
    }
}

/// The manager, for as long as this is there.
pub struct ManagerGuard<'a>(&'a SharedManager);

impl ManagerGuard<'_> {
    fn inner(&self) -> &Inner {
        // SAFETY: a guard exists only after `share`, and there is one at a time: only the first
        // user passes `lock` at once, and each that leaves lets one of the others pass.
        unsafe { (*self.0.inner.get()).assume_init_ref() }
    }
}

impl Deref for ManagerGuard<'_> {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.inner().manager
    }
}

impl DerefMut for ManagerGuard<'_> {
    fn deref_mut(&mut self) -> &mut Manager {
        // SAFETY: as in `inner`; the guard is borrowed for as long as what is returned.
        unsafe { &mut (*self.0.inner.get()).assume_init_mut().manager }
    }
}

impl Drop for ManagerGuard<'_> {
    fn drop(&mut self) {
        self.0.lock.release();
    }
}
