// SPDX-License-Identifier: BSD-2-Clause
//! Entering the kernel with `sysenter`.
//!
//! The register assignment is the kernel's (`traps.S`, `registerset.h` for IA32):
//!
//! ```text
//!        in                          out
//!   eax  system call number          (kept)
//!   ebx  capability                  badge
//!   esi  message info                message info
//!   edi  message word 0              message word 0
//!   ebp  message word 1              message word 1
//!   ecx  stack pointer to return to  (that)
//!   edx  address of the sysenter     (return address)
//! ```
//!
//! The kernel restarts an interrupted call at the address in `edx`, and returns behind it.
//! `ebx`, `esi` and `ebp` cannot be operands of inline assembly on i686, so the templates save them
//! on the stack and fill them from the four registers that can.

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
    [mr0, mr1]: MessageRegisters,
) -> Answer {
    let mut answer = Answer { badge: 0, info: 0, words: [0; 2] };
    // SAFETY: the three registers that are no operands are restored; the stack is the caller's
    // at the end as at the start; the rest is the caller's promise.
    unsafe {
        asm!(
            "push ebp",
            "push ebx",
            "push esi",
            "mov ebp, eax",
            "mov ebx, edx",
            "mov esi, ecx",
            "mov eax, {sys}",
            "mov ecx, esp",
            "lea edx, [2f]",
            "2:",
            "sysenter",
            "mov eax, ebp",
            "mov edx, ebx",
            "mov ecx, esi",
            "pop esi",
            "pop ebx",
            "pop ebp",
            sys = const SYS,
            inout("eax") mr1 => answer.words[1],
            inout("edx") dest => answer.badge,
            inout("ecx") info => answer.info,
            inout("edi") mr0 => answer.words[0],
        );
    }
    answer
}

/// Invokes an object: a call whose answer has no badge.
///
/// # Safety
/// As for [`send_recv`].
#[inline(always)]
pub(crate) unsafe fn invoke(
    dest: seL4_CPtr,
    info: seL4_Word,
    [mr0, mr1]: MessageRegisters,
) -> Answer {
    let mut answer = Answer { badge: 0, info: 0, words: [0; 2] };
    // SAFETY: as in `send_recv`.
    unsafe {
        asm!(
            "push ebp",
            "push ebx",
            "push esi",
            "mov ebp, eax",
            "mov ebx, edx",
            "mov esi, ecx",
            "mov eax, {sys}",
            "mov ecx, esp",
            "lea edx, [2f]",
            "2:",
            "sysenter",
            "mov edx, ebp",
            "mov eax, esi",
            "pop esi",
            "pop ebx",
            "pop ebp",
            sys = const SysCall,
            inout("eax") mr1 => answer.info,
            inout("edx") dest => answer.words[1],
            inout("ecx") info => _,
            inout("edi") mr0 => answer.words[0],
        );
    }
    answer
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
    [mr0, mr1]: MessageRegisters,
) {
    // SAFETY: as in `send_recv`.
    unsafe {
        asm!(
            "push ebp",
            "push ebx",
            "push esi",
            "mov ebp, eax",
            "mov ebx, edx",
            "mov esi, ecx",
            "mov eax, {sys}",
            "mov ecx, esp",
            "lea edx, [2f]",
            "2:",
            "sysenter",
            "pop esi",
            "pop ebx",
            "pop ebp",
            sys = const SYS,
            inout("eax") mr1 => _,
            inout("edx") dest => _,
            inout("ecx") info => _,
            inout("edi") mr0 => _,
        );
    }
}

/// Waits for a message (`SysRecv`, `SysNBRecv`). The message info is 0 where a signal of a bound
/// notification came in its place: the kernel leaves it as it is then.
///
/// # Safety
/// As for [`send_recv`].
#[inline(always)]
pub(crate) unsafe fn recv<const SYS: i32>(src: seL4_CPtr) -> Answer {
    let mut answer = Answer { badge: 0, info: 0, words: [0; 2] };
    // SAFETY: as in `send_recv`.
    unsafe {
        asm!(
            "push ebp",
            "push ebx",
            "push esi",
            "mov ebx, edx",
            "xor esi, esi",
            "mov eax, {sys}",
            "mov ecx, esp",
            "lea edx, [2f]",
            "2:",
            "sysenter",
            "mov eax, ebp",
            "mov edx, ebx",
            "mov ecx, esi",
            "pop esi",
            "pop ebx",
            "pop ebp",
            sys = const SYS,
            out("eax") answer.words[1],
            inout("edx") src => answer.badge,
            out("ecx") answer.info,
            out("edi") answer.words[0],
        );
    }
    answer
}
