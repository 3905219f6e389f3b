// SPDX-License-Identifier: BSD-2-Clause
//! Where the parts of a block of thread-local storage lie.
//!
//! ```text
//!   variant I   thread pointer ─► the ABI's words, what is missing for alignment, variables
//!   variant II  variables, what is missing for alignment ◄─ thread pointer ─► its own address
//! ```

use crate::types::architecture::TlsVariant;
use crate::types::thread::TlsImage;

/// The parts of a block of thread-local storage, in bytes from the start of its region, which is a
/// page's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TlsLayout {
    /// The first variable.
    pub data: usize,
    /// The thread pointer.
    pub pointer: usize,
    /// Pages of all of it, the ABI's words included.
    pub pages: usize,
}

impl TlsLayout {
    /// With words and pages of so many bytes; `None` for an image that cannot be.
    pub fn new(
        variant: TlsVariant,
        word: usize,
        page: usize,
        image: &TlsImage<'_>,
    ) -> Option<TlsLayout> {
        let &TlsImage { init, memory_bytes, align, address } = image;
        let possible = align.is_power_of_two() && align <= page && init.len() <= memory_bytes;
        if !possible {
            return None;
        }
        // The thread pointer is aligned, and the first variable has its address in the program
        // modulo the alignment.
        let (data, pointer, end) = match variant {
            TlsVariant::Below => {
                let missing = address.wrapping_add(memory_bytes).wrapping_neg() & (align - 1);
                let below = memory_bytes.checked_add(missing)?;
                let pointer = below.checked_next_multiple_of(align.max(word))?;
                (pointer - below, pointer, pointer.checked_add(word)?)
            }
            TlsVariant::Above { words } => {
                let reserved = usize::from(words) * word;
                let missing = address.wrapping_sub(reserved) & (align - 1);
                let data = reserved + missing;
                (data, 0, data.checked_add(memory_bytes)?)
            }
        };
        // A block of no bytes would be no region.
        Some(TlsLayout { data, pointer, pages: end.max(1).div_ceil(page) })
    }
}
