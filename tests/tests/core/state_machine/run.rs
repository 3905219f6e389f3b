// SPDX-License-Identifier: BSD-2-Clause
//! One sequence of requests, held against the reference after each and taken down again.

use vmm_tests::expected::{Look, Request, Rules, Run};
use vmm_tests::model::Arena;

use crate::support::{Fixture, Machine, Snapshot};

/// Steps between two comparisons of all contents.
const INTERVAL: usize = 8;

/// Runs a sequence of requests, comparing after each, and takes everything down again.
pub fn run(machine: &Machine, requests: &[Request]) {
    run_from(machine, &initial(machine), requests, 0);
}

/// The state of the machine before any request.
pub fn initial(machine: &Machine) -> Snapshot {
    let arena = Arena::new();
    Snapshot::settled(&mut Fixture::boot(&arena, machine.clone()))
}

/// Runs a sequence of requests, comparing after each from number `first` on, and takes everything
/// down again, back to the `initial` state.
///
/// Returns a number that stands for the state after the last request.
pub fn run_from(machine: &Machine, initial: &Snapshot, requests: &[Request], first: usize) -> u64 {
    let arena = Arena::new();
    let mut run = Run::new(Fixture::boot(&arena, machine.clone()), Rules::EXACT);
    for (step, &request) in requests.iter().enumerate() {
        // A refusal is right, or this would not return.
        let _ = run.step(request, None);
        if (first..requests.len().saturating_sub(1)).contains(&step) {
            compare(&mut run, if step % INTERVAL == 0 { Look::AtAll } else { Look::AtNothing });
        }
    }
    compare(&mut run, Look::AtAll);
    let state = run.fingerprint();
    run.give_all_back(true, &mut |_| {});
    compare(&mut run, Look::AtAll);
    run.destroy_all_spaces(&mut |_| {});
    initial.assert_same(&Snapshot::settled(&mut run.host));
    state
}

fn compare(run: &mut Run<'_>, look: Look) {
    run.host.check();
    run.compare(look);
}
