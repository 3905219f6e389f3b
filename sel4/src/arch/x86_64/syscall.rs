// SPDX-License-Identifier: BSD-2-Clause
//! Entering the kernel with `syscall`.
//!
//! The register assignment is the kernel's (`traps.S`, `registerset.h` for x86_64):
//!
//! ```text
//!        in                          out
//!   rdx  system call number          (kept)
//!   rdi  capability                  badge
//!   rsi  message info                message info
//!   r10  message word 0              message word 0
//!   r8   message word 1              message word 1
//!   r9   message word 2              message word 2
//!   r15  message word 3              message word 3
//!   rcx                              the address behind the syscall
//!   r11                              the flags
//!   rsp                              0
//! ```
//!
//! All others are kept, so one of them keeps the stack pointer. Nothing is pushed meanwhile, and
//! the kernel has stacks of its own, so the bytes below the stack pointer stay as they are.

use core::arch::asm;

use crate::sys::syscall::{Answer, MessageRegisters};
use crate::sys::{seL4_CPtr, seL4_Word, SysCall};

/// Sends a message and waits for the answer (`SYS`: `SysCall` or `SysReplyRecv`).
///
/// # Safety
/// `SYS` and the arguments must be a system call that neither changes nor unmaps memory that safe
/// code relies on, or the caller answers for it.
#[inline(always)]
pub(crate) unsafe fn send_recv<const SYS: i32>(
    dest: seL4_CPtr,
    info: seL4_Word,
    [mr0, mr1, mr2, mr3]: MessageRegisters,
) -> Answer {
    let mut answer = Answer { badge: 0, info: 0, words: [0; 4] };
    // SAFETY: what the kernel does not keep is an output, and the stack pointer is put back; the
    // rest is the caller's promise.
    unsafe {
        asm!(
            "mov r12, rsp",
            "syscall",
            "mov rsp, r12",
            in("rdx") SYS as isize,
            inout("rdi") dest => answer.badge,
            inout("rsi") info => answer.info,
            inout("r10") mr0 => answer.words[0],
            inout("r8") mr1 => answer.words[1],
            inout("r9") mr2 => answer.words[2],
            inout("r15") mr3 => answer.words[3],
            out("rcx") _,
            out("r11") _,
            out("r12") _,
            options(nostack),
        );
    }
    answer
}

/// Invokes an object: a call whose answer has no badge.
///
/// # Safety
/// As for [`send_recv`].
#[inline(always)]
pub(crate) unsafe fn invoke(dest: seL4_CPtr, info: seL4_Word, words: MessageRegisters) -> Answer {
    // SAFETY: the caller's promise.
    unsafe { send_recv::<SysCall>(dest, info, words) }
}

/// Sends a message without waiting for an answer (`SysSend`, `SysNBSend`, `SysReply`, and the
/// system calls that take less).
///
/// # Safety
/// As for [`send_recv`].
#[inline(always)]
pub(crate) unsafe fn send<const SYS: i32>(
    dest: seL4_CPtr,
    info: seL4_Word,
    words: MessageRegisters,
) {
    // SAFETY: the caller's promise. Registers may come back changed.
    unsafe { send_recv::<SYS>(dest, info, words) };
}

/// Waits for a message (`SysRecv`, `SysNBRecv`). The message info is 0 where a signal of a bound
/// notification came in its place: the kernel leaves it as it is then.
///
/// # Safety
/// As for [`send_recv`].
#[inline(always)]
pub(crate) unsafe fn recv<const SYS: i32>(src: seL4_CPtr) -> Answer {
    let mut answer = Answer { badge: 0, info: 0, words: [0; 4] };
    // SAFETY: as in `send_recv`.
    unsafe {
        asm!(
            "mov r12, rsp",
            "syscall",
            "mov rsp, r12",
            in("rdx") SYS as isize,
            inout("rdi") src => answer.badge,
            inlateout("rsi") 0isize => answer.info,
            out("r10") answer.words[0],
            out("r8") answer.words[1],
            out("r9") answer.words[2],
            out("r15") answer.words[3],
            out("rcx") _,
            out("r11") _,
            out("r12") _,
            options(nostack),
        );
    }
    answer
}
