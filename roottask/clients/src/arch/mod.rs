// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures.

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86")]
pub use ia32::{load, load_instruction, set_loaded, undefined_instruction};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{load, load_instruction, set_loaded, undefined_instruction};

#[cfg(target_arch = "x86")]
use core::arch::x86::_rdtsc;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::_rdtsc;

/// The processor's counter of time.
pub fn now() -> u64 {
    // SAFETY: the kernel lets user code read the counter; reading it changes nothing.
    unsafe { _rdtsc() }
}
