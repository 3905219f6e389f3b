// SPDX-License-Identifier: BSD-2-Clause
//! Blocks that are being cleared, by size.

/// How many blocks of each size are being cleared.
pub struct BeingCleared([u16; usize::BITS as usize]);

impl BeingCleared {
    /// None.
    pub fn new() -> Self {
        BeingCleared([0; usize::BITS as usize])
    }

    /// One more, of 2^`size_bits` bytes.
    pub fn add(&mut self, size_bits: u8) {
        self.0[usize::from(size_bits)] += 1;
    }

    /// One less: its retype has come to its end.
    pub fn remove(&mut self, size_bits: u8) {
        self.0[usize::from(size_bits)] -= 1;
    }

    /// The bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.0.iter().enumerate().map(|(bits, &count)| usize::from(count) << bits).sum()
    }

    /// The bytes of the smallest of at least 2^`size_bits` bytes.
    pub fn smallest(&self, size_bits: u8) -> Option<usize> {
        let mut large = self.0.iter().enumerate().skip(size_bits.into());
        large.find(|(_, &count)| count != 0).map(|(bits, _)| 1 << bits)
    }
}
