// SPDX-License-Identifier: BSD-2-Clause
//! The n-th kernel call is refused.

use std::cell::RefCell;
use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind};

use untyped_alloc::kernel::KernelError;
use vmm::{Blame, Error};
use vmm_tests::model::Arena;

use super::scenario::{Leaves, Scenario, Things, take_down};
use super::scenarios;
use crate::support::{Essence, Fixture, Machine, Snapshot, Target, on_each};

on_each!(a_refused_call_leaves_nothing_behind);

/// `DeleteFirst` is not among them: where an identifier is assigned it says that a pool is full.
const ERRORS: [KernelError; 4] = [
    KernelError::IllegalOperation,
    KernelError::InvalidCapability,
    KernelError::RevokeFirst,
    KernelError::NotEnoughMemory,
];

/// Of these, as many as `REFUSED_ERRORS` says, or all.
pub fn errors() -> &'static [KernelError] {
    let count = std::env::var("REFUSED_ERRORS").ok().and_then(|text| text.parse().ok());
    &ERRORS[..count.unwrap_or(ERRORS.len()).clamp(1, ERRORS.len())]
}

/// What is so before a scenario, before its request, and after it, when nothing fails.
pub struct Expected {
    /// Not where the manager's own memory grows from run to run.
    pub booted: Option<Essence>,
    pub before: Essence,
    pub after: Essence,
}

impl Expected {
    pub fn of(machine: &Machine, scenario: &Scenario) -> Expected {
        Expected::after(machine, scenario, |_| {})
    }

    /// `strain` is what the machine went through in the runs to be compared: the manager's own
    /// memory may have grown by it.
    pub fn after(
        machine: &Machine,
        scenario: &Scenario,
        strain: impl Fn(&mut Fixture<'_>),
    ) -> Expected {
        let arena = Arena::new();
        let mut host = Fixture::boot(&arena, machine.clone());
        strain(&mut host);
        let booted = Snapshot::settled(&mut host).essence();
        let mut things = (scenario.setup)(&mut host);
        strain(&mut host);
        let before = Snapshot::settled(&mut host).essence();
        (scenario.request)(&mut host, &mut things).expect("nothing fails");
        host.check();
        let after = Snapshot::settled(&mut host).essence();
        let own_grew = after.own_regions() > 1;
        let booted = (!own_grew).then_some(booted);
        let expected = Expected { booted, before, after };
        expected.take_down(host, &things);
        expected
    }

    /// Gives everything back, and compares with the state after the boot.
    pub fn take_down(&self, mut host: Fixture<'_>, things: &Things) {
        take_down(&mut host, things);
        host.check();
        if let Some(booted) = &self.booted {
            Snapshot::settled(&mut host).essence().assert_is(booted, "something leaked");
        }
    }
}

/// Whether the error is the kernel's refusal, passed on.
fn is_refusal(error: &Error, code: KernelError) -> bool {
    match *error {
        Error::Kernel { error, .. } => error == code,
        Error::Allocator(untyped_alloc::Error::Kernel { error, .. }) => error == code,
        _ => false,
    }
}

/// What follows a call that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// The request is made once more.
    Repeats,
    /// Everything is compared with what was before; then so.
    Settles,
    /// All calls are refused until the request is over, those that undo it too; then so.
    RefusesAll,
}

/// Runs the scenario with its n-th call refused; false when it has fewer.
fn run(
    machine: &Machine,
    scenario: &Scenario,
    expected: &Expected,
    (nth, code): (usize, KernelError),
    then: Then,
) -> bool {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, machine.clone());
    let mut things = (scenario.setup)(&mut host);
    if Snapshot::settled(&mut host).essence() != expected.before {
        panic!("the set-up differs from run to run");
    }
    let failures = host.kernel().injected_failures();
    match then {
        Then::RefusesAll => host.kernel().fail_from(nth, code),
        Then::Repeats | Then::Settles => host.kernel().fail_nth(nth, code),
    }
    let outcome = (scenario.request)(&mut host, &mut things);
    host.kernel().disarm();
    let fired = host.kernel().injected_failures() != failures;
    if then == Then::RefusesAll {
        assert_eq!(host.vmm.validate(), Ok(()), "what could not be undone is recorded");
        host.vmm.trim().expect("nothing is refused any more");
    }
    host.check();
    if let Err(error) = &outcome {
        assert!(is_refusal(error, code), "{error:?} is not the refusal");
        assert_eq!(error.blame(), Blame::Manager);
        if then != Then::Repeats {
            let now = Snapshot::settled(&mut host).essence();
            host.check();
            if scenario.leaves == Leaves::Nothing {
                now.assert_is(&expected.before, "something was left behind");
            }
        }
        (scenario.request)(&mut host, &mut things).expect("it succeeds when repeated");
        host.check();
    }
    let after = Snapshot::settled(&mut host).essence();
    after.outside().assert_is(&expected.after.outside(), "it differs from an undisturbed run");
    expected.take_down(host, &things);
    fired
}

/// A13, A14, A16, A83; I9.
fn a_refused_call_leaves_nothing_behind(target: Target) {
    refuse_each(&Machine::failing(target), errors());
}

/// Runs every scenario with each of its calls refused, with each of these errors.
pub fn refuse_each(machine: &Machine, all: &[KernelError]) {
    for_each_scenario(|scenario, context| {
        let expected = Expected::of(machine, scenario);
        let once = all.iter().flat_map(|&code| [(code, Then::Repeats), (code, Then::Settles)]);
        for (code, then) in once.chain([(all[0], Then::RefusesAll)]) {
            // Every call of a short request; ever fewer of one with hundreds of the same.
            for nth in successors(Some(1), |nth| Some(nth + 1 + nth / 16)) {
                *context.borrow_mut() = format!("call {nth} is {code:?}, then {then:?}");
                if !run(machine, scenario, &expected, (nth, code), then) {
                    break;
                }
            }
        }
    });
}

/// Runs a test for each scenario, and fails with the names and contexts of all that failed.
pub fn for_each_scenario(test: impl Fn(&Scenario, &RefCell<String>)) {
    let failed: Vec<String> = scenarios::all()
        .filter_map(|scenario| {
            let context = RefCell::new(String::new());
            let outcome = catch_unwind(AssertUnwindSafe(|| test(scenario, &context)));
            outcome.err().map(|_| format!("{}: {}", scenario.name, context.borrow()))
        })
        .collect();
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
