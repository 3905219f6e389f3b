// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects of large pages: what is left where calls fail and where something is short, and
//! how the pages are set aside.

use vmm::Blueprint;
use vmm_service::objects::Objects;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Refusal, Request, Resource, Rights, SPACE_SLOT,
};

use crate::large::{TARGETS, create, large_of, unit, with_large, world, write};
use crate::support::ballast::{Ballast, ENOUGH};
use crate::support::{Fixture, Machine, Target};
use crate::world::{A, PAGE, only};

/// A286: whichever call fails of mapping, touching, unmapping and ending, nothing is lost.
#[test]
fn a_refused_call_loses_no_large_page() {
    let mut failures = 0;
    for step in 0..4 {
        for nth in 1.. {
            let mut world = world(Target::Ia32);
            let program = world.program(with_large(2));
            let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
            let unit = unit(&world);
            create(&mut world, program, 2, A);
            let mut start = None;
            let mut failed = false;
            let rights = Rights::READ_WRITE;
            let map = Request::Map { address: 0, first: 0, pages: 2 * unit, rights };
            let asked: [&dyn Fn(usize) -> (Request, Vec<u32>); 4] = [
                &|_| (map, vec![SPACE_SLOT, A, ACCOUNT_SLOT]),
                &|address| (Request::Populate { address, pages: 2 * unit }, vec![SPACE_SLOT]),
                &|address| (Request::Unmap { address }, vec![SPACE_SLOT]),
                &|_| (Request::Destroy {}, vec![A]),
            ];
            for (at, make) in asked.iter().enumerate() {
                let (request, slots) = make(start.unwrap_or(0));
                if at == step {
                    let error = vmm::KernelError::NotEnoughMemory;
                    world.fixture.kernel().fail_nth(nth, error);
                }
                let mut answer = world.ask(program, request, &slots);
                if at == step {
                    failed = !world.fixture.kernel().disarm();
                }
                while answer == Ok(Answer::More {}) || failed && answer.is_err() {
                    answer = world.ask(program, request, &slots);
                }
                match answer {
                    Ok(Answer::Mapped { address }) => start = Some(address),
                    other => assert!(other.is_ok(), "{request:?}: {other:?}"),
                }
                if at == 1 {
                    write(&mut world, program, start.unwrap() + 8, &[7; 8]);
                }
            }
            world.reap();
            let after = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
            assert_eq!(after, before, "step {step}, call {nth}");
            failures += usize::from(failed);
            if !failed {
                break;
            }
        }
    }
    assert!(failures > 6, "{failures} calls failed");
}

/// A286: with n pages, slots or nodes left to map a large page when it is touched: it is mapped, or
/// nothing has changed and it is later.
#[test]
fn want_of_anything_loses_no_large_page() {
    let loads: [fn(&mut Fixture<'static>, usize) -> Ballast; 3] = [
        |f, n| Ballast::of_memory(f, n),
        |f, n| Ballast::of_slots(f, n),
        |f, n| Ballast::of_nodes(f, n),
    ];
    let mut refused = 0;
    for load in loads {
        let mut world = world(Target::Ia32);
        let program = world.program(with_large(2));
        let unit = unit(&world);
        create(&mut world, program, 2, A);
        let address = world.map(program, A, 2 * unit, Rights::READ_WRITE);
        let populate = Request::Populate { address, pages: 2 * unit };
        for left in 0.. {
            let ballast = load(&mut world.fixture, left);
            let answer = world.ask(program, populate, &[SPACE_SLOT]);
            ballast.drop(&mut world.fixture);
            match answer {
                Ok(answer) => {
                    assert_eq!(answer, Answer::Pages { pages: 2 * unit });
                    break;
                }
                Err(refusal) => assert_eq!(refusal, Refusal::OutOfMemory {}, "{left} left"),
            }
            refused += 1;
            assert!(left < ENOUGH, "it needs more than it should");
        }
        write(&mut world, program, address + unit as usize * PAGE, &[7; 8]);
        world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
        world.finish(program, Request::Destroy {}, &[A]);
        assert_eq!(large_of(&mut world, program), 0);
    }
    assert!(refused > 0, "nothing was short");
}

/// A289: all that are asked for are set aside, whatever one call may clear, or none; and they are
/// memory as any other when the service ends.
#[test]
fn large_pages_are_set_aside_together_and_given_back() {
    for &target in TARGETS {
        let machine = Machine { most_cleared: 1 << 18, ..Machine::roomy(target) };
        let mut fixture = Fixture::new(machine);
        // The service asks for it in words.
        fixture.kernel().bound_calls(None);
        let endpoint = fixture.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
        let amounts = |large| only(Resource::LargePages, large);
        let free = |fixture: &mut Fixture<'_>| {
            fixture.vmm.trim().unwrap();
            fixture.vmm.stats().free_bytes()
        };
        // Once, for what is kept for records.
        let objects = Objects::new(&mut fixture.vmm, endpoint, amounts(1)).unwrap();
        objects.close(&mut fixture.vmm).unwrap();
        let before = free(&mut fixture);
        let bytes = if target == Target::Ia32 { 4 << 20 } else { 2 << 20 };
        let objects = Objects::new(&mut fixture.vmm, endpoint, amounts(2)).unwrap();
        assert!(before - free(&mut fixture) >= 2 * bytes, "they are nobody else's");
        objects.validate(&fixture.vmm).unwrap();
        fixture.check();
        objects.close(&mut fixture.vmm).unwrap();
        let after = free(&mut fixture);
        assert!(before - after < bytes / 8, "{before} bytes, then {after}");
        // More than there is: nothing of it stays.
        let refused = Objects::new(&mut fixture.vmm, endpoint, amounts(1000)).err();
        let refused = refused.expect("there is not as much");
        assert_eq!(refused.blame(), vmm::Blame::Resource);
        fixture.check();
        assert!(after - free(&mut fixture) < bytes / 2);
    }
}

/// A289: a page of records is taken where large pages are set aside, and none where there are none.
#[test]
fn records_of_large_pages_are_taken_for_those_alone() {
    let mut fixture = Fixture::new(Machine::roomy(Target::Ia32));
    fixture.kernel().bound_calls(None);
    let endpoint = fixture.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
    let taken = [0, 0, 1, 2].map(|large| {
        let before = fixture.vmm.stats().bookkeeping_pages;
        let amounts = only(Resource::LargePages, large);
        let objects = Objects::new(&mut fixture.vmm, endpoint, amounts).unwrap();
        objects.close(&mut fixture.vmm).unwrap();
        fixture.vmm.stats().bookkeeping_pages - before
    });
    // The first has the manager's own records made, too.
    assert_eq!([taken[2] - taken[1], taken[3] - taken[1]], [1, 1], "{taken:?}");
}
