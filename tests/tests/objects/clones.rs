// SPDX-License-Identifier: BSD-2-Clause
//! Clones of more pages than one request does.
//!
//! Checks A231 to A233 of `MODEL.md`.

use untyped_alloc::kernel::KernelError;
use vmm::Access::{Read, Write};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, PAGE_BYTES, Piece, Refusal, Request, Resource,
    Rights, SPACE_SLOT, Supply,
};

use crate::support::Target;
use crate::time::woken;
use crate::world::{A, B, C, D, PAGE, Program, World, account};

const BOTH: Rights = Rights::READ_WRITE;
const MANY: Amounts = Amounts([1900, 100, 2500, 20, 10, 100, 300, 0]);
const FROM: &[u32] = &[A, ACCOUNT_SLOT];
const CLONE: Request = Request::Clone { slot: B };

/// A program with memory of so many pages in A, all there but every seventh from the third on: each
/// with its number in it.
fn filled(pages: usize) -> (World, Program) {
    let mut world = World::new();
    let program = world.program(MANY);
    world.memory(program, pages as u32, A);
    for page in (0..pages).filter(|page| is_there(*page)) {
        write(&mut world, program, A, page, page as u8 + 1);
    }
    (world, program)
}

fn is_there(page: usize) -> bool {
    page % 7 != 3
}

fn write(world: &mut World, program: Program, slot: u32, page: usize, value: u8) {
    let request = Request::Write { offset: page * PAGE_BYTES, piece: Piece::of(&[value]) };
    assert_eq!(world.ask_quickly(program, request, &[slot]), Ok(Answer::Bytes { bytes: 1 }));
}

fn read(world: &mut World, program: Program, slot: u32, page: usize) -> u8 {
    let request = Request::Read { offset: page * PAGE_BYTES, bytes: 1 };
    match world.ask_quickly(program, request, &[slot]) {
        Ok(Answer::Piece { piece }) => piece.bytes()[0],
        other => panic!("{other:?}"),
    }
}

/// What the first bytes of all pages are.
fn contents(world: &mut World, program: Program, slot: u32, pages: usize) -> Vec<u8> {
    (0..pages).map(|page| read(world, program, slot, page)).collect()
}

fn as_filled(pages: usize) -> Vec<u8> {
    (0..pages).map(|page| if is_there(page) { page as u8 + 1 } else { 0 }).collect()
}

fn figures(world: &mut World, program: Program) -> ([usize; 4], Amounts) {
    world.reap();
    (world.objects.counts(), world.used(program, ACCOUNT_SLOT))
}

/// A231: in pieces, and both are what they were.
#[test]
fn a_clone_of_many_pages_is_made_in_pieces() {
    let (mut world, program) = filled(230);
    let there = (0..230).filter(|&page| is_there(page)).count();
    let mut pieces = 1;
    while world.ask(program, CLONE, FROM) == Ok(Answer::More {}) {
        assert!(world.is_empty(program, B), "there is no capability before it is done");
        pieces += 1;
    }
    assert_eq!(pieces, there.div_ceil(64));
    let Ok(Answer::Memory { pages: 230, committed, mappings: 0, .. }) =
        world.ask(program, Request::Info {}, &[B])
    else {
        panic!("it is no memory object")
    };
    assert_eq!(committed as usize, there);
    let (origin, clone) =
        (contents(&mut world, program, A, 230), contents(&mut world, program, B, 230));
    assert_eq!((&origin, &clone), (&as_filled(230), &as_filled(230)));
    // Neither sees what is written to the other.
    write(&mut world, program, A, 100, 9);
    write(&mut world, program, B, 200, 8);
    let start = world.map(program, B, 230, BOTH);
    assert!(world.touch(program, start + 5 * PAGE, Write));
    world.fixture.write(program.id.space(), start + 5 * PAGE, 77);
    assert_eq!(read(&mut world, program, A, 5), 6);
    assert_eq!(read(&mut world, program, B, 100), 101);
    assert_eq!(read(&mut world, program, A, 200), 201);
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    // A clone of the clone, and of the origin, whose pages several have.
    for (from, into) in [(B, C), (A, D)] {
        world.finish(program, Request::Clone { slot: into }, &[from, ACCOUNT_SLOT]);
        let both =
            (contents(&mut world, program, from, 230), contents(&mut world, program, into, 230));
        assert_eq!(both.0, both.1);
    }
    for slot in [A, B, C, D] {
        world.finish(program, Request::Destroy {}, &[slot]);
    }
}

