// SPDX-License-Identifier: BSD-2-Clause
//! Fields of words.

use super::seL4_Word;

/// Where a field lies in a word.
#[derive(Clone, Copy)]
pub struct BitField {
    pub(super) shift: u32,
    pub(super) bits: u32,
}

impl BitField {
    /// How many bits it has.
    pub(crate) const fn bits(self) -> usize {
        self.bits as usize
    }

    const fn mask(self) -> seL4_Word {
        (1 << self.bits) - 1
    }

    /// The word with `value` in this field, and nothing else. What does not fit is cut off.
    #[inline(always)]
    pub(crate) const fn put(self, value: seL4_Word) -> seL4_Word {
        (value & self.mask()) << self.shift
    }

    /// The value of this field.
    #[inline(always)]
    pub(crate) const fn get(self, word: seL4_Word) -> seL4_Word {
        word >> self.shift & self.mask()
    }
}
