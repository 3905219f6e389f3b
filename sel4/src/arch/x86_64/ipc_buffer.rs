// SPDX-License-Identifier: BSD-2-Clause
//! The calling thread's IPC buffer through GS: the kernel makes GS's base the address of the buffer
//! of the thread it returns to.

use core::arch::asm;
use core::mem::offset_of;

use crate::sys::seL4_IPCBuffer;
use crate::Word;

const TAG_OFFSET: usize = offset_of!(seL4_IPCBuffer, tag);

/// Makes the calling thread's IPC buffer reachable: the kernel has done it.
#[inline(always)]
pub(crate) fn prepare() {}

/// Reads the word `tag` of the calling thread's IPC buffer.
#[inline(always)]
pub(crate) fn load_tag() -> Word {
    let word: Word;
    // SAFETY: reads a word of the calling thread's IPC buffer; a thread without one faults here
    // and does not go on.
    unsafe {
        asm!(
            "mov {0}, qword ptr gs:[{1}]",
            out(reg) word,
            const TAG_OFFSET,
            options(nostack, preserves_flags, readonly)
        );
    }
    word
}

/// Writes the word `tag` of the calling thread's IPC buffer.
#[inline(always)]
pub(crate) fn store_tag(word: Word) {
    // SAFETY: `tag` belongs to the feature `state` and is no part of what an `IpcBuffer` reference
    // lets others touch.
    unsafe {
        asm!(
            "mov qword ptr gs:[{1}], {0}",
            in(reg) word,
            const TAG_OFFSET,
            options(nostack, preserves_flags)
        );
    }
}
