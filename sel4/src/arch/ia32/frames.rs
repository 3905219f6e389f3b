// SPDX-License-Identifier: BSD-2-Clause
//! The stack of the calling thread, and where a system call keeps what lies in the way.

use core::arch::asm;

use crate::Word;

/// How far above the stack pointer `syscall.rs` keeps the frame pointer, whose register then
/// carries a message word, in bytes.
pub(crate) const FRAME_IN_SYSCALL: Option<Word> = Some(8);

/// The address of the calling function's frame: of the word that has its caller's.
#[inline(always)]
pub(crate) fn frame_pointer() -> Word {
    let word: Word;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, ebp", out(reg) word, options(nomem, nostack, preserves_flags)) };
    word
}

/// The lowest address of the stack that is in use.
#[inline(always)]
pub(crate) fn stack_pointer() -> Word {
    let word: Word;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, esp", out(reg) word, options(nomem, nostack, preserves_flags)) };
    word
}
