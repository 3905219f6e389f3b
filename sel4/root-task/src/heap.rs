//! The heap (feature `alloc`): buddies over the bytes that `#[root_task(heap_size = …)]` sets
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

/// The heap's memory, in pages of its own.
#[repr(C, align(4096))]
pub struct HeapMemory<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the allocator uses it, under its lock.
unsafe impl<const SIZE: usize> Sync for HeapMemory<SIZE> {}

impl<const SIZE: usize> HeapMemory<SIZE> {
    /// Zeroed, and so in .bss.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; SIZE]))
    }

    /// Where it is.
    pub const fn bounds(&self) -> HeapBounds {
        HeapBounds { start: self.0.get().cast(), size: SIZE }
    }
}

/// Where the heap's memory is.
#[repr(C)]
pub struct HeapBounds {
    start: *mut u8,
    size: usize,
}

// SAFETY: an address and a length, never written.
unsafe impl Sync for HeapBounds {}

extern "C" {
    static __sel4_root_task__heap: HeapBounds;
}

/// Blocks from 2^0 to 2^31 bytes.
const ORDERS: usize = 32;

struct LockedHeap {
    lock: NotificationLock,
    initialized: AtomicBool,
    heap: UnsafeCell<Heap<ORDERS>>,
}

// SAFETY: `heap` is used only by the thread that has the lock.
unsafe impl Sync for LockedHeap {}

#[global_allocator]
static HEAP: LockedHeap = LockedHeap {
    lock: NotificationLock::new("the heap"),
    initialized: AtomicBool::new(false),
    heap: UnsafeCell::new(Heap::empty()),
};

/// Gives the heap's lock a notification to wait at.
///
/// Call it before a second thread uses the heap. Without it a thread that finds the heap taken
/// yields until it is free, which a thread of lower priority can never bring about; after a million
/// turns that is reported by a panic.
pub fn set_global_allocator_mutex_notification(notification: cap::Notification) {
    HEAP.lock.set_notification(notification);
}

impl LockedHeap {
    fn acquire(&self) {
        match self.lock.notification() {
            Some(notification) => self.lock.acquire_at(notification, |_| ()),
            None => assert!(
                self.lock.acquire_yielding(),
                "the heap is taken by a thread of lower priority: the program must call \
                 set_global_allocator_mutex_notification before it starts a second thread"
            ),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Heap<ORDERS>) -> T) -> T {
        self.acquire();
        // SAFETY: the lock is ours until `release`, and `f` cannot come back here: the buddies keep
        // their lists inside the free memory and allocate nothing.
        let heap = unsafe { &mut *self.heap.get() };
        if !self.initialized.swap(true, Ordering::Relaxed) {
            // SAFETY: `declare_root_task!` defines it, for this allocator alone.
            unsafe {
                let bounds = &__sel4_root_task__heap;
                if bounds.size != 0 {
                    heap.init(bounds.start as usize, bounds.size);
                }
            }
        }
        let value = f(heap);
        self.lock.release();
        value
    }
}

// SAFETY: blocks are handed out once, of the layout's size and alignment (a buddy of 2^n bytes is
// aligned to 2^n), and stay where they are until they are given back.
unsafe impl GlobalAlloc for LockedHeap {
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
