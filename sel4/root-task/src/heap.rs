// SPDX-License-Identifier: BSD-2-Clause
//! The heap: it begins with the bytes that `#[root_task(heap_size = …)]` sets aside, and grows if
//! the program says where from.
//!
//! When there is no memory left, the program's allocation error is a panic. A second thread that
//! finds the lock taken waits, and how depends on whether it was told how to: see
//! [`set_global_allocator_mutex_notification`].

use core::cell::UnsafeCell;

use growing_heap::{Environment, Source};
use sel4::{cap, NotificationLock};

/// What the heap needs of a root task.
pub struct RootTask(());

/// The lock of the heap: a program has one global allocator.
static LOCK: NotificationLock = NotificationLock::new("the heap");

/// Where the heap's memory comes from beside what it began with.
static SOURCE: SourceCell = SourceCell(UnsafeCell::new(None));

struct SourceCell(UnsafeCell<Option<&'static dyn Source>>);

// SAFETY: the cell is used only by the thread that has the lock.
unsafe impl Sync for SourceCell {}

/// Gives the heap's lock a notification to wait at.
///
/// Call it before a second thread uses the heap. Without it a thread that finds the heap taken
/// yields until it is free, which a thread of lower priority can never bring about; after a million
/// turns that is reported by a panic.
pub fn set_global_allocator_mutex_notification(notification: cap::Notification) {
    LOCK.set_notification(notification);
}

/// Has the heap grow by memory from `source` where it does not suffice, and give back what nothing
/// is left in. Beyond upstream. Before that, `heap_size` is all it has.
///
/// `vmm::sel4::ManagerHeap` is a source.
pub fn grow_heap_from(source: &'static dyn Source) {
    RootTask::acquire();
    // SAFETY: the lock is ours.
    unsafe { *SOURCE.0.get() = Some(source) };
    RootTask::release();
}

unsafe extern "Rust" {
    /// What `#[root_task(heap_size = …)]` defines.
    safe fn __sel4_root_task__trim_heap() -> usize;
}

/// Gives back all that nothing is left in of what the heap grew by: one piece stays else, for what
/// is allocated next. Returns the bytes that it still has so. Beyond upstream; a program without
/// `heap_size` that calls this is not linked.
#[inline]
pub fn trim_heap() -> usize {
    __sel4_root_task__trim_heap()
}

impl Environment for RootTask {
    fn acquire() {
        match LOCK.notification() {
            Some(notification) => LOCK.acquire_at(notification, |_| ()),
            None => assert!(
                LOCK.acquire_yielding(),
                "the heap is taken by a thread of lower priority: the program must call \
                 set_global_allocator_mutex_notification before it starts a second thread"
            ),
        }
    }

    fn release() {
        LOCK.release();
    }

    fn source() -> Option<&'static dyn Source> {
        // SAFETY: whoever calls this has the lock.
        unsafe { *SOURCE.0.get() }
    }
}
