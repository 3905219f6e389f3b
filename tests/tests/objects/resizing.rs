// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects made smaller and larger.

use vmm::{Access, Invocation, RegionOptions};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MAX_RUNS, Refusal, Request, Resource, Rights,
    SPACE_SLOT,
};

use crate::support::Target;
use crate::world::{A, B, C, PAGE, Program, World, account};

const BOTH: &[u32] = &[A, ACCOUNT_SLOT];

fn resize(pages: u32) -> Request {
    Request::Resize { pages }
}

fn pages_of(world: &mut World, program: Program, slot: u32) -> (u32, u32) {
    match world.ask(program, Request::Info {}, &[slot]) {
        Ok(Answer::Memory { pages, committed, .. }) => (pages, committed),
        other => panic!("{other:?}"),
    }
}

/// Writes a number to a page of a program's.
fn write(world: &mut World, program: Program, address: usize, value: usize) {
    assert!(world.touch(program, address, Access::Write));
    world.fixture.write(program.id.space(), address, value as _);
}

#[track_caller]
fn holds(world: &mut World, program: Program, address: usize, value: usize) {
    assert!(world.touch(program, address, Access::Read));
    assert_eq!(world.fixture.read(program.id.space(), address), value as _);
}

/// A161
#[test]
fn what_grows_keeps_what_it_holds_and_is_charged() {
    // With room behind it in the store, and with other memory there.
    for crowded in [false, true] {
        let (mut world, program) = World::one();
        world.memory(program, 4, A);
        if crowded {
            world.memory(program, 4, B);
        }
        let before = world.used(program, ACCOUNT_SLOT);
        let start = world.map(program, A, 4, Rights::READ_WRITE);
        write(&mut world, program, start + 3 * PAGE, 7);
        for pages in [5, 30, 31] {
            assert_eq!(world.ask(program, resize(pages), BOTH), Ok(Answer::Done {}));
            assert_eq!(pages_of(&mut world, program, A), (pages, 1));
        }
        // What was mapped shows it still, and brings pages.
        holds(&mut world, program, start + 3 * PAGE, 7);
        write(&mut world, program, start, 8);
        let again = world.map(program, A, 31, Rights::READ_WRITE);
        for (page, value) in [(0, 8), (3, 7), (4, 0), (30, 0)] {
            holds(&mut world, program, again + page * PAGE, value);
        }
        let used = world.used(program, ACCOUNT_SLOT).of(Resource::Pages);
        assert_eq!(used, before.of(Resource::Pages) + 27);
        for address in [start, again] {
            world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
        }
        world.finish(program, resize(4), BOTH);
        assert_eq!(world.used(program, ACCOUNT_SLOT), before);
    }
}

/// A161
#[test]
fn what_shrinks_gives_back_and_is_zero_when_it_grows_again() {
    let (mut world, program) = World::one();
    world.memory(program, 200, A);
    let start = world.map(program, A, 200, Rights::READ_WRITE);
    for page in 0..200 {
        write(&mut world, program, start + page * PAGE, page + 1);
    }
    world.refused(program, resize(199), BOTH, Refusal::StillMapped { pages: 200 });
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    let map = Request::Map { address: 0, first: 2, pages: 3, rights: Rights::READ };
    world.ask(program, map, &[SPACE_SLOT, A, ACCOUNT_SLOT]).unwrap();
    world.refused(program, resize(4), BOTH, Refusal::StillMapped { pages: 5 });
    let before = world.used(program, ACCOUNT_SLOT).of(Resource::Pages);
    // 195 pages are three requests' work, and as long as it is not done nothing comes back.
    for _ in 0..3 {
        assert_eq!(world.ask(program, resize(5), BOTH), Ok(Answer::More {}));
        assert_eq!(world.used(program, ACCOUNT_SLOT).of(Resource::Pages), before);
    }
    assert_eq!(world.ask(program, resize(5), BOTH), Ok(Answer::Done {}));
    assert_eq!(world.used(program, ACCOUNT_SLOT).of(Resource::Pages), before - 195);
    assert_eq!(pages_of(&mut world, program, A), (5, 5));
    assert_eq!(world.ask(program, resize(7), BOTH), Ok(Answer::Done {}));
    let start = world.map(program, A, 7, Rights::READ);
    holds(&mut world, program, start + 4 * PAGE, 5);
    holds(&mut world, program, start + 5 * PAGE, 0);
}

/// A161
#[test]
fn a_size_that_cannot_be_is_refused() {
    let (mut world, program) = World::one();
    world.memory(program, 70, A);
    world.memory(program, 1, B);
    world.refused(program, resize(0), BOTH, Refusal::BadLength { pages: 0 });
    let beyond = world.ask(program, resize(100_000), BOTH);
    assert!(matches!(beyond, Err(Refusal::OutOfAccount { resource: Resource::Pages, .. })));
    assert!(world.ask(program, resize(u32::MAX), BOTH).is_err());
    let small = Amounts([20, 6, 20, 2, 0, 8, 20, 0]);
    world.ask(program, account(small, AccountOptions::empty(), C), &[ACCOUNT_SLOT]).unwrap();
    world.refused(program, resize(80), &[A, C], Refusal::NotPayer {});
    world.refused(
        program,
        resize(80),
        &[C, ACCOUNT_SLOT],
        Refusal::WrongKind { place: 0, found: vmm_service::objects::protocol::Kind::Account },
    );
}

