//! A full CSpace: capability slots are taken until there are none, and others go on without.

use alloc::vec::Vec;

use roottask::Outcome;
use vmm::CPtr;

use super::{churn, clients, share, stacks, storm};
use crate::engine::Stress;
use crate::measure::Kind;

/// Slots taken at a time.
const RUN: usize = 256;
/// How many of the runs are given back at the most, the shortest first, before others go on.
const GIVEN: usize = 12;

/// Takes all slots, does what goes without or is refused, and gives them back.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut runs = take_all(stress)?;
    for _ in 0..stress.random.below(GIVEN) {
        let (first, count) = runs[runs.len() - 1];
        stress.must(Kind::GiveSlots, |vmm| vmm.give_slots(first, count))?;
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
    give_all(stress, runs)
}

/// Takes all slots there are: where each run of them begins, and how long it is.
pub fn take_all(stress: &mut Stress) -> Outcome<Vec<(CPtr, usize)>> {
    let mut runs = Vec::new();
    let mut count = RUN;
    while count > 0 {
        match stress.attempt(Kind::TakeSlots, |vmm| vmm.take_slots(count))? {
            Some(first) => runs.push((first, count)),
            None => count /= 2,
        }
    }
    Ok(runs)
}

/// Gives such runs back in a random order, and the memory that the CSpace grew by.
pub fn give_all(stress: &mut Stress, mut runs: Vec<(CPtr, usize)>) -> Outcome {
    while !runs.is_empty() {
        let (first, count) = runs.swap_remove(stress.random.below(runs.len()));
        stress.must(Kind::GiveSlots, |vmm| vmm.give_slots(first, count))?;
    }
    stress.must(Kind::Trim, |vmm| vmm.trim())
}