/// A231: what is sparse has many pages and few that are there; what is all there begins and ends
/// with pieces.
#[test]
fn pieces_end_where_the_pages_do() {
    for pages in [65, 128, 129] {
        let mut world = World::new();
        let program = world.program(MANY);
        world.memory(program, 600, A);
        for page in 0..pages {
            write(&mut world, program, A, 599 - 3 * page, page as u8 + 1);
        }
        let mut pieces = 1;
        while world.ask(program, CLONE, FROM) == Ok(Answer::More {}) {
            pieces += 1;
        }
        assert!(pieces == pages.div_ceil(64) || pieces == pages.div_ceil(64) + 1, "{pieces}");
        let both = (contents(&mut world, program, A, 600), contents(&mut world, program, B, 600));
        assert_eq!(both.0, both.1);
    }
}

/// A232: whatever changes the origin, whoever does it, ends the clone that is being made; and it is
/// begun anew.
#[test]
fn a_change_of_the_origin_ends_what_is_being_made() {
    let memory = |world: &mut World, program| world.memory(program, 200, C);
    type Change = fn(&mut World, Program);
    let changes: [Change; 5] = [
        |world, program| write(world, program, C, 3, 200),
        |world, program| write(world, program, C, 0, 200),
        |world, program| {
            let start = world.map(program, C, 200, BOTH);
            assert!(world.touch(program, start, Write));
            world.fixture.write(program.id.space(), start, 200);
            world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
        },
        |world, program| world.finish(program, Request::Resize { pages: 150 }, &[C, ACCOUNT_SLOT]),
        |world, program| world.finish(program, Request::Resize { pages: 250 }, &[C, ACCOUNT_SLOT]),
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let mut world = World::new();
        let (owner, other) = (world.program(MANY), world.program(MANY));
        memory(&mut world, owner);
        for page in 0..200 {
            write(&mut world, owner, C, page, 1);
        }
        world.copy((owner, C), (other, A));
        let before = figures(&mut world, other);
        assert_eq!(world.ask(other, CLONE, FROM), Ok(Answer::More {}));
        assert_eq!(world.objects.clones_being_made(), 1);
        change(&mut world, owner);
        assert_eq!(world.objects.clones_being_made(), 0, "change {nth}");
        assert_eq!(figures(&mut world, other).1, before.1, "what it had is back");
        world.finish(other, CLONE, FROM);
        let Ok(Answer::Memory { pages, .. }) = world.ask(owner, Request::Info {}, &[C]) else {
            panic!()
        };
        let pages = pages as usize;
        let both = (contents(&mut world, owner, C, pages), contents(&mut world, other, B, pages));
        assert_eq!(both.0, both.1, "change {nth}");
    }
}

/// A232: what only looks at it, or makes another clone, ends nothing.
#[test]
fn who_only_reads_ends_nothing() {
    let (mut world, program) = filled(200);
    let other = world.program(MANY);
    world.copy((program, A), (other, A));
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    assert_eq!(read(&mut world, other, A, 151), 152);
    assert_eq!(read(&mut world, other, A, 3), 0);
    world.finish(other, CLONE, FROM);
    assert_eq!(world.objects.clones_being_made(), 1);
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::Done {}));
    for (program, slot) in [(program, B), (other, B)] {
        assert_eq!(contents(&mut world, program, slot, 200), as_filled(200));
    }
}

