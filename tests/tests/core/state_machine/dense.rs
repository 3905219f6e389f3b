// SPDX-License-Identifier: BSD-2-Clause
//! Random histories of memory on demand in which large pages are preferred: it is filled, becomes
//! large in the background, and is used meanwhile in every way there is; calls are refused.
//!
//! Checks A326 to A331, I61 and I62 of `MODEL.md`.

use proptest::collection::vec;
use proptest::prelude::*;
use untyped_alloc::{KernelError, Rights};
use vmm_tests::expected::{Failing, Look, Pages, RegionRequest, Request, Rules, Run, TestAddress};
use vmm_tests::model::Arena;

use crate::support::{Fixture, Machine, Target, explore_with, on_both};

on_both!(dense_memory_is_what_it_was, so_it_is_where_memory_is_short);

type Step = (Request, Option<Failing>);

/// Pages of one of two large ones: some at either end, or all.
fn some() -> impl Strategy<Value = Pages> {
    let page = prop_oneof![3 => 0..70u16, 2 => 440..512u16, 1 => 950..1024u16];
    let count = prop_oneof![6 => 1..4usize, 2 => 60..70usize, 1 => Just(512), 1 => Just(1024)];
    (0..2u8, page, count).prop_map(|(large, page, pages)| {
        let base = TestAddress::Large(large).bits(Target::Ia32);
        let address = TestAddress::Bits(base + usize::from(page) * 4096);
        Pages::At { address, pages }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let space = || 0..3u8;
    let rights = prop_oneof![Just(Rights::READ), Just(Rights::READ_WRITE)];
    let anywhere = || RegionRequest::anywhere(1);
    prop_oneof![
        6 => (space(), any::<bool>())
            .prop_map(|(space, upper)| Request::Dense { space, large: 0, upper }),
        24 => (1..14u8).prop_map(|steps| Request::PromoteFurther { steps }),
        12 => (space(), some(), any::<bool>(), 1..u64::MAX).prop_map(
            |(space, pages, write, tag)| Request::Touch { space, pages, off: 8, write, tag }
        ),
        4 => (space(), some(), 1..255u8).prop_map(
            |(space, pages, value)| Request::WriteByte { space, pages, off: 0, value }
        ),
        3 => (space(), some()).prop_map(|(space, pages)| Request::Unmap { space, pages }),
        3 => (space(), some()).prop_map(|(space, pages)| Request::Decommit { space, pages }),
        3 => (space(), some()).prop_map(|(space, pages)| Request::Populate { space, pages }),
        5 => (space(), some(), rights, any::<bool>()).prop_map(
            |(space, pages, rights, on_demand)| Request::Protect { space, pages, rights, on_demand }
        ),
        3 => (space(), some(), space()).prop_map(
            move |(space, pages, into)| Request::Share { space, pages, into, request: anywhere() }
        ),
        2 => (space(), some()).prop_map(|(space, pages)| Request::Promote { space, pages }),
        2 => (any::<u8>(), space(), any::<bool>()).prop_map(move |(which, into, on_demand)| {
            Request::Clone { which, into, request: anywhere(), on_demand }
        }),
        1 => (space(), any::<bool>())
            .prop_map(|(space, on_demand)| Request::CloneSpace { space, on_demand }),
        1 => any::<u8>().prop_map(|which| Request::RestoreWriteAccess { which }),
        2 => (any::<u8>(), 1..600usize)
            .prop_map(|(which, pages)| Request::Split { which, pages }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(lower, upper)| Request::Merge { lower, upper }),
        2 => any::<u8>().prop_map(move |which| Request::Move { which, request: anywhere() }),
        2 => any::<u8>().prop_map(|which| Request::Release { which }),
        1 => (12..19u8).prop_map(|bits| Request::Compact { bits }),
        1 => Just(Request::Trim),
        2 => Just(Request::CreateSpace),
        1 => (1..3u8).prop_map(|space| Request::DestroySpace { space }),
    ]
}

fn failing() -> impl Strategy<Value = Option<Failing>> {
    let one = (1..90usize, any::<bool>()).prop_map(|(nth, lasts)| {
        Some(Failing { nth, error: KernelError::IllegalOperation, lasts })
    });
    prop_oneof![8 => Just(None), 1 => one]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    vec((request(), failing()), 4..40).prop_map(|mut steps| {
        let dense = Request::Dense { space: 1, large: 0, upper: false };
        let first = [Request::CreateSpace, dense, Request::PromoteFurther { steps: 3 }];
        steps.splice(0..0, first.map(|request| (request, None)));
        steps
    })
}

fn run(machine: &Machine, steps: &[Step]) {
    let arena = Arena::new();
    let rules = Rules { most_spaces: 4, most_regions: 8, ..Rules::LENIENT };
    let mut run = Run::new(Fixture::boot(&arena, machine.clone()), rules);
    for &(request, failing) in steps {
        let _ = run.step(request, failing);
        run.host.check();
        run.compare(Look::AtEnds);
    }
    run.give_all_back(true, &mut |_| {});
    run.destroy_all_spaces(&mut |_| {});
    run.host.check();
    run.compare(Look::AtAll);
}

fn dense_memory_is_what_it_was(target: Target) {
    explore_with(history(), 48, |steps| run(&Machine::roomy(target), &steps));
}

fn so_it_is_where_memory_is_short(target: Target) {
    let bits = target.large_bits();
    let large = (0..4).map(|number| (0x400_0000 + (number << bits), bits));
    let machine = Machine::with_ram(target, large.chain([(0x100_0000, 20)]).collect()).slots(13);
    explore_with(history(), 48, |steps| run(&machine, &steps));
}
