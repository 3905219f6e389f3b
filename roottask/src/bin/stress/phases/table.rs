// SPDX-License-Identifier: BSD-2-Clause
//! The phases with their weights, and their course.

use roottask::Outcome;

use super::{
    churn, clients, compact, cow, fill, fragment, large, objects, offers, own_pagers, pagers,
    programs, refusals, share, slots, spaces, stacks, storm, threads,
};
use crate::engine::Stress;

/// One of the things done.
pub struct Phase {
    /// What it is called on the command line.
    pub name: &'static str,
    /// How often it comes, beside the others.
    weight: usize,
    /// Does it for a while.
    pub run: fn(&mut Stress) -> Outcome,
}

/// All of them.
pub const PHASES: [Phase; 20] = [
    Phase { name: "churn", weight: 20, run: churn::run },
    Phase { name: "share", weight: 10, run: share::run },
    Phase { name: "cow", weight: 10, run: cow::run },
    Phase { name: "spaces", weight: 4, run: spaces::run },
    Phase { name: "large", weight: 2, run: large::run },
    Phase { name: "fill", weight: 1, run: fill::run },
    Phase { name: "fragment", weight: 3, run: fragment::run },
    Phase { name: "compact", weight: 3, run: compact::run },
    Phase { name: "used-up", weight: 1, run: compact::used_up },
    Phase { name: "threads", weight: 6, run: threads::run },
    Phase { name: "storm", weight: 6, run: storm::run },
    Phase { name: "stacks", weight: 4, run: stacks::run },
    Phase { name: "own-pagers", weight: 4, run: own_pagers::run },
    Phase { name: "offers", weight: 4, run: offers::run },
    Phase { name: "programs", weight: 4, run: programs::run },
    Phase { name: "clients", weight: 2, run: clients::run },
    Phase { name: "pagers", weight: 2, run: pagers::run },
    Phase { name: "objects", weight: 8, run: objects::run },
    Phase { name: "slots", weight: 1, run: slots::run },
    Phase { name: "refusals", weight: 3, run: refusals::run },
];

/// The names of the phases, in their order.
pub fn names() -> [&'static str; PHASES.len()] {
    PHASES.each_ref().map(|phase| phase.name)
}

/// Runs phases until the run is over.
pub fn run(stress: &mut Stress) -> Outcome {
    let weights = {
        let wanted = &stress.settings.phases;
        core::array::from_fn::<_, { PHASES.len() }, _>(|index| {
            PHASES[index].weight * usize::from(wanted[index])
        })
    };
    let total = weights.iter().sum();
    while !stress.is_over() {
        let mut ticket = stress.random.below(total);
        for (phase, weight) in PHASES.iter().zip(weights) {
            if ticket < weight {
                stress.set_phase(phase.name);
                stress.begin_clearing()?;
                (phase.run)(stress)?;
                stress.end_clearing()?;
                break;
            }
            ticket -= weight;
        }
    }
    Ok(())
}