/// A232: it ends with the program, the account that pays, the origin; and when another is begun.
#[test]
fn what_is_being_made_ends_with_its_parts() {
    let small = Amounts([300, 20, 20, 2, 3, 10, 20, 0]);
    for end in 0..5 {
        let (mut world, owner) = filled(200);
        let other = world.program(MANY);
        world.copy((owner, A), (other, A));
        let before = figures(&mut world, owner);
        world.ask(other, account(small, AccountOptions::empty(), C), &[ACCOUNT_SLOT]).unwrap();
        assert_eq!(world.ask(other, CLONE, &[A, C]), Ok(Answer::More {}));
        match end {
            0 => world.objects.kill(other.id).unwrap(),
            1 => world.finish(other, Request::Destroy {}, &[C]),
            2 => world.finish(owner, Request::Destroy {}, &[A]),
            3 => {
                // Another slot, another payer: another clone.
                let another = Request::Clone { slot: D };
                assert_eq!(
                    world.ask(other, another, &[A, C]),
                    Err(Refusal::OutOfAccount {
                        resource: Resource::Pages,
                        wanted: 200,
                        left: 100
                    })
                );
                assert_eq!(
                    world.objects.clones_being_made(),
                    1,
                    "one that is refused ends nothing"
                );
                world.finish(other, another, &[A, ACCOUNT_SLOT]);
                assert_eq!(contents(&mut world, other, D, 200), as_filled(200));
                world.finish(other, Request::Destroy {}, &[D]);
            }
            _ => {
                let info = world.ask(other, Request::Info {}, &[C]);
                assert!(matches!(info, Ok(Answer::Account { .. })));
                world.finish(other, CLONE, &[A, C]);
                world.finish(other, Request::Destroy {}, &[B]);
            }
        }
        world.reap();
        assert_eq!(world.objects.clones_being_made(), 0);
        if end != 0 && end != 1 {
            let Ok(Answer::Account { used, .. }) = world.ask(other, Request::Info {}, &[C]) else {
                panic!()
            };
            assert_eq!(used.of(Resource::Pages), 0, "{end}");
        }
        if end == 2 {
            assert!(world.is_empty(other, A));
            continue;
        }
        assert_eq!(figures(&mut world, owner).1, before.1);
        assert_eq!(contents(&mut world, owner, A, 200), as_filled(200));
    }
}

/// A232: who goes on into the same slot with another origin, or by another account, has a clone of
/// that, and that one pays.
#[test]
fn another_origin_and_another_payer_are_another_clone() {
    let (mut world, program) = filled(200);
    world.memory(program, 200, D);
    write(&mut world, program, D, 0, 99);
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    world.finish(program, CLONE, &[D, ACCOUNT_SLOT]);
    assert_eq!(read(&mut world, program, B, 0), 99);
    assert_eq!(read(&mut world, program, B, 199), 0);
    world.finish(program, Request::Destroy {}, &[B]);

    let large = Amounts([300, 20, 20, 2, 3, 10, 20, 0]);
    world.ask(program, account(large, AccountOptions::empty(), C), &[ACCOUNT_SLOT]).unwrap();
    let paid = |world: &mut World| world.used(program, C).of(Resource::Pages);
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    world.finish(program, CLONE, &[A, C]);
    world.reap();
    assert_eq!(paid(&mut world), 200);
    assert_eq!(contents(&mut world, program, B, 200), as_filled(200));
}

/// A233: what cannot be is refused before anything is made, or with the piece; nothing is left.
#[test]
fn a_clone_that_is_refused_leaves_nothing() {
    let (mut world, program) = filled(200);
    let occupied = Refusal::SlotOccupied { slot: A };
    world.refused(program, Request::Clone { slot: A }, FROM, occupied);
    world.refused(program, Request::Clone { slot: 600 }, FROM, Refusal::BadSlot { slot: 600 });
    // A slot that is filled meanwhile.
    let before = figures(&mut world, program);
    for _ in 0..2 {
        assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    }
    world.copy((program, A), (program, B));
    let occupied = Refusal::SlotOccupied { slot: B };
    assert_eq!(world.ask(program, CLONE, FROM), Err(occupied));
    assert_eq!(world.objects.clones_being_made(), 0);
    world.delete(program, B);
    assert_eq!(figures(&mut world, program), before);
    // An account that has no badge for it at the end: its own is its parent's matter.
    let few = Amounts([300, 20, 20, 2, 3, 0, 20, 0]);
    let child = account(few, AccountOptions::empty(), C);
    world.ask(program, child, &[ACCOUNT_SLOT]).unwrap();
    for _ in 0..2 {
        assert_eq!(world.ask(program, CLONE, &[A, C]), Ok(Answer::More {}));
    }
    let short = Refusal::OutOfAccount { resource: Resource::Badges, wanted: 1, left: 0 };
    assert_eq!(world.ask(program, CLONE, &[A, C]), Err(short));
    world.finish(program, Request::Destroy {}, &[C]);
    assert_eq!(figures(&mut world, program), before);
}

