// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

use core::arch::global_asm;

use sel4::sys::{IPCBUF_GDT_SELECTOR, TLS_GDT_SELECTOR};

use crate::entry::{__sel4_root_task__stack_top, start, tls_block_size};

// The kernel starts the initial thread with the address of the boot information in ebx
// (capRegister, create_initial_thread in boot.c), null in FS and GS, and no stack.
global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "    mov esp, dword ptr [{stack_top}]",
    "    mov eax, {ipc_buffer_selector}",
    "    mov fs, ax",
    "    mov eax, {tls_selector}",
    "    mov gs, ax",
    "    xor ebp, ebp",
    "    call {tls_block_size}",
    "    sub esp, eax",
    "    and esp, -16",
    "    mov eax, esp",
    "    sub esp, 8",
    "    push eax",
    "    push ebx",
    "    call {start}",
    "    ud2",
    ".size _start, . - _start",
    stack_top = sym __sel4_root_task__stack_top,
    ipc_buffer_selector = const IPCBUF_GDT_SELECTOR,
    tls_selector = const TLS_GDT_SELECTOR,
    tls_block_size = sym tls_block_size,
    start = sym start,
);
