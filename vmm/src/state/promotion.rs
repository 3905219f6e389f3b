// SPDX-License-Identifier: BSD-2-Clause
//! A promotion that is under way: which small pages are to become a large one, and which of them
//! are copied to it already.
//!
//! ```text
//!   the place     │ copied │ touched │ copied │ left ...     mapped: the touched one alone
//!   large frame   │ holds  │ (old)   │ holds  │ (old) ...    in the manager's own space
//! ```

use core::ops::Range;

use untyped_alloc::Frames;

use super::cut_pages::CutPage;
use super::region::Region;
use crate::types::ids::SpaceId;

/// The most small pages that a large page may be made of in pieces: 4 MiB of 4 KiB each.
const MAX_PAGES: usize = 1024;

const PER_WORD: usize = u32::BITS as usize;

/// Where candidates are looked for next: each call of the search goes on where the last one ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hand {
    /// The number of the space.
    pub space: u32,
    /// The address in it, in bytes.
    pub address: usize,
}

/// What is remembered of promotions between two calls.
#[derive(Default)]
pub(crate) struct Promotions<'p> {
    pub under_way: Option<Promotion<'p>>,
    pub hand: Hand,
}

/// One that is under way.
pub(crate) struct Promotion<'p> {
    pub space: SpaceId,
    /// The place, and the region that it is in.
    pub page: CutPage,
    /// The large frame.
    pub frames: Frames,
    /// The region of the manager's own space in which that is mapped.
    pub view: &'p Region<'p>,
    /// Pages that were copied so far, those that were copied again too.
    pub copies: usize,
    pages: usize,
    page_bits: u8,
    /// Bit n % 32 of word n / 32: page number n is copied, and mapped nowhere since.
    copied: [u32; MAX_PAGES / PER_WORD],
    /// The page that is looked at next.
    next: usize,
}

impl<'p> Promotion<'p> {
    /// One of which no page is copied; `None` where a page has too many small ones.
    pub fn new(
        space: SpaceId,
        page: CutPage,
        frames: Frames,
        view: &'p Region<'p>,
        page_bits: u8,
    ) -> Option<Promotion<'p>> {
        let pages = 1 << (page.size_bits - page_bits);
        let copied = [0; MAX_PAGES / PER_WORD];
        let fits = pages <= MAX_PAGES;
        fits.then_some(Promotion {
            space,
            page,
            frames,
            view,
            copies: 0,
            pages,
            page_bits,
            copied,
            next: 0,
        })
    }

    /// Its small pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Whether a page, by its number, is copied.
    pub fn is_copied(&self, page: usize) -> bool {
        self.copied[page / PER_WORD] >> (page % PER_WORD) & 1 == 1
    }

    /// The next page that is not copied; from the first on again after the last.
    pub fn next_left(&self) -> Option<usize> {
        let mut pages = (self.next..self.pages).chain(0..self.next);
        pages.find(|&page| !self.is_copied(page))
    }

    /// A page is copied, and mapped nowhere.
    pub fn note_copied(&mut self, page: usize) {
        self.copied[page / PER_WORD] |= 1 << (page % PER_WORD);
        self.next = page + 1;
        self.copies += 1;
    }

    /// What lies at these addresses (bytes) may change from now on: what was copied of it is old.
    pub fn clear_copied(&mut self, bytes: Range<usize>) {
        let start = self.page.start.bits();
        let number = |address: usize| {
            let distance = address.saturating_sub(start).min(self.pages << self.page_bits);
            distance >> self.page_bits
        };
        let last = bytes.end.saturating_sub(1).max(bytes.start);
        if last < start || bytes.start >= self.page.end() {
            return;
        }
        for page in number(bytes.start)..=number(last).min(self.pages - 1) {
            self.copied[page / PER_WORD] &= !(1 << (page % PER_WORD));
        }
    }
}
