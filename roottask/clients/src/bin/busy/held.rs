// SPDX-License-Identifier: BSD-2-Clause
//! Memory with a pattern.

use vmm_client::Memory;
use vmm_clients::{Words, PAGE_WORDS};

/// Memory with a pattern: the first word of a page is `base` combined with the page's number, the
/// next word its complement.
pub struct Held {
    /// The memory.
    pub memory: Memory,
    /// The number that the pattern is made from.
    pub base: u32,
    /// Whether another client may have it too, or it cannot be written: then this program does not
    /// write to it.
    pub shared: bool,
}

impl Held {
    /// Its words.
    pub fn words(&self) -> Words {
        // SAFETY: the service has mapped them, or maps them when they are touched, until the region
        // is released; then this value is gone.
        unsafe { Words::new(self.memory.first, self.memory.pages) }
    }

    /// Writes the pattern of a page.
    pub fn write(&self, words: Words, page: usize) {
        words.set(page * PAGE_WORDS, self.base ^ page as u32);
        words.set(page * PAGE_WORDS + 1, !(self.base ^ page as u32));
    }

    /// Checks the pattern of every page.
    pub fn check(&self) {
        let words = self.words();
        for page in 0..self.memory.pages as usize {
            let expected = self.base ^ page as u32;
            let found = [words.get(page * PAGE_WORDS), words.get(page * PAGE_WORDS + 1)];
            assert_eq!(found, [expected, !expected]);
        }
    }
}
