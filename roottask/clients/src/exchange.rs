// SPDX-License-Identifier: BSD-2-Clause
//! The capabilities of giver and taker, and the words that programs write for each other.

use sel4::cap::Notification;
use sel4::Word;
use vmm_client::protocol::{FIRST_FREE_SLOT, PAGE_BYTES};

/// Words of a page.
pub const PAGE_WORDS: usize = PAGE_BYTES / size_of::<u32>();
/// Pages that giver and taker share.
pub const PAGES: u32 = 4;
/// Words of these pages.
pub const WORDS: usize = PAGES as usize * PAGE_WORDS;
/// Pages of the memory that the pager supplies the reader with.
pub const READ_PAGES: u32 = 8;
/// The page of this memory that the pager refuses.
pub const REFUSED_PAGE: u32 = 7;
/// Pages that the giver moves from its quota to that of its child.
pub const GIFT: u32 = 8;

/// The notification that wakes the other side.
pub const fn outgoing() -> Notification {
    Notification::from_bits(FIRST_FREE_SLOT as Word)
}

/// The notification by which the other side wakes this one.
pub const fn incoming() -> Notification {
    Notification::from_bits(FIRST_FREE_SLOT as Word + 1)
}

/// The value that the giver writes into word `index`.
pub const fn question(index: usize) -> u32 {
    0x9e37_79b9u32.wrapping_mul(index as u32 + 1)
}

/// The value that the taker replaces it with.
pub const fn answer(question: u32) -> u32 {
    question.rotate_left(7) ^ 0x5ea1_4000
}

/// The value that the pager writes into page `page`.
pub const fn written(page: u32) -> u32 {
    0x9a6e_0000 | page
}

/// Words of memory that this program has mapped.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    start: *mut u32,
    count: usize,
}

impl Words {
    /// The words of `pages` pages from `start` on.
    ///
    /// # Safety
    /// They must be mapped, and writable if they are written, as long as the value is used.
    pub unsafe fn new(start: usize, pages: u32) -> Words {
        Words { start: start as *mut u32, count: pages as usize * PAGE_WORDS }
    }

    /// Reads a word.
    ///
    /// # Panics
    /// When there are not that many words.
    pub fn get(self, index: usize) -> u32 {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: mapped, by the promise of `new`; another program may write it, so volatile.
        unsafe { self.start.add(index).read_volatile() }
    }

    /// Writes a word.
    ///
    /// # Panics
    /// When there are not that many words.
    pub fn set(self, index: usize, value: u32) {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: as in `get`.
        unsafe { self.start.add(index).write_volatile(value) }
    }
}
