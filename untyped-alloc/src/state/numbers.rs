// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that are given out again: for what has few bits, as a badge or a word of a message.
//!
//! ```text
//!     1  2  3  4  5  6  7         most = 7
//!        ▲     ▲        ▲         in use: 2, 4, 7
//!           last ─► 5  6  (7)     the next ones, then 1, 3
//! ```
//!
//! They go round, past those in use, so none comes again before all others that are free have
//! come. A number of itself does not say whom it meant: whoever holds one for long compares a
//! serial number of 64 bits too, which no two things have ever had, or is made to forget it before
//! it is given out again, as the kernel forgets a badge.

/// Numbers from 1 to the greatest of their width; by default there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    last: u32,
    most: u32,
}

impl Numbers {
    /// Numbers up to `most`, this included.
    pub const fn up_to(most: u32) -> Numbers {
        Numbers { last: 0, most }
    }

    /// The number that comes next: the first free one behind the last that was given out. `None`
    /// when all are in use. As many look-ups as numbers in a row are in use, and one.
    pub fn next(&self, in_use: impl Fn(u32) -> bool) -> Option<u32> {
        let behind = (self.last..self.most).map(|number| number + 1);
        behind.chain(1..=self.last).find(|&number| !in_use(number))
    }

    /// Records that a number was given out.
    pub fn note(&mut self, number: u32) {
        self.last = number;
    }

    /// What numbers are sorted by to come in the order in which they were given out, as far as each
    /// was since the last round began.
    pub fn age_key(&self, number: u32) -> (bool, u32) {
        (number <= self.last, number)
    }
}
