// SPDX-License-Identifier: BSD-2-Clause
//! The same history with the manager's short cuts and without: what it answers, what is mapped and
//! what is left must not differ.
//!
//! The short cuts are that for consecutive pages (I14), the site that is kept for single ones (I29)
//! and the blocks that are (I46). The first goes on as long as nothing is looked up, so nothing is
//! looked at before the end. What may differ is which frames are mapped, how they are spread over
//! batches, and how many book-keeping nodes that takes.

use proptest::collection::vec;
use proptest::strategy::Strategy;
use vmm::Quota;
use vmm_tests::expected::{Look, Outcome, Request, Rules, Run};
use vmm_tests::model::Arena;

use crate::state_machine::strategy;
use crate::support::{Essence, Fixture, Machine, Snapshot, Target, explore_with, on_both};

on_both!(
    random_requests_end_the_same_without_short_cuts,
    heaps_end_the_same_without_short_cuts,
    they_do_in_a_small_memory,
);

/// All that must not depend on short cuts.
struct End {
    answers: Vec<Outcome>,
    /// What the spaces have once nothing is kept for speed.
    usage: Vec<Quota>,
    state: Essence,
}

fn end(machine: &Machine, requests: &[Request], short_cuts: bool) -> End {
    let arena = Arena::new();
    let mut run = Run::new(Fixture::boot(&arena, machine.clone()), Rules::EXACT);
    if !short_cuts {
        run.host.vmm.without_short_cuts();
    }
    let answers = requests.iter().map(|&request| run.step(request, None)).collect();
    run.host.check();
    run.compare(Look::AtAll);
    let state = Snapshot::settled(&mut run.host).essence();
    run.compare(Look::AtAll);
    let spaces = run.state.spaces.iter();
    let usage = spaces.map(|space| run.host.vmm.usage(space.id).expect("a space")).collect();
    End { answers, usage, state: state.outside() }
}

fn both_ways(machine: &Machine, requests: &[Request]) {
    let (with, without) = (end(machine, requests, true), end(machine, requests, false));
    assert_eq!(with.answers, without.answers, "answers with short cuts, and without");
    with.state.assert_is(&without.state, "with short cuts it differs");
    assert_eq!(with.usage, without.usage, "usage with short cuts, and without");
}

fn explore(machine: &Machine, histories: impl Strategy<Value = Vec<Request>>, cases: u32) {
    explore_with(histories, cases, |requests| both_ways(machine, &requests));
}

/// A few heaps, which are in each other's way.
fn heaps() -> impl Strategy<Value = Vec<Request>> {
    vec(strategy::heap(), 1..4).prop_map(|heaps| heaps.concat())
}

fn random_requests_end_the_same_without_short_cuts(target: Target) {
    explore(&Machine::roomy(target), strategy::requests(40), 300);
}

fn heaps_end_the_same_without_short_cuts(target: Target) {
    explore(&Machine::roomy(target), heaps(), 400);
}

fn they_do_in_a_small_memory(target: Target) {
    explore(&Machine::small(target), heaps(), 400);
}
