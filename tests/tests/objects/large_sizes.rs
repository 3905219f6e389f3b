// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects of large pages made smaller, larger and cloned.
//!
//! Checks A367 and A368 of `MODEL.md`.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MAX_PAGES, Piece, Refusal, Request, Resource, Rights, SPACE_SLOT,
};

use crate::large::{TARGETS, create, frame, large_of, read, unit, with_large, world, write};
use crate::world::{A, B, C, PAGE, Program, World};

const PAYER: &[u32] = &[A, ACCOUNT_SLOT];

/// What all programs may use, with so many large pages.
fn all(large: u32) -> Amounts {
    Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, large])
}

/// Asks until all is done; how often it was to be asked again.
#[track_caller]
fn finish(world: &mut World, program: Program, request: Request, slots: &[u32]) -> u32 {
    for times in 0..1000 {
        match world.ask(program, request, slots) {
            Ok(Answer::More {}) => world.check(),
            Ok(Answer::Done {}) => return times,
            other => panic!("{request:?}: {other:?}"),
        }
    }
    panic!("{request:?} does not end");
}

fn put(world: &mut World, program: Program, slot: u32, offset: usize, bytes: &[u8]) {
    let write = Request::Write { offset, piece: Piece::of(bytes) };
    let done = Answer::Bytes { bytes: bytes.len() as u32 };
    assert_eq!(world.ask(program, write, &[slot]), Ok(done));
}

#[track_caller]
fn get(world: &mut World, program: Program, slot: u32, offset: usize) -> [u8; 4] {
    match world.ask(program, Request::Read { offset, bytes: 4 }, &[slot]) {
        Ok(Answer::Piece { piece }) => piece.bytes().try_into().expect("four bytes"),
        other => panic!("{other:?}"),
    }
}

/// A367: what stays holds what it held, what comes is zero, and what goes is the account's again,
/// each large page cleared in pieces.
#[test]
fn large_memory_is_made_larger_and_smaller() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.program(with_large(3));
        let unit = unit(&world);
        let bytes = unit as usize * PAGE;
        create(&mut world, program, 1, A);
        put(&mut world, program, A, bytes - 4, b"kept");
        assert_eq!(finish(&mut world, program, Request::Resize { pages: 3 * unit }, PAYER), 0);
        assert_eq!(large_of(&mut world, program), 3);
        assert_eq!(get(&mut world, program, A, 3 * bytes - 4), [0; 4]);
        put(&mut world, program, A, bytes, b"2nd.");
        put(&mut world, program, A, 3 * bytes - 4, b"last");
        // As many as the account has.
        let resource = Resource::LargePages;
        let short = Refusal::OutOfAccount { resource, wanted: 1, left: 0 };
        world.refused(program, Request::Resize { pages: 4 * unit }, PAYER, short);
        // Two that are there go, each in so many pieces.
        let pieces = 2 * (unit / MAX_PAGES);
        assert_eq!(finish(&mut world, program, Request::Resize { pages: unit }, PAYER), pieces);
        assert_eq!(large_of(&mut world, program), 1);
        assert_eq!(get(&mut world, program, A, bytes - 4), *b"kept");
        let beyond = Request::Read { offset: bytes, bytes: 4 };
        let end = world.ask(program, beyond, &[A]);
        assert!(matches!(end, Err(Refusal::BeyondEnd { .. })), "{end:?}");
        // Who has them next finds nothing.
        create(&mut world, program, 2, B);
        let start = world.map(program, B, 2 * unit, Rights::READ_WRITE);
        for at in [0, bytes, 2 * bytes - 8] {
            assert_eq!(read(&mut world, program, start + at), [0; 8], "{at:#x}");
        }
        world.check();
    }
}

/// A367: not below what is mapped, not to nothing, not by another account, not where the address
/// of a page was told.
#[test]
fn large_memory_that_is_in_use_stays() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.driver(with_large(3));
        let unit = unit(&world);
        create(&mut world, program, 3, A);
        let map = Request::Map { address: 0, first: unit, pages: unit, rights: Rights::READ_WRITE };
        let mapped = world.ask(program, map, &[SPACE_SLOT, A, ACCOUNT_SLOT]);
        let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
        write(&mut world, program, address, &[5; 8]);
        let still = Refusal::StillMapped { pages: 2 * unit };
        world.refused(program, Request::Resize { pages: unit }, PAYER, still);
        world.refused(
            program,
            Request::Resize { pages: 0 },
            PAYER,
            Refusal::BadLength { pages: 0 },
        );
        let before = frame(&world, program, address);
        finish(&mut world, program, Request::Resize { pages: 2 * unit }, PAYER);
        finish(&mut world, program, Request::Resize { pages: 3 * unit }, PAYER);
        assert_eq!(frame(&world, program, address), before, "it is where it was");
        assert_eq!(read(&mut world, program, address), [5; 8]);
        world.ask(program, Request::Locate { page: 0 }, PAYER).unwrap();
        let pinned = Refusal::Pinned { place: 0 };
        world.refused(program, Request::Resize { pages: 2 * unit }, PAYER, pinned);
    }
}

