//! The root task's stack.

use core::cell::UnsafeCell;

/// The stack's bytes when `#[root_task]` does not say.
pub const DEFAULT_STACK_SIZE: usize = 64 * 1024;

/// The stack's memory, in pages of its own.
#[repr(C, align(4096))]
pub struct StackMemory<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the root task's thread uses it, as its stack.
unsafe impl<const SIZE: usize> Sync for StackMemory<SIZE> {}

impl<const SIZE: usize> StackMemory<SIZE> {
    /// Zeroed, and so in .bss.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(SIZE % 16 == 0, "a stack's size is a multiple of 16 bytes");
        assert!(SIZE >= 4096, "a stack has 4096 bytes at least");
        Self(UnsafeCell::new([0; SIZE]))
    }

    /// The address behind it, where a stack begins.
    pub const fn top(&self) -> StackTop {
        StackTop(self.0.get().cast::<u8>().wrapping_add(SIZE))
    }
}

/// Where the stack begins; `_start` reads it.
#[repr(transparent)]
pub struct StackTop(#[allow(dead_code)] *mut u8);

// SAFETY: an address, never written.
unsafe impl Sync for StackTop {}
