// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

use core::arch::global_asm;

use crate::{start, Stack, STACK};

global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "    lea esp, [{stack} + {bytes}]",
    "    xor ebp, ebp",
    "    call {start}",
    "    ud2",
    ".size _start, . - _start",
    stack = sym STACK,
    bytes = const size_of::<Stack>(),
    start = sym start,
);
