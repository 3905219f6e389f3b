// SPDX-License-Identifier: BSD-2-Clause
//! Random numbers: Marsaglia's xorshift.

/// A generator of random numbers.
#[derive(Debug)]
pub struct Random(u32);

impl Random {
    /// Starts from `seed`, which must not be 0: from 0 every number is 0.
    pub const fn new(seed: u32) -> Random {
        Random(seed)
    }

    /// Returns the next number, any of 32 bits but 0.
    pub fn number(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Returns a number below `end`, which must not be 0.
    pub fn below(&mut self, end: u32) -> u32 {
        self.number() % end
    }
}
