// SPDX-License-Identifier: BSD-2-Clause
//! The guard of a CNode capability, as an argument.

use crate::sys::bitfields::{
    seL4_CapData_Guard_GuardBits as GUARD, seL4_CapData_Guard_GuardSize as GUARD_SIZE,
    seL4_CapData_Guard_zero as IS_GUARD,
};
use crate::{Word, WORD_SIZE};

/// A guard for a CNode capability, for `mint`, `mutate` and the CSpace root of a thread.
///
/// ```text
///   31     30      26 25        8 7          3 2    0     (guard size: 2 to 7 on x86_64)
///  ┌──────┬──────────┬───────────┬────────────┬──────┐
///  │ type │    0     │   guard   │ guard size │  0   │
///  └──────┴──────────┴───────────┴────────────┴──────┘
/// ```
/// The kernel takes the word 0 for "leave the guard as it is", and so does `new(0, 0)`, as
/// upstream. A guard of no bits is [`empty_guard`](Self::empty_guard).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CNodeCapData(Word);

impl CNodeCapData {
    /// A guard of `guard_size` bits (less than a word has) with the value `guard` (up to 18 bits).
    /// Both 0: the guard is left as it is.
    pub const fn new(guard: Word, guard_size: usize) -> Self {
        if guard == 0 && guard_size == 0 {
            return Self(0);
        }
        Self(IS_GUARD | GUARD.put(guard) | GUARD_SIZE.put(guard_size as Word))
    }

    /// A guard of no bits. Beyond upstream, whose kernels cannot say it either way.
    pub const fn empty_guard() -> Self {
        Self(IS_GUARD)
    }

    /// A guard of `num_bits` zero bits.
    pub const fn skip(num_bits: usize) -> Self {
        Self::new(0, num_bits)
    }

    /// The guard that lets a CNode of 2^`cnode_size_bits` slots be the root of a CSpace whose
    /// pointers are slot numbers: zeros for all higher bits of a word.
    pub const fn skip_high_bits(cnode_size_bits: usize) -> Self {
        Self::skip(WORD_SIZE - cnode_size_bits)
    }

    /// The kernel's word.
    pub const fn into_word(self) -> Word {
        self.0
    }
}
