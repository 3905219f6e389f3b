// SPDX-License-Identifier: BSD-2-Clause
//! `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp`: functions that compiled code calls and that no
//! C library brings here. Also `rust_eh_personality` and `_Unwind_Resume`, which the prebuilt
//! `core` names and a program that aborts on panic never calls. Root tasks and client programs link
//! them:
//! `use sel4_mem as _;`.
//!
//! They are in assembly, since a loop in Rust may be compiled into a call of the very function it
//! is in, and since link-time optimization leaves assembly alone. The direction flag is clear.
#![no_std]

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86_64")]
mod x86_64;
