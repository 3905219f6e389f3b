// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that look random, and what is made of them.

use vmm_service::protocol::Rights;

use crate::world::PAGE;

/// A sequence of numbers that look random, the same for the same start.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    /// A word of a message: now and then with more bits than numbers have.
    pub fn word(&mut self) -> usize {
        let number = self.next() as usize;
        if self.one_in(16) { number | (self.0 >> 8 << 32) as usize } else { number }
    }

    pub fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    pub fn one_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len() as u32) as usize])
    }

    pub fn rights(&mut self) -> Rights {
        Rights::from_bits_truncate(self.below(16) | 1)
    }
}

/// Bytes that one page table covers.
pub const TABLE: usize = 1 << 22;

/// Where a region can begin so that it lies across the line between two page tables.
pub fn across_a_line(random: &mut Random) -> usize {
    let line = 0x9000_0000 + random.below(4) as usize * TABLE;
    line - (1 + random.below(8) as usize) * PAGE
}
