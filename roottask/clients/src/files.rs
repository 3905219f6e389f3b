// SPDX-License-Identifier: BSD-2-Clause
//! What a file server, its readers and who starts them agree on.

use sel4::Word;
use vmm_client::objects::PAGE_BYTES;

/// The words of a page.
pub const WORDS: usize = PAGE_BYTES / 4;
/// The file's pages, of which the last cannot be had.
pub const FILE_PAGES: u32 = 257;
/// The page that cannot be had.
pub const BAD_PAGE: u32 = FILE_PAGES - 1;
/// The most pages of the file that are there at a time.
pub const CACHE_PAGES: u32 = 8;
/// How many pages a reader writes.
pub const MARKED_PAGES: u32 = 8;
/// How many pages an editor maps for itself, and changes every third of.
pub const EDITED_PAGES: u32 = 48;

/// The label of a message that asks for the file.
pub const OPEN: Word = 1;
/// The label of a message that ends the server. It is answered with how many pages were supplied,
/// the most that were there at a time, and how many were written.
pub const STOP: Word = 2;

/// What the file has at a place of a page.
pub fn word(page: u32, at: usize) -> u32 {
    (page << 16 | at as u32).wrapping_mul(0x9e37_79b1)
}

/// What a reader writes there.
pub fn marked(page: u32, at: usize) -> u32 {
    !word(page, at)
}

/// What an editor writes there, which nobody else sees.
pub fn edited(page: u32, at: usize) -> u32 {
    word(page, at) ^ 0x5a5a_5a5a
}
