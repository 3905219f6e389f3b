// SPDX-License-Identifier: BSD-2-Clause
//! Entering the kernel: what is the same for every architecture. The instructions are in
//! `arch/*/syscall.rs`.
//!
//! The templates there say nothing of memory, so the compiler must assume that they read and write
//! any memory whose address is known to it: message words beyond those that travel in registers go
//! through the IPC buffer. Callers that hold the buffer as a reference pass it through [`publish`]
//! first.

use core::arch::asm;

use super::{seL4_IPCBuffer, seL4_Word};

pub(crate) use crate::arch::syscall::{invoke, recv, send, send_recv};
pub(crate) use crate::arch::MESSAGE_REGISTERS;

/// The message words that travel in registers.
pub(crate) type MessageRegisters = [seL4_Word; MESSAGE_REGISTERS];

/// No message words: for system calls whose message has none, or that have no message.
pub(crate) const NO_WORDS: MessageRegisters = [0; MESSAGE_REGISTERS];

/// What a system call with an answer leaves in the registers.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) badge: seL4_Word,
    pub(crate) info: seL4_Word,
    pub(crate) words: MessageRegisters,
}

/// The first words of `words`, for the registers; 0 where there are not so many.
#[inline(always)]
pub(crate) fn first_words<const WORDS: usize>(words: &[seL4_Word; WORDS]) -> MessageRegisters {
    let mut first = NO_WORDS;
    let mut index = 0;
    while index < WORDS && index < MESSAGE_REGISTERS {
        first[index] = words[index];
        index += 1;
    }
    first
}

/// Tells the compiler that the kernel knows this buffer: what was written to it before must be in
/// memory at the next system call, and what is read after may have changed. Costs no instruction.
#[inline(always)]
pub(crate) fn publish(ipc_buffer: &mut seL4_IPCBuffer) {
    let address: *mut seL4_IPCBuffer = ipc_buffer;
    // SAFETY: the template is empty. The pointer is live and unique, and from here on only the
    // kernel, in a system call made while the reference is still held, uses the copy.
    unsafe { asm!("/* {0} */", in(reg) address, options(nostack, preserves_flags)) }
}
