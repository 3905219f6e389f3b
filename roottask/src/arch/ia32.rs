// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

pub(super) use core::arch::x86::_rdtsc;

use sel4::{UserContext, Word};

/// The logarithm of a large page's bytes.
pub const LARGE_BITS: u8 = 22;

/// The name of a register in assembly.
#[macro_export]
macro_rules! di {
    () => {
        "edi"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! si {
    () => {
        "esi"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! cx {
    () => {
        "ecx"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! ax {
    () => {
        "eax"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! dx {
    () => {
        "edx"
    };
}

/// The name of a register in assembly.
#[macro_export]
macro_rules! sp {
    () => {
        "esp"
    };
}

/// The bytes of a word, in assembly.
#[macro_export]
macro_rules! word {
    () => {
        "4"
    };
}

/// The register `di!`.
pub fn di_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().edi
}

/// The register `si!`.
pub fn si_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().esi
}

/// The register `cx!`.
pub fn cx_mut(context: &mut UserContext) -> &mut Word {
    &mut context.inner_mut().ecx
}

/// Reads what lies below a thread pointer that nobody has set: a fault.
pub fn read_below_no_thread_pointer() -> usize {
    let word: usize;
    // SAFETY: reads; the thread ends there.
    unsafe {
        core::arch::asm!(
            "mov gs, {0:x}",
            "mov {0:e}, dword ptr gs:[-4]",
            inout(reg) sel4::sys::TLS_GDT_SELECTOR as usize => word,
        );
    }
    word
}
