// SPDX-License-Identifier: BSD-2-Clause
//! A program that it has started.

use vmm_client::handles::{Account, Child, Memory, Space};
use vmm_client::objects::Amounts;

/// The most programs that it has started at a time.
pub const KIDS: usize = 2;
/// Pages of the memory that one is given.
pub const SHARED: u32 = 3;
/// What a program has below which there are no others, and what one has beside those below it.
const LEAF: Amounts = Amounts([190, 140, 620, 26, 8, 90, 190, 0]);

/// A program, what it was given, and where it is paid from.
pub struct Kid {
    pub child: Child,
    pub space: Space,
    pub account: Account,
    /// Memory of this program's, and the capability to it that was given.
    pub shared: Option<(Memory, Memory)>,
    pub base: u32,
    /// Whether it has a fault on purpose, for which it is looked at.
    pub faults: bool,
    /// Whether its memory was taken away.
    pub bereft: bool,
}

/// What a program has that has so many generations below it.
pub fn amounts(depth: u32) -> Amounts {
    match depth {
        0 => LEAF,
        _ => {
            let below = amounts(depth - 1);
            let all = |nth: usize| LEAF.0[nth] + (KIDS as u32) * below.0[nth] + below.0[nth] / 2;
            Amounts(core::array::from_fn(all))
        }
    }
}

/// Priorities that a program of this depth and those below it have: its own, one for its threads,
/// and theirs.
pub const fn span(depth: u32) -> u8 {
    match depth {
        0 => 2,
        _ => 2 + KIDS as u8 * span(depth - 1),
    }
}
