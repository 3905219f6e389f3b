//! A manager that two threads of the root task use: the handler's and its own.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use sel4::{cap, Word};

use super::Manager;
use crate::types::error::{Error, Result};
use untyped_alloc::{Blueprint, Object};

/// A manager behind a lock. Taking and releasing it costs no system call unless two threads want it
/// at once.
///
/// Whoever holds it must not touch memory that is mapped by faults: the handler that would map it
/// waits for the lock.
pub struct SharedManager {
    inner: UnsafeCell<MaybeUninit<Inner>>,
    /// Threads that hold the lock or wait for it.
    users: AtomicUsize,
    /// Signalled for one of those who wait. 0 until there is a manager.
    wakeup: AtomicU32,
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
            users: AtomicUsize::new(0),
            wakeup: AtomicU32::new(0),
        }
    }

    /// Puts the manager in. To be called once, before other threads use it.
    ///
    /// # Errors
    /// [`Error::Allocator`] when there is no notification to be had; [`Error::AlreadyShared`].
    pub fn share(&'static self, mut manager: Manager) -> Result {
        if self.wakeup.load(Ordering::Acquire) != 0 {
            return Err(Error::AlreadyShared);
        }
        let wakeup = manager.allocate(Blueprint::Notification)?;
        // SAFETY: nobody else reaches it: `lock` refuses before `wakeup` is set, and the caller
        // sees to it that this is called once.
        unsafe { (*self.inner.get()).write(Inner { manager, wakeup }) };
        self.wakeup.store(wakeup.slot().bits() as u32, Ordering::Release);
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
        self.wakeup.store(0, Ordering::Release);
        self.users.store(0, Ordering::Release);
        // SAFETY: `share` wrote it; the guard is gone without unlocking, and without `wakeup`
        // nobody gets another: the value is moved out once.
        Ok(unsafe { (*self.inner.get()).assume_init_read() }.manager)
    }

    /// Waits until nobody else has the manager.
    ///
    /// # Panics
    /// When there is no manager yet.
    pub fn lock(&self) -> ManagerGuard<'_> {
        let wakeup = self.wakeup.load(Ordering::Acquire);
        assert!(wakeup != 0, "the manager is used before it is shared");
        if self.users.fetch_add(1, Ordering::Acquire) != 0 {
            cap::Notification::from_bits(wakeup as Word).wait();
        }
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
        if self.0.users.fetch_sub(1, Ordering::Release) != 1 {
            let wakeup = self.0.wakeup.load(Ordering::Relaxed);
            cap::Notification::from_bits(wakeup as Word).signal();
        }
    }
}
