// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: instructions, registers, sizes.
//!
//! ```text
//!   probes       accesses to memory, and system calls, at known instructions
//!   keep_in_register, own_buffer_word, first_tls_word, thread_locals, set_first
//!                instructions whose effects tests look at
//!   IN_REGISTERS system calls that take their messages in registers alone
//!   number_registers, numbers, result, code_that_loads
//!                registers of other threads, by their use
//! ```

use sel4::sys::{seL4_CPtr, seL4_MessageInfo};
use sel4::Word;

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86")]
pub use ia32::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// System calls that take their messages in registers alone, where there are enough of them.
pub struct InRegisters {
    /// A call whose answer comes in the place of its words.
    pub call: fn(seL4_CPtr, seL4_MessageInfo, &mut [Word; 4]) -> seL4_MessageInfo,
    /// Waits for a message; its badge is the second.
    pub receive: fn(seL4_CPtr, &mut [Word; 4]) -> (seL4_MessageInfo, Word),
    /// Answers.
    pub reply: fn(seL4_MessageInfo, [Option<Word>; 4]),
    /// Sends.
    pub send: fn(seL4_CPtr, seL4_MessageInfo, [Option<Word>; 4]),
    /// Sends if somebody waits.
    pub nb_send: fn(seL4_CPtr, seL4_MessageInfo, [Option<Word>; 4]),
}

/// Small pages of a large one.
pub const LARGE_PAGES: usize = 1 << (LARGE_BITS - 12);
