// SPDX-License-Identifier: BSD-2-Clause
//! Programs that start programs of their own kind, which do so too: given memory that is taken
//! away, looked at when they fault, ended one by one, with the account that pays for them, or all
//! at once.

use roottask::Outcome;

use super::trees::{session, PRIORITY, STARTER};
use crate::engine::Stress;

/// The most rounds of the first, and how many generations there are below it.
const ROUNDS: usize = 100;
const DEPTH: usize = 2;

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 2) {
        if stress.is_over() {
            break;
        }
        let (seed, rounds) = (stress.random.stamp() as usize, stress.random.within(1, ROUNDS));
        session(stress, &STARTER, &[seed, rounds, DEPTH, PRIORITY.into(), 0, 0, 0])?;
    }
    Ok(())
}
