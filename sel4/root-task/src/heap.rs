// SPDX-License-Identifier: BSD-2-Clause
//! The heap: buddies over the bytes that `#[root_task(heap_size = …)]` sets
//! aside.
//!
//! An allocation takes the next power of two; when there is none left the program's allocation
//! error is a panic. A second thread that finds the lock taken waits, and how depends on whether it
//! was told how to: see [`set_global_allocator_mutex_notification`].

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use buddy_system_allocator::Heap;
use sel4::{cap, NotificationLock};

/// Blocks from 2^0 to 2^31 bytes.
const ORDERS: usize = 32;

/// A heap of `SIZE` bytes in pages of its own, as a program's global allocator.
#[repr(C, align(4096))]
pub struct StaticHeap<const SIZE: usize> {
    memory: UnsafeCell<[u8; SIZE]>,
    heap: UnsafeCell<Heap<ORDERS>>,
    initialized: AtomicBool,
}

// SAFETY: both cells are used only by the thread that has the lock.
unsafe impl<const SIZE: usize> Sync for StaticHeap<SIZE> {}

/// The lock of the heap: a program has one global allocator.
static LOCK: NotificationLock = NotificationLock::new("the heap");

/// Gives the heap's lock a notification to wait at.
///
/// Call it before a second thread uses the heap. Without it a thread that finds the heap taken
/// yields until it is free, which a thread of lower priority can never bring about; after a million
/// turns that is reported by a panic.
pub fn set_global_allocator_mutex_notification(notification: cap::Notification) {
    LOCK.set_notification(notification);
}

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

impl<const SIZE: usize> StaticHeap<SIZE> {
    /// Empty memory, for a `static`: all zero, and so in .bss.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        StaticHeap {
            memory: UnsafeCell::new([0; SIZE]),
            heap: UnsafeCell::new(Heap::empty()),
            initialized: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Heap<ORDERS>) -> T) -> T {
        acquire();
        // SAFETY: the lock is ours until `release`, and `f` cannot come back here: the buddies keep
        // their lists inside the free memory and allocate nothing.
        let heap = unsafe { &mut *self.heap.get() };
        if !self.initialized.swap(true, Ordering::Relaxed) && SIZE != 0 {
            // SAFETY: the memory is this heap's alone, and given to it once.
            unsafe { heap.init(self.memory.get() as usize, SIZE) };
        }
        let value = f(heap);
        LOCK.release();
        value
    }
}

// SAFETY: blocks are handed out once, of the layout's size and alignment (a buddy of 2^n bytes is
// aligned to 2^n), and stay where they are until they are given back.
unsafe impl<const SIZE: usize> GlobalAlloc for StaticHeap<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| heap.alloc(layout)).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got it from `alloc`, which returns null only for "none".
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: by the caller's promise a block of this layout that is still handed out.
        self.with(|heap| unsafe { heap.dealloc(block, layout) })
    }
}
