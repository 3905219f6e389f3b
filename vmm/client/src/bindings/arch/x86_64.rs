// SPDX-License-Identifier: BSD-2-Clause
//! x86_64: the registers.

use super::reads;

/// Where a frame's two words lie, seen from the frame pointer.
pub const FRAME_AT: isize = 0;

reads! {
    /// The frame pointer, where the program was compiled with one.
    frame_pointer, "mov {}, rbp"
}

reads! {
    /// The stack pointer.
    stack_pointer, "mov {}, rsp"
}

/// Where the calling thread's local storage is, which it has: its first word says so.
#[inline(always)]
pub fn thread_pointer() -> usize {
    let word: usize;
    // SAFETY: the word is the thread's own, and is never written.
    unsafe {
        core::arch::asm!(
            "mov {}, fs:[0]",
            out(reg) word,
            options(nostack, preserves_flags, readonly),
        );
    }
    word
}

/// Does nothing: a thread has all its registers when it begins.
#[inline(always)]
pub fn begin() {}
