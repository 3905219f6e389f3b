// SPDX-License-Identifier: BSD-2-Clause
//! What a thread of today's kernels has on one architecture alone.

#[cfg(target_arch = "arm")]
mod aarch32;
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "arm")]
pub use aarch32::*;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub use riscv::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "x86")]
compile_error!(
    "the feature kernel-16 of vmm-client is not for IA32, which rust-sel4 does not have: build for \
     another architecture, or without the feature"
);

/// Defines a function that reads a register.
macro_rules! reads {
    ($(#[$attribute:meta])* $name:ident, $instruction:literal) => {
        $(#[$attribute])*
        #[inline(always)]
        pub fn $name() -> usize {
            let word: usize;
            // SAFETY: reads a register.
            unsafe {
                core::arch::asm!(
                    $instruction,
                    out(reg) word,
                    options(nomem, nostack, preserves_flags),
                );
            }
            word
        }
    };
}
use reads;
