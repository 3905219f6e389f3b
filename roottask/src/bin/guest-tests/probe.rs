// SPDX-License-Identifier: BSD-2-Clause
//! Accesses to memory at known instructions, so that a fault's address can be told.

use sel4::Word;

pub use crate::arch::{probe_load, probe_store, probe_syscall, probe_undefined};

/// Words of a page.
pub const PAGE_WORDS: usize = 4096 / size_of::<Word>();

/// What [`store`] writes.
pub const STORED: Word = 0x5707ed;

/// Loads the word at `address`: a child's body.
pub fn load(address: usize) -> Word {
    // SAFETY: a child may fault; where it does not, the test has mapped memory there.
    unsafe { probe_load(address) }
}

/// Stores [`STORED`] at `address`: a child's body.
pub fn store(address: usize) -> Word {
    // SAFETY: as in `load`, and the test gives the child the address of memory of its own.
    unsafe { probe_store(address, STORED) }
}

/// The word at `address`, in mapped memory that nobody else writes to.
pub fn word(address: usize) -> Word {
    // SAFETY: tests give it addresses they have mapped.
    unsafe { (address as *const Word).read_volatile() }
}

/// Writes the word at `address`, in mapped memory of the test's own.
pub fn set_word(address: usize, value: Word) {
    // SAFETY: as in `word`.
    unsafe { (address as *mut Word).write_volatile(value) }
}

/// The words of `pages` pages from `address` on, mapped and nobody else's.
pub fn words(address: usize, pages: usize) -> &'static mut [Word] {
    // SAFETY: tests give it pages they have mapped, and drop the slice before they unmap them.
    unsafe { core::slice::from_raw_parts_mut(address as *mut Word, pages * PAGE_WORDS) }
}
