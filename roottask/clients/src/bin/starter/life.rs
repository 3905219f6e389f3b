// SPDX-License-Identifier: BSD-2-Clause
//! What it was told, what it has, and where it is in what it does.

use core::fmt;

use sel4::{cap, Word};
use vmm_client::handles::{Account, Memory, Program};
use vmm_client::objects::Amounts;
use vmm_clients::trials::Shown;
use vmm_clients::Random;

use crate::held::Held;
use crate::kid::{Kid, KIDS};

/// The most memory objects at a time.
pub const HELD: usize = 3;
/// Where one that was told to has a fault: nothing is mapped there before that.
pub const GAP: usize = 0xb000_0000;
/// The bit by which it is told that one that it has started has come to some round.
pub const CAME: Word = 1 << KIDS;
/// What an account below its own has beside a program.
pub const BESIDE: Amounts = Amounts([24, 16, 60, 2, 1, 12, 24, 0]);

/// What it was told: the numbers of its arguments.
pub struct Task {
    pub rounds: u32,
    /// How many generations there are below it.
    pub depth: u32,
    pub priority: u8,
    /// The round in which it has a fault; in which it tells its starter where it is. 0: in none.
    pub faults: u32,
    pub tells: u32,
    /// What the memory holds that it was given.
    pub base: u32,
}

/// Where a program is in what it does.
pub struct Place {
    pub round: u32,
    pub rounds: u32,
    pub depth: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in round {} of {}, depth {}", self.round, self.rounds, self.depth)
    }
}

pub struct Life<'p> {
    pub program: &'p Program,
    pub account: Account,
    pub random: Random,
    pub task: Task,
    pub file: Memory,
    /// Memory of its starter's, whose pages it reads.
    pub shared: Option<(Memory, Shown)>,
    /// By what it tells its starter where it is.
    pub came: Option<u32>,
    /// Where it is told of ends: the notification, a bit for each place, those that were set.
    pub told: u32,
    pub bits: [u32; KIDS + 1],
    pub seen: Word,
    pub kids: [Option<Kid>; KIDS],
    pub held: [Option<Held>; HELD],
    pub round: u32,
    /// Whether something happened that can only be for want of memory.
    pub short: bool,
    /// Whether a thread is left that could not be joined.
    pub left: bool,
    pub done: Done,
}

/// What it has done, for people.
#[derive(Default)]
pub struct Done {
    pub started: u32,
    pub killed: u32,
    pub looked_at: u32,
    pub clones: u32,
    pub revoked: u32,
    pub threads: u32,
}

impl Life<'_> {
    /// Where it is, for people.
    pub fn place(&self) -> Place {
        Place { round: self.round, rounds: self.task.rounds, depth: self.task.depth }
    }

    /// Waits until one of these bits is set; they stay set.
    pub fn wait_for(&mut self, bits: Word) {
        while self.seen & bits == 0 {
            self.seen |= cap::Notification::from_bits(self.told as Word).wait().1;
        }
    }
}
