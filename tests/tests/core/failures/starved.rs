// SPDX-License-Identifier: BSD-2-Clause
//! n pages, slots or nodes are left.
//!
//! All but n are taken away before the request, and given back after it failed. It is made with
//! none left, with one, with two, until it succeeds.

use vmm::Blame;
use vmm_tests::model::Arena;

use super::calls::{Expected, for_each_scenario};
use super::scenario::{Leaves, Scenario};
use crate::support::ballast::{Ballast, ENOUGH};
use crate::support::{Essence, Fixture, Machine, Snapshot, Target, on_both};

on_both!(
    want_of_memory_leaves_nothing_behind,
    want_of_slots_leaves_nothing_behind,
    want_of_nodes_leaves_nothing_behind,
);

type Load = fn(&mut Fixture<'_>, usize) -> Ballast;

/// Runs the scenario with `left` left; whether it succeeded at once.
fn run(
    machine: &Machine,
    scenario: &Scenario,
    expected: &Expected,
    load: Load,
    left: usize,
) -> bool {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, machine.clone());
    let mut things = (scenario.setup)(&mut host);
    let ballast = load(&mut host, left);
    // Where the manager's own memory grew, what is free depends on when it did.
    let grew = expected.booted.is_none();
    let view = |of: &Essence| if grew { of.callers() } else { of.outside() };
    let before = Snapshot::of(&host);
    let outcome = (scenario.request)(&mut host, &mut things);
    host.check();
    if let Err(error) = outcome {
        assert_eq!(error.blame(), Blame::Resource, "{error:?}");
        let now = Snapshot::of(&host);
        assert_eq!(now.pages, before.pages, "{error:?}: pages changed");
        assert_eq!(now.regions, before.regions, "{error:?}: regions changed");
    }
    ballast.drop(&mut host);
    if outcome.is_err() {
        let now = Snapshot::settled(&mut host).essence();
        view(&now).assert_is(&view(&expected.before), "after the failure");
        (scenario.request)(&mut host, &mut things).expect("it succeeds when there is enough");
        host.check();
    }
    let after = Snapshot::settled(&mut host).essence();
    view(&after).assert_is(&view(&expected.after), "it differs from an undisturbed run");
    expected.take_down(host, &things);
    outcome.is_ok()
}

/// Whether the request takes away, and so must need nothing. Cutting a large page needs frames and
/// a table, protecting part of a run a node.
fn needs_nothing(scenario: &Scenario) -> bool {
    let cuts = scenario.name.contains("large page") || scenario.name.contains("protect");
    scenario.leaves == Leaves::Progress && !cuts
}

/// Makes the request with nothing left, then with one, two, … until it succeeds.
fn starve(machine: &Machine, load: Load) {
    for_each_scenario(|scenario, context| {
        let expected = Expected::after(machine, scenario, |host| load(host, 0).drop(host));
        // Pages in pieces never make a large page.
        let most = if scenario.name.contains("large page") { 2 } else { ENOUGH };
        for left in 0..=most {
            *context.borrow_mut() = format!("{left} left");
            if run(machine, scenario, &expected, load, left) {
                return;
            }
            assert!(!needs_nothing(scenario), "giving back needs something");
        }
        assert!(most != ENOUGH, "it needs more than it should");
    });
}

/// A15, A16.
fn want_of_memory_leaves_nothing_behind(target: Target) {
    starve(&Machine::failing(target), Ballast::of_memory);
}

/// A15, A16.
fn want_of_slots_leaves_nothing_behind(target: Target) {
    starve(&Machine::failing(target).slots(11), Ballast::of_slots);
}

/// A15, A16.
/// Nodes are made of memory, so without it a request can fail however many there are.
fn want_of_nodes_leaves_nothing_behind(target: Target) {
    let machine = Machine::failing(target).pool(24);
    for_each_scenario(|scenario, context| {
        let strain = |host: &mut Fixture<'_>| Ballast::of_nodes(host, 0).drop(host);
        let expected = Expected::after(&machine, scenario, strain);
        for left in [0, 1, 2, 3, 8] {
            *context.borrow_mut() = format!("{left} left");
            let done = run(&machine, scenario, &expected, Ballast::of_nodes, left);
            assert!(done || !needs_nothing(scenario), "giving back needs something");
        }
    });
}
