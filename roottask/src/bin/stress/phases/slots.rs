// SPDX-License-Identifier: BSD-2-Clause
//! A full CSpace: capability slots are taken until there are none, and others go on without.

use roottask::Outcome;

use super::{all_slots, churn, clients, share, stacks, storm};
use crate::engine::Stress;
use crate::measure::Kind;

/// How many of the runs are given back at the most, the shortest first, before others go on.
const GIVEN: usize = 12;

/// Takes all slots, does what goes without or is refused, and gives them back.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut runs = all_slots::take(stress)?;
    for _ in 0..stress.random.below(GIVEN) {
        let (first, count) = runs[runs.len() - 1];
        stress.must(Kind::GiveSlots, |vmm| vmm.free_slots(first, count))?;
        runs.pop();
    }
    stress.vmm.validate()?;
    for _ in 0..4 {
        churn::run(stress)?;
        share::run(stress)?;
    }
    for others in [storm::run, stacks::run, clients::run] {
        others(stress)?;
    }
    all_slots::give_back(stress, runs)
}