/// A161: there is no room behind it, so its pages move: no kernel call is made for any of them.
#[test]
fn many_pages_move_where_they_came_one_after_the_other() {
    let (mut world, program) = World::one();
    world.memory(program, 200, A);
    world.memory(program, 1, B);
    let start = world.map(program, A, 200, Rights::READ_WRITE);
    for page in 0..200 {
        write(&mut world, program, start + page * PAGE, page);
    }
    let calls = world.fixture.vmm.kernel_calls();
    assert_eq!(world.ask(program, resize(210), BOTH), Ok(Answer::Done {}));
    let calls = world.fixture.vmm.kernel_calls().since(&calls);
    let of_pages = [Invocation::PageMap, Invocation::PageUnmap, Invocation::PageRemap];
    assert_eq!(of_pages.map(|call| calls.of(call)), [0; 3]);
    for page in [0, 77, 199] {
        holds(&mut world, program, start + page * PAGE, page);
    }
    let again = world.map(program, A, 210, Rights::READ);
    holds(&mut world, program, again + 150 * PAGE, 150);
    holds(&mut world, program, again + 205 * PAGE, 0);
}

/// A161: but not where more lie each by itself than one request moves.
#[test]
fn pages_that_lie_scattered_do_not_move() {
    for (runs, moves) in [(MAX_RUNS as usize, true), (MAX_RUNS as usize + 1, false)] {
        let (mut world, program) = World::one();
        let pages = 2 * runs as u32;
        world.memory(program, pages, A);
        world.memory(program, 1, B);
        let start = world.map(program, A, pages, Rights::READ_WRITE);
        for run in 0..runs {
            write(&mut world, program, start + 2 * run * PAGE, run);
        }
        let grown = world.ask(program, resize(pages + 10), BOTH);
        let expected = if moves { Ok(Answer::Done {}) } else { Err(Refusal::NoRoom {}) };
        assert_eq!(grown, expected, "{runs} runs");
        holds(&mut world, program, start + 64 * PAGE, 32);
    }
}

/// A program with memory of so many pages in A, of which more lie each by itself than one request
/// moves, and with other memory in B behind a hole of `hole` pages.
fn scattered(pages: u32, hole: u32) -> (World, Program) {
    let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, 0]);
    let mut world = World::of(Target::Ia32, all);
    let program = world.program(Amounts([2000, 100, 4000, 20, 10, 100, 300, 0]));
    world.memory(program, pages, A);
    world.memory(program, hole, C);
    world.memory(program, 1, B);
    world.finish(program, Request::Destroy {}, &[C]);
    world.reap();
    scatter(&mut world, program);
    (world, program)
}

fn scatter(world: &mut World, program: Program) {
    let runs = MAX_RUNS + 1;
    let start = world.map(program, A, 2 * runs, Rights::READ_WRITE);
    for run in 0..runs as usize {
        write(world, program, start + 2 * run * PAGE, run);
    }
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
}

/// A161: memory grows where it is, as far as nothing lies behind it, and where it had its pages
/// before.
#[test]
fn pages_that_lie_scattered_stay_where_there_is_room() {
    let pages = 2 * (MAX_RUNS + 1);
    let (mut world, program) = scattered(pages, 20);
    world.refused(program, resize(pages + 21), BOTH, Refusal::NoRoom {});
    assert_eq!(world.ask(program, resize(pages + 20), BOTH), Ok(Answer::Done {}));
    world.refused(program, resize(pages + 21), BOTH, Refusal::NoRoom {});
    // Its addresses stay its own.
    world.finish(program, resize(pages + 10), BOTH);
    world.memory(program, 10, C);
    assert_eq!(world.ask(program, resize(pages + 20), BOTH), Ok(Answer::Done {}));
    let start = world.map(program, A, pages + 20, Rights::READ_WRITE);
    holds(&mut world, program, start + 64 * PAGE, 32);
    write(&mut world, program, start + (pages as usize + 19) * PAGE, 7);
}

/// A161: what is short is told, also where there is another reason that it cannot move.
#[test]
fn pages_that_lie_scattered_lack_memory_not_room() {
    let pages = 2 * (MAX_RUNS + 1);
    let (mut world, program) = scattered(pages, 20);
    world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
    // Pages, and then what regions are recorded in.
    let own = world.fixture.vmm.own_space();
    let vmm = &mut world.fixture.vmm;
    let mut ballast = Vec::new();
    for size in [64, 1] {
        while let Ok(region) = vmm.map(own, &RegionOptions::new(size)) {
            ballast.push(region);
        }
    }
    while let Ok(region) = vmm.reserve(own, &RegionOptions::new(1)) {
        ballast.push(region);
    }
    let grown = world.ask(program, resize(pages + 10), BOTH);
    assert!(matches!(grown, Err(Refusal::OutOfMemory { .. })), "{grown:?}");
    for region in ballast {
        world.fixture.vmm.release(region).expect("a region");
    }
    assert_eq!(world.ask(program, resize(pages + 10), BOTH), Ok(Answer::Done {}));
}

/// A161: what has moved has room for as much again, and for no more where other memory lies behind.
#[test]
fn what_has_moved_grows_in_place() {
    let pages = 2 * (MAX_RUNS + 1);
    let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, 0]);
    let mut world = World::of(Target::Ia32, all);
    let program = world.program(Amounts([2000, 100, 4000, 20, 10, 100, 300, 0]));
    world.memory(program, 4, A);
    world.memory(program, 1, B);
    assert_eq!(world.ask(program, resize(pages), BOTH), Ok(Answer::Done {}));
    // More than is free before it.
    world.memory(program, 8, C);
    scatter(&mut world, program);
    assert_eq!(world.ask(program, resize(2 * pages), BOTH), Ok(Answer::Done {}));
    world.refused(program, resize(2 * pages + 1), BOTH, Refusal::NoRoom {});
    let start = world.map(program, A, 2 * pages, Rights::READ);
    holds(&mut world, program, start + 64 * PAGE, 32);
    holds(&mut world, program, start + (2 * pages as usize - 1) * PAGE, 0);
}
