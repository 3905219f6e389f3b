// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: instructions, registers, sizes.
//!
//! ```text
//!   probes       accesses to memory, and system calls, at known instructions
//!   keep_in_register, own_buffer_word, first_tls_word, thread_locals, set_first
//!                instructions whose effects tests look at
//!   number_registers, numbers, result, code_that_loads
//!                registers of other threads, by their use
//! ```

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86")]
pub use ia32::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// Small pages of a large one.
pub const LARGE_PAGES: usize = 1 << (LARGE_BITS - 12);
