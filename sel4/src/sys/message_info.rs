// SPDX-License-Identifier: BSD-2-Clause
//! The word that describes a message, by libsel4's names.

use super::bitfields::{
    seL4_MessageInfo_capsUnwrapped, seL4_MessageInfo_extraCaps, seL4_MessageInfo_label,
    seL4_MessageInfo_length,
};
use super::seL4_Word;

/// What a message is: label, number of words, number of capabilities.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_MessageInfo {
    /// The word that goes to the kernel.
    pub words: [seL4_Word; 1],
}

impl seL4_MessageInfo {
    /// From its parts. What does not fit its field is cut off.
    #[inline(always)]
    pub const fn new(
        label: seL4_Word,
        capsUnwrapped: seL4_Word,
        extraCaps: seL4_Word,
        length: seL4_Word,
    ) -> Self {
        let word = seL4_MessageInfo_label.put(label)
            | seL4_MessageInfo_capsUnwrapped.put(capsUnwrapped)
            | seL4_MessageInfo_extraCaps.put(extraCaps)
            | seL4_MessageInfo_length.put(length);
        Self { words: [word] }
    }

    /// The label.
    #[inline(always)]
    pub const fn get_label(&self) -> seL4_Word {
        seL4_MessageInfo_label.get(self.words[0])
    }

    /// The mask of capabilities that were unwrapped to badges.
    #[inline(always)]
    pub const fn get_capsUnwrapped(&self) -> seL4_Word {
        seL4_MessageInfo_capsUnwrapped.get(self.words[0])
    }

    /// The number of capabilities.
    #[inline(always)]
    pub const fn get_extraCaps(&self) -> seL4_Word {
        seL4_MessageInfo_extraCaps.get(self.words[0])
    }

    /// The number of words.
    #[inline(always)]
    pub const fn get_length(&self) -> seL4_Word {
        seL4_MessageInfo_length.get(self.words[0])
    }
}