/// A162 A231: a clone whose capability the guarantee lacks for now waits with what is cloned already,
/// and is done when that has come back.
#[test]
fn a_clone_that_waits_for_its_account_goes_on() {
    for (pages, mapped, before) in [(80, false, 1), (200, true, 5), (20, true, 0)] {
        let (mut world, program) = filled(pages);
        if mapped {
            world.map(program, A, 1, Rights::READ);
        }
        let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
        world.ask(program, account(MANY, waits, C), &[ACCOUNT_SLOT]).unwrap();
        // The last badges that there are.
        world.memory(program, 1, D);
        let left = MANY.minus(world.used(program, ACCOUNT_SLOT)).unwrap();
        let amounts = Amounts::NONE.with(Resource::Badges, left.of(Resource::Badges) - 1);
        let rest = account(amounts, AccountOptions::empty(), D + 1);
        world.ask(program, rest, &[ACCOUNT_SLOT]).unwrap();
        for _ in 0..before {
            assert_eq!(world.ask(program, CLONE, &[A, C]), Ok(Answer::More {}));
        }
        let slot = world.ask_to_wait(program, CLONE, &[A, C]).expect("it waits for a badge");
        assert_eq!((world.objects.waiting(), world.objects.clones_being_made()), (1, 1));
        world.reap();
        assert_eq!(woken(&mut world), []);
        assert!(world.is_empty(program, B));
        world.finish(program, Request::Destroy {}, &[D]);
        assert_eq!(woken(&mut world), [(slot, Ok(Answer::Done {}))], "{pages} pages");
        assert_eq!(world.objects.clones_being_made(), 0);
        assert_eq!(contents(&mut world, program, B, pages), as_filled(pages));
    }
}

/// A262: a page that a pager shares is copied, as are those behind it.
#[test]
fn what_is_shared_is_copied() {
    for pages in [5, 90] {
        let (mut world, program) = filled(pages);
        let paged = Request::CreatePaged { pages: 4, most: 2, slot: C };
        world.ask(program, paged, &[ACCOUNT_SLOT]).unwrap();
        let (first, from, how) = (0, pages as u32 - 3, Supply::Share);
        let supply = Request::Supply { first, pages: 1, from, how, write: true, wait: 0 };
        world.ask(program, supply, &[C, A]).unwrap();
        world.finish(program, CLONE, FROM);
        assert_eq!(contents(&mut world, program, B, pages), as_filled(pages));
        let start = world.map(program, C, 1, BOTH);
        assert!(world.touch(program, start, Write));
        world.fixture.write(program.id.space(), start, 99);
        let both = [A, B].map(|slot| read(&mut world, program, slot, pages - 3));
        assert_eq!(both, [99, as_filled(pages)[pages - 3]]);
    }
}

/// A262: what is mapped is cloned at once, or in pieces; its mappings stay as they are, and neither
/// sees what is written to the other.
#[test]
fn what_is_mapped_is_cloned() {
    for (pages, requests) in [(20, 1), (37, 1), (38, 2), (200, 6)] {
        let (mut world, program) = filled(pages);
        let starts = [(); 2].map(|()| world.map(program, A, pages as u32, BOTH));
        for start in starts {
            assert!(world.touch(program, start, Write) && world.touch(program, start + PAGE, Read));
        }
        let mappings = |world: &World| {
            let kernel = world.fixture.kernel();
            let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
            starts.map(|start| [start, start + PAGE].map(|at| kernel.mapping(vspace, at)))
        };
        let before = mappings(&world);
        assert!(before.iter().flatten().all(Option::is_some));
        let mut asked = 1;
        while world.ask(program, CLONE, FROM) == Ok(Answer::More {}) {
            assert!(world.is_empty(program, B), "there is no capability before it is done");
            asked += 1;
        }
        assert_eq!(asked, requests, "{pages} pages");
        let there = (0..pages).filter(|&page| is_there(page)).count();
        let Ok(Answer::Memory { committed, mappings: 0, .. }) =
            world.ask(program, Request::Info {}, &[B])
        else {
            panic!("it is no memory object")
        };
        assert_eq!(committed as usize, there);
        assert_eq!(mappings(&world), before, "they stay as they are");
        assert_eq!(contents(&mut world, program, B, pages), as_filled(pages));
        world.fixture.write(program.id.space(), starts[0], 77);
        write(&mut world, program, B, 1, 88);
        let firsts = [A, B].map(|slot| read(&mut world, program, slot, 0));
        let seconds = [A, B].map(|slot| read(&mut world, program, slot, 1));
        assert_eq!((firsts, seconds), ([77, 1], [2, 88]));
        // A clone of the clone takes no copies.
        world.finish(program, Request::Clone { slot: C }, &[B, ACCOUNT_SLOT]);
        assert_eq!(read(&mut world, program, C, 1), 88);
        world.ask(program, Request::Unmap { address: starts[1] }, &[SPACE_SLOT]).unwrap();
    }
}