/// A367: a page that is written again while it goes in pieces is cleared whole.
#[test]
fn a_large_page_that_is_used_again_is_cleared_again() {
    for &target in TARGETS {
        // Two, so that who has one next has this one.
        let mut world = World::of(target, all(2));
        let unit = unit(&world);
        let program = world.program(with_large(2));
        create(&mut world, program, 2, A);
        let bytes = unit as usize * PAGE;
        put(&mut world, program, A, 0, b"kept");
        put(&mut world, program, A, bytes, b"gone");
        let shrink = Request::Resize { pages: unit };
        assert_eq!(world.ask(program, shrink, PAYER), Ok(Answer::More {}));
        put(&mut world, program, A, bytes, b"back");
        assert_eq!(get(&mut world, program, A, bytes), *b"back");
        finish(&mut world, program, shrink, PAYER);
        create(&mut world, program, 1, B);
        put(&mut world, program, B, 4, b"next");
        assert_eq!(get(&mut world, program, B, 0), [0; 4], "nothing of it is left");
    }
}

/// A368: a clone holds what its origin held, in large pages of its own account's, copied in pieces;
/// what was never touched takes none. Neither sees what the other writes.
#[test]
fn large_memory_is_cloned_by_copying() {
    for &target in TARGETS {
        for mapped in [false, true] {
            let mut world = World::of(target, all(4));
            let program = world.program(with_large(4));
            let unit = unit(&world);
            let bytes = unit as usize * PAGE;
            world.refused(program, Request::Clone { slot: B }, PAYER, {
                Refusal::NoCapability { place: 0 }
            });
            create(&mut world, program, 2, A);
            put(&mut world, program, A, bytes + 8, b"here");
            put(&mut world, program, A, 2 * bytes - 4, b"last");
            if mapped {
                let start = world.map(program, A, 2 * unit, Rights::READ_WRITE);
                write(&mut world, program, start + bytes, &[7; 8]);
            }
            // The first was never touched, and the second comes in pieces of 32 pages.
            let times = finish(&mut world, program, Request::Clone { slot: B }, PAYER);
            assert_eq!(times, unit / 32 - 1);
            assert_eq!(large_of(&mut world, program), 4, "as long as its origin");
            match world.ask(program, Request::Info {}, &[B]) {
                Ok(Answer::Memory { pages, committed, mappings, .. }) => {
                    assert_eq!((pages, committed, mappings), (2 * unit, unit, 0));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(get(&mut world, program, B, bytes + 8), *b"here");
            assert_eq!(get(&mut world, program, B, 2 * bytes - 4), *b"last");
            assert_eq!(get(&mut world, program, B, bytes), if mapped { [7; 4] } else { [0; 4] });
            assert_eq!(get(&mut world, program, B, 0), [0; 4]);
            put(&mut world, program, A, bytes + 8, b"mine");
            put(&mut world, program, B, bytes + 12, b"your");
            assert_eq!(get(&mut world, program, B, bytes + 8), *b"here");
            assert_eq!(get(&mut world, program, A, bytes + 12), [0; 4]);
            let resource = Resource::LargePages;
            let short = Refusal::OutOfAccount { resource, wanted: 2, left: 0 };
            world.refused(program, Request::Clone { slot: C }, PAYER, short);
        }
    }
}

/// A368: a clone that is begun and given up gives its large pages back, zero.
#[test]
fn a_clone_of_large_memory_that_is_given_up_leaves_nothing() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.program(with_large(3));
        create(&mut world, program, 1, A);
        put(&mut world, program, A, 0, b"here");
        let clone = Request::Clone { slot: B };
        assert_eq!(world.ask(program, clone, PAYER), Ok(Answer::More {}));
        assert_eq!(large_of(&mut world, program), 2);
        // What it is made of changes.
        put(&mut world, program, A, 4, b"anew");
        world.reap();
        assert_eq!(large_of(&mut world, program), 1);
        create(&mut world, program, 2, C);
        for page in 0..2 {
            let start = (page * unit(&world)) as usize * PAGE;
            put(&mut world, program, C, start + 4, b"next");
            assert_eq!(get(&mut world, program, C, start), [0; 4]);
        }
        assert!(world.is_empty(program, B));
    }
}
