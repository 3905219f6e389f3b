// SPDX-License-Identifier: BSD-2-Clause
//! aarch32: the registers.

use super::reads;

/// Where a frame's two words lie, seen from the frame pointer.
pub const FRAME_AT: isize = 0;

reads! {
    /// The frame pointer, where the program was compiled with one.
    frame_pointer, "mov {}, r11"
}

reads! {
    /// The stack pointer.
    stack_pointer, "mov {}, sp"
}

reads! {
    /// Where the calling thread's local storage is; 0 for none.
    thread_pointer, "mrc p15, 0, {}, c13, c0, 2"
}

/// Does nothing: a thread has all its registers when it begins.
#[inline(always)]
pub fn begin() {}
