// SPDX-License-Identifier: BSD-2-Clause
//! Random histories of clones, faults, unmaps, protects and ends over several spaces, each page
//! held against the reference after each step; with and without a kernel call that is refused.

use proptest::collection::vec;
use proptest::prelude::{Just, any};
use proptest::prop_oneof;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use untyped_alloc::{Blame, KernelError, Rights};
use vmm_tests::expected::{
    Failing, Fill, Halt, Look, Order, Pages, RegionRequest, Request, Rules, Run, TestAddress,
    WINDOW,
};

use crate::support::{Fixture, Machine, Snapshot, Target, on_both};

on_both!(
    clones_keep_what_they_were_made_of,
    so_they_do_when_kernel_calls_are_refused,
    so_they_do_when_memory_is_short,
);

/// The most spaces and regions of a history.
const RULES: Rules = Rules { most_spaces: 5, most_regions: 12, trims: false, ..Rules::LENIENT };

const RIGHTS: [Rights; 3] = [Rights::READ_WRITE, Rights::READ, Rights::empty()];

/// A request, and the number of the kernel call that is refused in it; 0 for none.
type Step = (Request, usize);

fn request() -> impl Strategy<Value = Request> {
    (0..38u8, 0..64u8, 0..16usize, 0..16usize, 1..u64::MAX).prop_map(|(kind, a, b, c, tag)| {
        let usable = |page, pages| Pages::Usable { region: a, page, pages };
        let space = a;
        match kind {
            0..3 => {
                let rights = RIGHTS[usize::from(c == 15)];
                let plain = RegionRequest::anywhere(b + 1);
                let request = RegionRequest { below: 1, above: 1, rights, ..plain };
                match c < 8 {
                    true => Request::Map { space, request },
                    false => Request::Reserve { space, request: request.lazy(1 << (c % 5)) },
                }
            }
            3..7 => {
                let request = RegionRequest::anywhere(1);
                Request::Clone { which: a, into: b as u8, request, on_demand: c % 2 == 0 }
            }
            7 => Request::CloneSpace { space, on_demand: c % 2 == 0 },
            8..20 => {
                let (pages, write) = (usable(b as u8, 1), c % 3 != 2);
                Request::Touch { space, pages, off: 0, write, tag }
            }
            20..23 => Request::Unmap { space, pages: usable(b as u8, c + 1) },
            23..26 => {
                let pages = usable(b as u8, c / 3 + 1);
                let on_demand = b % 2 == 0;
                Request::Protect { space, pages, rights: RIGHTS[c % 3], on_demand }
            }
            26 => Request::RestoreWriteAccess { which: a },
            27..29 => Request::Release { which: a },
            29 => Request::DestroySpace { space },
            30 => Request::CreateSpace,
            31 if c == 0 => Request::Trim,
            31 => Request::Compact { bits: 12 + (c % 6) as u8 },
            32..34 => {
                let fill = [Fill::Touch, Fill::Populate, Fill::Both][c % 3];
                let order = [Order::Up, Order::Down, Order::Turns][b % 3];
                let other = TestAddress::page(b as u8);
                Request::PageByPage { space, pages: usable(0, WINDOW), fill, order, other }
            }
            34..36 => Request::Decommit { space, pages: usable(b as u8, c + 1) },
            _ => Request::Shrink { space, pages: usable(b as u8, WINDOW) },
        }
    })
}

/// A heap over the line between two page tables, which grows, shrinks, and grows again; with what
/// else there is in between.
fn heap() -> impl Strategy<Value = Vec<Request>> {
    let between = || prop_oneof![2 => Just(None), 1 => request().prop_map(Some)];
    let fill = prop_oneof![Just(Fill::Touch), Just(Fill::Populate), Just(Fill::Both)];
    let order = prop_oneof![2 => Just(Order::Up), 1 => Just(Order::Turns)];
    let round = (6..13u8, fill, order, between(), between());
    (any::<u8>(), 6..12u8, vec(round, 2..4)).prop_map(|(space, first, rounds)| {
        let start = TestAddress::page(first);
        let request = RegionRequest::at(start, WINDOW - usize::from(first)).lazy(1);
        let mut requests = vec![Request::Reserve { space, request }];
        let pages = Pages::At { address: start, pages: 15 - usize::from(first) };
        for (low, fill, order, before, after) in rounds {
            let other = TestAddress::In { window: 7, page: first, off: 0 };
            let upper = Pages::At { address: TestAddress::page(low), pages: WINDOW };
            requests.extend(before);
            requests.push(Request::PageByPage { space, pages, fill, order, other });
            requests.extend(after);
            requests.push(Request::Shrink { space, pages: upper });
        }
        requests
    })
}

/// A history, and for each step perhaps the number of the kernel call that is refused.
fn history(refuse: bool) -> impl Strategy<Value = Vec<Step>> {
    let refused = move || (0..if refuse { 24usize } else { 1 }).prop_map(|n| n % 20);
    let act = prop_oneof![24 => request().prop_map(|request| vec![request]), 1 => heap()];
    let act = (act, vec(refused(), 16))
        .prop_map(|(requests, refused)| requests.into_iter().zip(refused).collect::<Vec<Step>>());
    vec(act, 1..60).prop_map(|acts| acts.concat())
}

fn explore(machine: Machine, cases: u32, refuse: bool) {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0xc0117);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let outcome = TestRunner::new(config).run(&history(refuse), |steps| {
        run(&machine, &steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A9, I6, I7.
fn clones_keep_what_they_were_made_of(target: Target) {
    explore(Machine::roomy(target), 150, false);
}

/// A9, A13.
fn so_they_do_when_kernel_calls_are_refused(target: Target) {
    explore(Machine::roomy(target), 150, true);
}

fn so_they_do_when_memory_is_short(target: Target) {
    let ram = vec![(0x100_0000, 17), (0x80_0000, 16), (0x70_2000, 13)];
    explore(Machine::with_ram(target, ram), 150, true);
}

fn run(machine: &Machine, steps: &[Step]) {
    let mut host = Fixture::new(machine.clone());
    host.vmm.trim().expect("trimming");
    let before = Snapshot::settled(&mut host);
    let mut run = Run::new(host, RULES);
    for &(request, refused) in steps {
        let error = KernelError::NotEnoughMemory;
        let failing = Failing { nth: refused, error, lasts: false };
        let done = run.step(request, (refused != 0).then_some(failing));
        check(&mut run);
        // Whatever was refused: everybody sees what was seen before, and once more it works, unless
        // memory is short, or what was done before leaves something to refuse.
        if let Err(halt) = done {
            let callers = |halt: &Halt| halt.error.blame() == Blame::Caller;
            assert!(halt.fired || halt.is_short() || callers(&halt), "{request:?}: {halt:?}");
            if !callers(&halt) {
                let again = run.step(request, None);
                let right = again.is_ok() || again.is_err_and(|it| it.is_short() || callers(&it));
                assert!(right, "{request:?}: {again:?}");
                check(&mut run);
            }
        }
    }
    run.destroy_all_spaces(&mut |_| {});
    run.give_all_back(true, &mut |_| {});
    run.host.check();
    before.assert_same(&Snapshot::settled(&mut run.host));
}

/// Every page is as it should be, and what can be written is nobody else's.
fn check(run: &mut Run<'_>) {
    run.host.check();
    run.compare(Look::AtAll);
    run.assert_writers_are_alone();
}
