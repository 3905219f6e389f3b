// SPDX-License-Identifier: BSD-2-Clause
//! What the adapter has for one architecture, whatever the kernel: which description is the
//! program's, how a page fault's words are read, how a symbol's address is had.

#[cfg(target_arch = "arm")]
mod aarch32;
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;
#[cfg(target_arch = "riscv32")]
mod riscv32;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "arm")]
pub(super) use aarch32::{page_fault, symbol_address, ARCHITECTURE};
#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{page_fault, symbol_address, ARCHITECTURE};
#[cfg(target_arch = "x86")]
pub(super) use ia32::ARCHITECTURE;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub(super) use riscv::page_fault;
#[cfg(target_arch = "riscv32")]
pub(super) use riscv32::{symbol_address, ARCHITECTURE};
#[cfg(target_arch = "riscv64")]
pub(super) use riscv64::{symbol_address, ARCHITECTURE};
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) use x86::{page_fault, symbol_address};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::ARCHITECTURE;
