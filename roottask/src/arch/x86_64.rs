// SPDX-License-Identifier: BSD-2-Clause
//! x86_64.

pub(super) use core::arch::x86_64::_rdtsc;

use sel4::{UserContext, Word};

/// The logarithm of a large page's bytes.
pub const LARGE_BITS: u8 = 21;

/// The name of a register in assembly.
#[macro_export]
macro_rules! di {
    () => {
        "rdi"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! si {
    () => {
        "rsi"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! cx {
    () => {
        "rcx"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! ax {
    () => {
        "rax"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! dx {
    () => {
        "rdx"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! sp {
    () => {
        "rsp"
    };
}

/// The bytes of a word, in assembly.
#[macro_export]
macro_rules! word {
    () => {
        "8"
    };
}

/// The register `di!`.
pub fn di_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().rdi
}

/// The register `si!`.
pub fn si_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().rsi
}

/// The register `cx!`.
pub fn cx_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().rcx
}

/// Reads what lies below a thread pointer that nobody has set: a fault.
pub fn read_below_no_thread_pointer() -> usize {
    let word: usize;
    // SAFETY: reads; the thread ends there.
    unsafe {
        core::arch::asm!(
            "mov {0}, -4",
            "mov {0:e}, dword ptr fs:[{0}]",
            out(reg) word,
        );
    }
    word
}
