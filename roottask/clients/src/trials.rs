// SPDX-License-Identifier: BSD-2-Clause
//! What the programs of stress runs have in common: what pages hold, what is no mistake of
//! anybody's, and the words that they are started with.

use vmm_client::handles::{Error, Result};
use vmm_client::objects::Refusal;

use crate::exchange::PAGE_WORDS;

/// The exit code of a program to which something happened that can only be for want of memory.
pub const SHORT: u32 = 2;

/// What a word holds: of a page of memory that has this base.
pub const fn word(base: u32, page: u32, at: usize) -> u32 {
    (base ^ page.wrapping_mul(0x9e37_79b9)).wrapping_add((at as u32).wrapping_mul(0x85eb_ca6b))
}

/// The words of pages that are mapped at an address.
#[derive(Clone, Copy)]
pub struct Shown(usize);

impl Shown {
    /// Those at an address.
    ///
    /// # Safety
    /// Whenever this is used, the pages are mapped there or appear when they are touched; where a
    /// word is written, nobody keeps a reference to it.
    pub const unsafe fn at(address: usize) -> Shown {
        Shown(address)
    }

    fn word(self, page: u32, at: usize) -> *mut u32 {
        (self.0 as *mut u32).wrapping_add(page as usize * PAGE_WORDS + at % PAGE_WORDS)
    }

    /// A word of a page.
    pub fn get(self, page: u32, at: usize) -> u32 {
        // SAFETY: by the promise of who made this.
        unsafe { self.word(page, at).read_volatile() }
    }

    /// Sets a word of a page.
    pub fn set(self, page: u32, at: usize, value: u32) {
        // SAFETY: by the promise of who made this.
        unsafe { self.word(page, at).write_volatile(value) }
    }

    /// Writes all of a page.
    pub fn fill(self, base: u32, page: u32) {
        (0..PAGE_WORDS).for_each(|at| self.set(page, at, word(base, page, at)));
    }

    /// The first word of a page that is not as it was written, or not zero where it was not.
    pub fn first_wrong(self, base: Option<u32>, page: u32) -> Option<usize> {
        let right = |at: usize| base.map_or(0, |base| word(base, page, at));
        (0..PAGE_WORDS).find(|&at| self.get(page, at) != right(at))
    }
}

/// What was made, or nothing if something was short.
///
/// # Errors
/// Any other refusal.
pub fn unless_short<T>(made: Result<T>) -> Result<Option<T>> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) if is_short(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a request was refused for want of something.
pub fn is_short(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(
            Refusal::OutOfMemory {}
                | Refusal::OutOfAccount { .. }
                | Refusal::NoRoom {}
                | Refusal::Shared { .. }
                | Refusal::Overcommitted { .. }
        )
    )
}

/// The numbers that a program of a stress run is started with, with blanks between.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(&'a str);

impl<'a> Numbers<'a> {
    /// Those of a program's arguments.
    pub const fn of(arguments: &'a str) -> Numbers<'a> {
        Numbers(arguments)
    }

    /// The number at a place; 0 where there is none.
    pub fn at(self, place: usize) -> u32 {
        self.0.split(' ').nth(place).and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// Text of numbers, as [`Numbers`] reads it.
pub struct Words {
    bytes: [u8; Words::BYTES],
    len: usize,
}

impl Words {
    const BYTES: usize = 96;

    /// That of these numbers; those for which there is no room are left out.
    pub fn of(numbers: &[u32]) -> Words {
        use core::fmt::Write;

        let mut words = Words { bytes: [0; Words::BYTES], len: 0 };
        for number in numbers {
            let before = words.len;
            if write!(words, "{number} ").is_err() {
                words.len = before;
            }
        }
        words
    }

    /// The text.
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl core::fmt::Write for Words {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