/// A262: what is written between two pieces is in the clone where its turn comes later; a request
/// that changes the object has the clone begun anew.
#[test]
fn what_is_written_between_pieces_is_seen_by_turns() {
    for by_request in [false, true] {
        let (mut world, program) = filled(100);
        let start = world.map(program, A, 100, BOTH);
        assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
        for page in [0, 99] {
            if by_request {
                write(&mut world, program, A, page, 222);
            } else {
                assert!(world.touch(program, start + page * PAGE, Write));
                world.fixture.write(program.id.space(), start + page * PAGE, 222);
            }
        }
        assert_eq!(world.objects.clones_being_made(), usize::from(!by_request));
        world.finish(program, CLONE, FROM);
        let seen = [0, 99].map(|page| read(&mut world, program, B, page));
        assert_eq!(seen, if by_request { [222, 222] } else { [1, 222] });
    }
}

/// A262: few pages of many are found: a request looks at so many as are not there, and no more.
#[test]
fn few_pages_of_many_are_copied() {
    let mut world = World::of(Target::Ia32, Amounts([3000, 1000, 20_000, 500, 200, 4000, 9000, 0]));
    let program = world.program(Amounts([2500, 100, 4000, 20, 10, 100, 300, 0]));
    world.memory(program, 1100, A);
    for page in [0, 1090] {
        write(&mut world, program, A, page, 5);
    }
    world.map(program, A, 1100, Rights::READ);
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
    assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::Done {}));
    assert_eq!([0, 700, 1090].map(|page| read(&mut world, program, B, page)), [5, 0, 5]);
}

/// A233: each call of each piece is refused in its turn: nothing of the clone is left, and the next
/// try succeeds.
#[test]
fn a_clone_of_which_a_piece_fails_is_made_anew() {
    let (mut failures, mut kept) = (0, 0);
    for (piece, mapped) in [(0, false), (1, false), (0, true), (1, true)] {
        for nth in (1..12).chain([20, 30, 40, 1000]) {
            let (mut world, program) = filled(80);
            if mapped {
                world.map(program, A, 1, Rights::READ);
            }
            let before = figures(&mut world, program);
            if piece == 1 {
                assert_eq!(world.ask(program, CLONE, FROM), Ok(Answer::More {}));
            }
            world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
            let asked = world.ask(program, CLONE, FROM);
            let failed = !world.fixture.kernel().disarm();
            if let Err(refusal) = asked {
                let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                assert!(own && failed, "piece {piece}, call {nth}: {refusal:?}");
                failures += 1;
                assert_eq!(figures(&mut world, program), before, "piece {piece}, call {nth}");
                assert!(world.is_empty(program, B));
            }
            // What was copied before is not copied again: the request has done that.
            kept += usize::from(failed && asked == Ok(Answer::More {}));
            if asked != Ok(Answer::Done {}) {
                world.finish(program, CLONE, FROM);
            }
            for slot in [A, B] {
                assert_eq!(contents(&mut world, program, slot, 80), as_filled(80));
            }
            // The origin can be written where it lies.
            let start = world.map(program, A, 80, BOTH);
            assert!(world.touch(program, start, Write) && world.touch(program, start + PAGE, Read));
        }
    }
    // The pages take none, as their capabilities are copied when they are touched; but those that
    // are copied do.
    assert!(failures != 0 && kept != 0);
}
