// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's structures, as libsel4 declares them for IA32.
#![allow(missing_docs)]

use crate::sys::seL4_Word;

/// The alignment of an IPC buffer: its size.
#[derive(Clone, Copy)]
#[repr(align(512))]
pub struct IpcBufferAlignment;

/// A thread's registers, in the order of `TCB_ReadRegisters` and `TCB_WriteRegisters`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_UserContext {
    pub eip: seL4_Word,
    pub esp: seL4_Word,
    pub eflags: seL4_Word,
    pub eax: seL4_Word,
    pub ebx: seL4_Word,
    pub ecx: seL4_Word,
    pub edx: seL4_Word,
    pub esi: seL4_Word,
    pub edi: seL4_Word,
    pub ebp: seL4_Word,
    pub tls_base: seL4_Word,
    pub fs: seL4_Word,
    pub gs: seL4_Word,
}
