// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's structures, as libsel4 declares them for x86_64.
#![allow(missing_docs)]

use crate::sys::seL4_Word;

/// The alignment of an IPC buffer: its size.
#[derive(Clone, Copy)]
#[repr(align(1024))]
pub struct IpcBufferAlignment;

/// A thread's registers, in the order of `TCB_ReadRegisters` and `TCB_WriteRegisters`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_UserContext {
    pub rip: seL4_Word,
    pub rsp: seL4_Word,
    pub rflags: seL4_Word,
    pub rax: seL4_Word,
    pub rbx: seL4_Word,
    pub rcx: seL4_Word,
    pub rdx: seL4_Word,
    pub rsi: seL4_Word,
    pub rdi: seL4_Word,
    pub rbp: seL4_Word,
    pub r8: seL4_Word,
    pub r9: seL4_Word,
    pub r10: seL4_Word,
    pub r11: seL4_Word,
    pub r12: seL4_Word,
    pub r13: seL4_Word,
    pub r14: seL4_Word,
    pub r15: seL4_Word,
    pub tls_base: seL4_Word,
}
