//! The guard of a CNode capability, as an argument.

use crate::{sys, Word, WORD_SIZE};

/// A guard for a CNode capability, for `mint`, `mutate` and the CSpace root of a thread.
///
/// ```text
///   31     30      26 25        8 7          3 2    0
///  ┌──────┬──────────┬───────────┬────────────┬──────┐
///  │ type │    0     │   guard   │ guard size │  0   │
///  └──────┴──────────┴───────────┴────────────┴──────┘
/// ```
/// The kernel takes the word 0 for "leave the guard as it is", and so does `new(0, 0)`, as
/// upstream. A guard of no bits is [`empty_guard`](Self::empty_guard).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CNodeCapData(Word);

const GUARD_SIZE_SHIFT: u32 = 3;
const GUARD_SHIFT: u32 = GUARD_SIZE_SHIFT + sys::seL4_GuardSizeBits;
const TYPE_SHIFT: u32 = 31;

impl CNodeCapData {
    /// A guard of `guard_size` bits (up to 31) with the value `guard` (up to 18 bits). Both 0: the
    /// guard is left as it is.
    pub const fn new(guard: Word, guard_size: usize) -> Self {
        if guard == 0 && guard_size == 0 {
            return Self(0);
        }
        let guard = guard & ((1 << sys::seL4_GuardBits) - 1);
        let size = guard_size as Word & ((1 << sys::seL4_GuardSizeBits) - 1);
        Self(
            sys::seL4_CapData_Guard << TYPE_SHIFT | guard << GUARD_SHIFT | size << GUARD_SIZE_SHIFT,
        )
    }

    /// A guard of no bits. Beyond upstream, whose kernels cannot say it either way.
    pub const fn empty_guard() -> Self {
        Self(sys::seL4_CapData_Guard << TYPE_SHIFT)
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
