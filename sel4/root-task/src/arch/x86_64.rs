// SPDX-License-Identifier: BSD-2-Clause
//! x86_64.

use core::arch::global_asm;

use crate::entry::{__sel4_root_task__stack_top, start, tls_block_size};

// The kernel starts the initial thread with the address of the boot information in rdi
// (capRegister, create_initial_thread in boot.c), the address of its IPC buffer in GS's base, and
// no stack. At a call the stack is aligned to 16 bytes.
global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "    mov rsp, qword ptr [rip + {stack_top}]",
    "    mov rbx, rdi",
    "    xor ebp, ebp",
    "    call {tls_block_size}",
    "    sub rsp, rax",
    "    and rsp, -16",
    "    mov rdi, rbx",
    "    mov rsi, rsp",
    "    call {start}",
    "    ud2",
    ".size _start, . - _start",
    stack_top = sym __sel4_root_task__stack_top,
    tls_block_size = sym tls_block_size,
    start = sym start,
);
