// SPDX-License-Identifier: BSD-2-Clause
//! riscv32 and riscv64: the registers.

use super::reads;

/// Where a frame's two words lie, seen from the frame pointer: below it.
pub const FRAME_AT: isize = -2 * size_of::<usize>() as isize;

reads! {
    /// The frame pointer, where the program was compiled with one.
    frame_pointer, "mv {}, s0"
}

reads! {
    /// The stack pointer.
    stack_pointer, "mv {}, sp"
}

reads! {
    /// Where the calling thread's local storage is; 0 for none.
    thread_pointer, "mv {}, tp"
}

/// Sets the global pointer, by which linkers may have variables be found: it is the program's, and
/// who started the thread knows their own alone.
#[inline(always)]
pub fn begin() {
    // SAFETY: the linker defines it, and nothing was found by the register before.
    unsafe {
        core::arch::asm!(
            ".option push",
            ".option norelax",
            "la gp, __global_pointer$",
            ".option pop",
            options(nomem, nostack, preserves_flags),
        );
    }
}
