// SPDX-License-Identifier: BSD-2-Clause
//! All capability slots, taken and given back.

use alloc::vec::Vec;

use roottask::Outcome;
use vmm::CPtr;

use crate::engine::Stress;
use crate::measure::Kind;

/// Slots taken at a time.
const RUN: usize = 256;
/// Takes all slots there are: where each run of them begins, and how long it is.
pub fn take(stress: &mut Stress) -> Outcome<Vec<(CPtr, usize)>> {
    let mut runs = Vec::new();
    let mut count = RUN;
    while count > 0 {
        match stress.attempt(Kind::TakeSlots, |vmm| vmm.alloc_slots(count))? {
            Some(first) => runs.push((first, count)),
            None => count /= 2,
        }
    }
    Ok(runs)
}

/// Gives such runs back in a random order, and the memory that the CSpace grew by.
pub fn give_back(stress: &mut Stress, mut runs: Vec<(CPtr, usize)>) -> Outcome {
    while !runs.is_empty() {
        let (first, count) = runs.swap_remove(stress.random.below(runs.len()));
        stress.must(Kind::GiveSlots, |vmm| vmm.free_slots(first, count))?;
    }
    stress.must(Kind::Trim, |vmm| vmm.trim())
}
