//! The capabilities of giver and taker, and what programs write for each other.

use sel4::cap::Notification;
use vmm_client::protocol::FIRST_FREE_SLOT;

/// Pages that giver and taker share.
pub const PAGES: u32 = 4;
/// Words of those.
pub const WORDS: usize = PAGES as usize * 1024;
/// Pages of the memory that the pager supplies the reader with.
pub const READ_PAGES: u32 = 8;
/// The one of them that it refuses.
pub const REFUSED_PAGE: u32 = 7;
/// How much quota the giver gives its child: pages.
pub const GIFT: u32 = 8;

/// The notification that tells the other side.
pub const fn tell() -> Notification {
    Notification::from_bits(FIRST_FREE_SLOT)
}

/// The notification that the other side tells by.
pub const fn told() -> Notification {
    Notification::from_bits(FIRST_FREE_SLOT + 1)
}

/// What the giver writes into word `index`.
pub const fn question(index: usize) -> u32 {
    0x9e37_79b9u32.wrapping_mul(index as u32 + 1)
}

/// What the taker makes of it.
pub const fn answer(question: u32) -> u32 {
    question.rotate_left(7) ^ 0x5ea1_4000
}

/// What the pager writes into page `page`.
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
    /// They must be mapped, writable if they are written, as long as this is used.
    pub unsafe fn new(start: usize, pages: u32) -> Words {
        Words { start: start as *mut u32, count: pages as usize * 1024 }
    }

    /// Reads a word.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn get(self, index: usize) -> u32 {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: mapped, by the promise of `new`; another program may write it, so volatile.
        unsafe { self.start.add(index).read_volatile() }
    }

    /// Writes a word.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn set(self, index: usize, value: u32) {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: as in `get`.
        unsafe { self.start.add(index).write_volatile(value) }
    }
}
