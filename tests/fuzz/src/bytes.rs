// SPDX-License-Identifier: BSD-2-Clause
//! An input as a source of decisions.
//!
//! Every byte decides one small thing, so that a mutation of the input changes one decision and
//! leaves the others as they were. Past the end every decision is the first choice.

/// What is left of an input.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of an input.
    pub fn new(data: &'a [u8]) -> Bytes<'a> {
        Bytes(data)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, 0 past the end.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True once in `n`, and never past the end.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.byte() % n == n - 1
    }

    /// A whole word.
    pub fn word(&mut self) -> usize {
        u64::from_le_bytes([0; 8].map(|_: u8| self.byte())) as usize
    }

    /// A number near a boundary of what a word can be: the small, the large, those next to a power
    /// of two, and any.
    pub fn wild(&mut self) -> usize {
        let near = self.below(9);
        let power = (1u64 << self.below(64)) as usize;
        match self.below(4) {
            0 => power.wrapping_add(near).wrapping_sub(4),
            1 => usize::MAX - near,
            2 => near,
            _ => self.word(),
        }
    }
}
