// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures, for programs with threads of a few instructions.
//!
//! The macros are the names of registers in assembly, for words: `di!`, `si!`, `cx!`, `ax!`, `dx!`,
//! `sp!`; and `word!`, the bytes of a word.

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86")]
pub use ia32::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

use sel4::{UserContext, Word};

/// Ticks of the processor's counter since the machine started; under `-icount shift=0` instructions
/// executed.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: the kernel lets user code read the counter (it leaves CR4.TSD clear); reading it
    // changes nothing.
    unsafe { _rdtsc() }
}

/// The value of the register `di!`.
pub fn di(context: &UserContext) -> Word {
    *di_mut(&mut context.clone())
}

/// The value of the register `si!`.
pub fn si(context: &UserContext) -> Word {
    *si_mut(&mut context.clone())
}
