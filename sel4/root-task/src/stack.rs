// SPDX-License-Identifier: BSD-2-Clause
//! The root task's stack.

use core::cell::UnsafeCell;

/// The stack's bytes when `#[root_task]` does not say: 64 KiB, or 128 KiB where a word has 8 bytes.
pub const DEFAULT_STACK_SIZE: usize = 16 * 1024 * size_of::<usize>();

/// The bytes of a page: the guard below the stack.
const GUARD_SIZE: usize = 4096;

/// The stack's memory, in pages of its own. An overflow meets the guard first, which nobody uses:
/// a manager unmaps it (`vmm::sel4::start`), and without one nothing else is overwritten by the
/// first page of it.
#[repr(C, align(4096))]
pub struct StackMemory<const SIZE: usize> {
    guard: UnsafeCell<[u8; GUARD_SIZE]>,
    bytes: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: only the root task's thread uses it, as its stack.
unsafe impl<const SIZE: usize> Sync for StackMemory<SIZE> {}

impl<const SIZE: usize> StackMemory<SIZE> {
    /// Zeroed, and so in .bss.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(SIZE % 16 == 0, "a stack's size is a multiple of 16 bytes");
        assert!(SIZE >= 4096, "a stack has 4096 bytes at least");
        Self { guard: UnsafeCell::new([0; GUARD_SIZE]), bytes: UnsafeCell::new([0; SIZE]) }
    }

    /// The address behind it, where a stack begins.
    pub const fn top(&self) -> StackTop {
        StackTop(self.bytes.get().cast::<u8>().wrapping_add(SIZE))
    }

    /// Where its guard is, and where it ends with the rest of its last page.
    pub const fn bounds(&self) -> StackBounds {
        let end = core::ptr::from_ref(self).wrapping_add(1).cast();
        StackBounds { guard: self.guard.get().cast(), bottom: self.bytes.get().cast(), end }
    }
}

/// Where the stack begins; `_start` reads it.
#[repr(transparent)]
pub struct StackTop(#[allow(dead_code)] *mut u8);

// SAFETY: an address, never written.
unsafe impl Sync for StackTop {}

/// Where the stack lies, page by page: the manager's adapter finds it, by the
/// section `sel4_root_task_stack`.
#[repr(C)]
#[allow(dead_code)]
pub struct StackBounds {
    /// The guard's first byte.
    guard: *const u8,
    /// The byte after the guard, the lowest that the stack uses.
    bottom: *const u8,
    /// The byte after the stack's last page.
    end: *const u8,
}

// SAFETY: addresses, never written.
unsafe impl Sync for StackBounds {}
