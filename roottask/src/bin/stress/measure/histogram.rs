// SPDX-License-Identifier: BSD-2-Clause
//! How often an operation cost how much, in fixed memory.
//!
//! Buckets are log-linear: each power of two is divided into eight, so that a bucket is at most an
//! eighth of its lower end wide, and small costs have a bucket each.
//!
//! ```text
//!   cost      0 1 … 7 | 8 9 … 15 | 16–17 18–19 … 30–31 | 32–35 …
//!   bucket    0 1 … 7 | 8 9 … 15 | 16    17    … 23    | 24    …
//! ```

/// Logarithm of the buckets of a power of two.
const PART_BITS: u32 = 3;
const PARTS: usize = 1 << PART_BITS;
/// Costs of 2^40 and more are counted with the largest below.
const COST_BITS: u32 = 40;
const BUCKETS: usize = (COST_BITS - PART_BITS + 1) as usize * PARTS;

/// Counts by cost.
#[derive(Clone)]
pub struct Histogram([u32; BUCKETS]);

const fn bucket_of(cost: u64) -> usize {
    if cost < PARTS as u64 {
        return cost as usize;
    }
    let power = cost.ilog2() - PART_BITS;
    // The part's first bit is that of the power; it makes up for the first power's missing row.
    power as usize * PARTS + (cost >> power) as usize
}

impl Histogram {
    /// Nothing counted.
    pub const fn new() -> Histogram {
        Histogram([0; BUCKETS])
    }

    /// Counts a cost.
    pub fn count(&mut self, cost: u64) {
        let bucket = bucket_of(cost).min(BUCKETS - 1);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// The buckets in which something was counted, cheapest first: the smallest cost of each, the
    /// smallest of the next, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u32)> + '_ {
        let counted = self.0.iter().enumerate().filter(|(_, count)| **count != 0);
        counted.map(|(bucket, &count)| (first_of(bucket), first_of(bucket + 1), count))
    }
}

/// The smallest cost of a bucket.
const fn first_of(bucket: usize) -> u64 {
    match bucket.checked_sub(PARTS) {
        None => bucket as u64,
        Some(above) => ((PARTS + above % PARTS) as u64) << (above / PARTS),
    }
}

/// That the two directions agree, for every bucket.
const _: () = {
    let mut bucket = 0;
    while bucket < BUCKETS {
        assert!(bucket_of(first_of(bucket)) == bucket);
        assert!(bucket_of(first_of(bucket + 1) - 1) == bucket);
        bucket += 1;
    }
};
