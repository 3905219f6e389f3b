// SPDX-License-Identifier: BSD-2-Clause
//! Places that are taken and given back, several next to each other at a time: on a disk, and in a
//! memory object.

use alloc::vec;
use alloc::vec::Vec;

/// Places, a bit for each.
pub struct Places {
    taken: Vec<u32>,
    count: u32,
    free: u32,
    /// Where the next search begins: behind what was taken last, so that what is taken one after
    /// another lies next to each other.
    next: u32,
}

impl Places {
    /// So many places, all free.
    pub fn new(count: u32) -> Places {
        Places { taken: vec![0; count.div_ceil(32) as usize], count, free: count, next: 0 }
    }

    /// How many are free.
    pub fn free(&self) -> u32 {
        self.free
    }

    fn is_free(&self, place: u32) -> bool {
        let word = self.taken.get(place as usize / 32);
        place < self.count && word.is_some_and(|word| word & 1 << (place % 32) == 0)
    }

    /// Takes `wanted` places next to each other; none if there are no such.
    pub fn take(&mut self, wanted: u32) -> Option<u32> {
        if wanted == 0 || wanted > self.free {
            return None;
        }
        let found = self.find(self.next, self.count, wanted);
        // From the beginning, over where the first search began.
        let first = found.or_else(|| self.find(0, self.count, wanted))?;
        for place in first..first + wanted {
            self.taken[place as usize / 32] |= 1 << (place % 32);
        }
        self.free -= wanted;
        self.next = first + wanted;
        Some(first)
    }

    fn find(&self, from: u32, to: u32, wanted: u32) -> Option<u32> {
        let (mut place, mut run) = (from, 0);
        while place < to {
            if place % 32 == 0 && self.taken[place as usize / 32] == u32::MAX {
                (place, run) = (place + 32, 0);
                continue;
            }
            run = if self.is_free(place) { run + 1 } else { 0 };
            place += 1;
            if run == wanted {
                return Some(place - wanted);
            }
        }
        None
    }

    /// Gives a place back, which is taken.
    pub fn give(&mut self, place: u32) {
        if place < self.count && !self.is_free(place) {
            self.taken[place as usize / 32] &= !(1 << (place % 32));
            self.free += 1;
        }
    }
}
