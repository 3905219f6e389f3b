// SPDX-License-Identifier: BSD-2-Clause
//! How a mapping is cached.

use core::ops::{BitAnd, BitOr, Not};

use crate::{sys, Word};

/// Attributes of a mapping (`seL4_X86_VMAttributes`): its caching. x86 in 32-bit mode has no
/// attribute against execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VmAttributes(Word);

impl VmAttributes {
    /// No attribute: ordinary cached memory.
    pub const NONE: Self = Self(0);
    /// Ordinary cached memory (write back).
    pub const DEFAULT: Self = Self(sys::seL4_X86_Default_VMAttributes);
    /// Writes go through to memory at once. Beyond upstream.
    pub const WRITE_THROUGH: Self = Self(sys::seL4_X86_WriteThrough);
    /// No caching, for device registers.
    pub const CACHE_DISABLED: Self = Self(sys::seL4_X86_CacheDisabled);
    /// No caching, whatever the processor's range registers say. Beyond upstream.
    pub const UNCACHEABLE: Self = Self(sys::seL4_X86_Uncacheable);
    /// Writes are gathered, for frame buffers. Beyond upstream.
    pub const WRITE_COMBINING: Self = Self(sys::seL4_X86_WriteCombining);

    /// From the kernel's word.
    pub const fn from_inner(word: Word) -> Self {
        Self(word)
    }

    /// The kernel's word.
    pub const fn into_inner(self) -> Word {
        self.0
    }

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Default for VmAttributes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BitOr for VmAttributes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for VmAttributes {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for VmAttributes {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}
