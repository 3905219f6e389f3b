// SPDX-License-Identifier: BSD-2-Clause
//! A promotion that is under way: which small pages are to become a large one, and which of them
//! are copied to it already. And what is remembered of large pages that are given up again.
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

/// What is remembered of promotions between two calls, and of large pages that are given up.
#[derive(Default)]
pub(crate) struct Promotions<'p> {
    pub under_way: Option<Promotion<'p>>,
    pub hand: Hand,
    /// Whether large pages came that can be given up.
    pub may_reclaim: bool,
    /// Whether some are to be, for a request that was refused.
    pub reclaim_due: bool,
    /// Where the next one is looked for.
    pub reclaim_hand: Hand,
    /// Whether that search began with the first space, and has found none yet.
    pub once_round: bool,
    /// What memory there was when all were looked at in vain: bytes that are no frames in use, and
    /// bytes in free untypeds. While it is the same, the search is not repeated.
    pub in_vain: Option<(usize, usize)>,
    /// Pages that were given back so far.
    pub reclaimed_pages: u64,
}

/// What looking for a large page that can be given up came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reclaimed {
    /// One was given up.
    Gained,
    /// That one was not; there are others.
    Further,
    /// There is none that is worth it.
    Nothing,
}

/// Some of the small pages in the place of a large one, by number.
#[derive(Clone, Copy, Default)]
pub(crate) struct PageSet {
    /// Bit n % 32 of word n / 32: page number n is one of them.
    words: [u32; MAX_PAGES / PER_WORD],
}

impl PageSet {
    /// Whether that many pages can be told apart.
    pub fn has_room(pages: usize) -> bool {
        pages <= MAX_PAGES
    }

    pub fn has(&self, page: usize) -> bool {
        self.words[page / PER_WORD] >> (page % PER_WORD) & 1 == 1
    }

    pub fn insert(&mut self, page: usize) {
        self.words[page / PER_WORD] |= 1 << (page % PER_WORD);
    }

    pub fn remove(&mut self, page: usize) {
        self.words[page / PER_WORD] &= !(1 << (page % PER_WORD));
    }

    /// The pages in it, as runs of consecutive numbers.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (set, mut next) = (*self, 0);
        core::iter::from_fn(move || {
            let start = (next..MAX_PAGES).find(|&page| set.has(page))?;
            let end = (start..MAX_PAGES).find(|&page| !set.has(page)).unwrap_or(MAX_PAGES);
            next = end;
            Some(start..end)
        })
    }
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
    /// Those that are copied, and mapped nowhere since.
    copied: PageSet,
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
        let copied = PageSet::default();
        PageSet::has_room(pages).then_some(Promotion {
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
        self.copied.has(page)
    }

    /// The next page that is not copied; from the first on again after the last.
    pub fn next_left(&self) -> Option<usize> {
        let mut pages = (self.next..self.pages).chain(0..self.next);
        pages.find(|&page| !self.is_copied(page))
    }

    /// A page is copied, and mapped nowhere.
    pub fn note_copied(&mut self, page: usize) {
        self.copied.insert(page);
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
            self.copied.remove(page);
        }
    }
}
