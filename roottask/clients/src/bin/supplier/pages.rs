// SPDX-License-Identifier: BSD-2-Clause
//! What pages hold: each word as it was at first, or as the reader of its stripe has written it.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use vmm_clients::trials::{word, Shown};
use vmm_clients::PAGE_WORDS;

/// What one is, by the first of its numbers: 0 is the one that starts the others.
pub const PAGER: u32 = 1;
pub const READER: u32 = 2;
/// The exit code of one whose memory was taken away.
pub const GONE: u32 = 3;
/// Pages of the paged memory, and of the store.
pub const PAGES: u32 = 20;
/// The most of them that are there at a time.
pub const MAX_THERE: u32 = 7;
/// Readers at a time: each writes its own words of each page.
pub const READERS: usize = 3;
/// Stripes: one that nobody writes, too.
const STRIPES: usize = READERS + 1;
/// The bits of a word that say how often it was written.
const TIMES: u32 = 0xff;

/// What pagers have done, and readers: in a page that all of them have.
#[derive(Default)]
pub struct Figures {
    pub supplied: AtomicU32,
    pub taken: AtomicU32,
    pub written: AtomicU32,
    pub refused: AtomicU32,
}

impl Figures {
    pub fn add(figure: &AtomicU32, more: u32) {
        figure.fetch_add(more, Relaxed);
    }
}

/// What a reader writes into a word for the nth time.
pub const fn mark(base: u32, page: u32, at: usize, times: u32) -> u32 {
    (word(!base, page, at) & !TIMES) | (times & TIMES)
}

/// The words of a stripe.
pub fn stripe(place: usize) -> impl Iterator<Item = usize> {
    (place..PAGE_WORDS).step_by(STRIPES)
}

/// The first word of a page that nobody can have written; words of the stripe `own` are as they
/// were written for the `times`th time.
pub fn first_wrong(
    (shown, base): (Shown, u32),
    page: u32,
    own: usize,
    times: Option<u32>,
) -> Option<usize> {
    (0..PAGE_WORDS).find(|&at| {
        let found = shown.get(page, at);
        let at_first = found == word(base, page, at);
        let marked = found & !TIMES == mark(base, page, at, 0) & !TIMES;
        let right = match (at % STRIPES, times) {
            (place, Some(times)) if place == own => found == mark(base, page, at, times),
            (place, _) => at_first || (marked && place < READERS),
        };
        !right
    })
}
