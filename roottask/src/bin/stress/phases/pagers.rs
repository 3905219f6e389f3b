// SPDX-License-Identifier: BSD-2-Clause
//! Pagers that are programs: they supply pages in all the ways there are, take them back, refuse
//! some and are ended in the midst of it; readers that share their pages or change copies of their
//! own, ended while they wait.

use roottask::Outcome;

use super::trees::{session, PRIORITY, SUPPLIER};
use crate::engine::Stress;

/// The most rounds of the first.
const ROUNDS: usize = 100;

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 2) {
        if stress.is_over() {
            break;
        }
        let (seed, rounds) = (stress.random.stamp() as usize, stress.random.within(1, ROUNDS));
        session(stress, &SUPPLIER, &[0, seed, rounds, PRIORITY.into()])?;
    }
    Ok(())
}
