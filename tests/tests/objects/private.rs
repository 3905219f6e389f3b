// SPDX-License-Identifier: BSD-2-Clause
//! Paged memory mapped privately: what is written is a copy of the mapping's own.

use vmm::Access;
use vmm_service::objects::Touched;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MAX_PAGES, Refusal, Request, Resource, Rights, SPACE_SLOT,
    Supply,
};

use crate::paging::{BOTH, NEXT, going_on, read_own, scene, supply, waits, wanted, write_own};
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World};

fn private(pages: u32, rights: Rights) -> Request {
    Request::MapPrivate { address: 0, first: 0, pages, rights }
}

/// Maps the paged memory in slot A privately; returns where.
#[track_caller]
fn map(world: &mut World, program: Program, pages: u32, rights: Rights) -> usize {
    match world.ask(program, private(pages, rights), &[SPACE_SLOT, A, ACCOUNT_SLOT]) {
        Ok(Answer::Mapped { address }) => address,
        other => panic!("{other:?}"),
    }
}

/// A world as [`scene`] makes it, but with a private mapping; the pager's page n holds 0x100 + n.
pub fn private_scene(pages: u32, most: u32) -> (World, Program, Program, usize) {
    let (mut world, pager, reader, start) = scene(pages, most);
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    for page in 0..4.min(pages) {
        write_own(&mut world, pager, page, 0x100 + u64::from(page));
    }
    let start = map(&mut world, reader, pages, Rights::READ_WRITE);
    (world, pager, reader, start)
}

pub fn put(world: &mut World, program: Program, at: usize, word: u64) {
    assert!(world.touch(program, at, Access::Write));
    world.fixture.write(program.id.space(), at, word);
}

#[track_caller]
pub fn get(world: &mut World, program: Program, at: usize) -> u64 {
    assert!(world.touch(program, at, Access::Read));
    world.fixture.read(program.id.space(), at)
}

fn is_there(world: &World, program: Program, at: usize) -> bool {
    world.fixture.vmm.mapping_at(program.id.space(), at).unwrap().is_some()
}

/// A240: what is read of a private mapping is what the pager supplied; the first write makes a
/// copy, which nobody else sees; other private mappings have copies of their own.
#[test]
fn what_is_written_is_a_copy() {
    for how in Supply::ALL {
        let (mut world, pager, reader, start) = private_scene(4, 4);
        let (other, shared) = {
            let other = world.program(AMPLE);
            world.copy((pager, A), (other, A));
            (
                map(&mut world, reader, 4, Rights::READ_WRITE),
                (other, world.map(other, A, 4, Rights::READ_WRITE)),
            )
        };
        world.ask(pager, supply(0, 3, 0, how, true), BOTH).unwrap();
        // After it was read, and as the first touch.
        assert_eq!(get(&mut world, reader, start), 0x100, "{how:?}");
        for (page, word) in [(0, 0x1111), (1, 0x2222)] {
            let at = start + page * PAGE;
            assert!(world.touch(reader, at, Access::Write));
            let copied = world.fixture.read(reader.id.space(), at);
            assert_eq!(copied, 0x100 + page as u64, "it begins with what was supplied");
            put(&mut world, reader, at, word);
        }
        assert_eq!(get(&mut world, reader, other), 0x100);
        put(&mut world, reader, other, 0x3333);
        for (page, word) in [(0, 0x100), (1, 0x101), (2, 0x102)] {
            assert_eq!(get(&mut world, shared.0, shared.1 + page * PAGE), word, "{how:?}");
        }
        // What is not a copy shows what others write; what is one does not.
        put(&mut world, shared.0, shared.1 + 2 * PAGE, 0x4444);
        put(&mut world, shared.0, shared.1, 0x5555);
        assert_eq!(get(&mut world, reader, start + 2 * PAGE), 0x4444);
        assert_eq!(get(&mut world, reader, start), 0x1111);
        assert_eq!(get(&mut world, reader, other), 0x3333);
        let taken = world.ask(pager, Request::TakeBack { first: 0, pages: 3, into: 0 }, BOTH);
        assert_eq!(taken, Ok(Answer::Taken { pages: 3, written: 0b101 }), "{how:?}");
        assert_eq!(read_own(&mut world, pager, 1), 0x101);
        assert_eq!(get(&mut world, reader, start + PAGE), 0x2222, "it is its own");
    }
}

/// A240: a program that may only read the memory has a private mapping that it may write to.
#[test]
fn who_may_only_read_writes_to_copies() {
    let (mut world, pager, reader, _) = private_scene(4, 4);
    let restrict = Request::Restrict { rights: Rights::READ, slot: C };
    world.ask(pager, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    world.copy((pager, C), (reader, C));
    let slots = [SPACE_SLOT, C, ACCOUNT_SLOT];
    let mapped = world.ask(reader, private(4, Rights::READ_WRITE), &slots);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    // Neither must the pager have let it be written.
    world.ask(pager, supply(0, 1, 0, Supply::Give, false), BOTH).unwrap();
    put(&mut world, reader, address, 0x7777);
    let back = Request::TakeBack { first: 0, pages: 1, into: 0 };
    assert_eq!(world.ask(pager, back, BOTH), Ok(Answer::Taken { pages: 1, written: 0 }));
    assert_eq!(read_own(&mut world, pager, 0), 0x100);
    assert_eq!(get(&mut world, reader, address), 0x7777);
    // To be read alone it is as it would be shared.
    let mapped = world.ask(reader, private(4, Rights::READ), &slots);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    world.ask(pager, supply(0, 1, 0, Supply::Give, true), BOTH).unwrap();
    assert_eq!(get(&mut world, reader, address), 0x100);
    assert_eq!(world.touch_or_wait(reader, address, Access::Write), Touched::Fault);
    // A ceiling holds.
    let reserve = Request::Reserve { address: 0, pages: 8, ceiling: Rights::READ, slot: D };
    world.ask(reader, reserve, &[SPACE_SLOT, ACCOUNT_SLOT]).unwrap();
    let beyond = Refusal::BeyondRights { asked: Rights::WRITE };
    let inside = &[D, C, ACCOUNT_SLOT];
    world.refused(reader, private(4, Rights::READ_WRITE), inside, beyond);
    let mapped = world.ask(reader, private(4, Rights::READ), inside);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    let raise = Request::Protect { address, pages: 1, rights: Rights::READ_WRITE };
    world.refused(reader, raise, &[SPACE_SLOT], beyond);
}

/// A241: a page that is not there is asked of the pager as one that is read, whoever writes to it;
/// one that cannot be had is a fault.
#[test]
fn pages_are_asked_for_to_be_read() {
    let (mut world, pager, reader, start) = private_scene(4, 4);
    assert!(waits(&mut world, reader, start + PAGE, Access::Write));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((1, false))));
    world.ask(pager, supply(1, 1, 1, Supply::Give, true), BOTH).unwrap();
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    put(&mut world, reader, start + PAGE, 0x9999);
    let info = world.ask(pager, Request::Info {}, &[A]);
    let Ok(Answer::Memory { committed: 1, .. }) = info else { panic!("{info:?}") };
    assert!(waits(&mut world, reader, start, Access::Write));
    world.ask(pager, Request::Refuse { page: 0, wait: 0 }, &[A]).unwrap();
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(world.touch_or_wait(reader, start, Access::Write), Touched::Fault);
    // Pages of it that are there, and copies, are mapped by request.
    let populate = |address, pages| Request::Populate { address, pages };
    let space = &[SPACE_SLOT];
    world.ask(pager, Request::Decommit { first: 1, pages: 1 }, &[A]).unwrap();
    world.ask(pager, supply(2, 1, 2, Supply::Copy, true), BOTH).unwrap();
    assert_eq!(world.ask(reader, populate(start, 4), space), Ok(Answer::Pages { pages: 0 }));
    assert_eq!(world.ask(reader, populate(start + PAGE, 3), space), Ok(Answer::Pages { pages: 2 }));
    assert_eq!(get(&mut world, reader, start + PAGE), 0x9999);
}

/// A241: what is taken back is gone where it was not copied, and is asked for again; copies stay,
/// however the page comes and goes.
#[test]
fn copies_are_not_taken_back() {
    let (mut world, pager, reader, start) = private_scene(4, 2);
    for round in 0..3 {
        world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
        assert!(world.touch(reader, start + PAGE, Access::Read));
        if round == 0 {
            put(&mut world, reader, start, 0xc0);
        }
        let (gone, back) = match round {
            1 => (Request::Decommit { first: 0, pages: 2 }, &BOTH[..1]),
            _ => (Request::TakeBack { first: 0, pages: 2, into: 0 }, BOTH),
        };
        assert_eq!(world.ask(pager, gone, back), Ok(Answer::Taken { pages: 2, written: 0 }));
        assert!(!is_there(&world, reader, start + PAGE));
        assert_eq!(get(&mut world, reader, start), 0xc0);
        put(&mut world, reader, start, 0xc0);
        assert!(waits(&mut world, reader, start + PAGE, Access::Read));
        // It is supplied once more, for that.
        world.ask(pager, supply(1, 1, 1, Supply::Copy, true), BOTH).unwrap();
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
        world.ask(pager, Request::Decommit { first: 1, pages: 1 }, &[A]).unwrap();
    }
}

/// A242: all copies that there can be are paid for when it is mapped, and nothing more when they
/// are made; all comes back. What cannot be mapped privately is refused with a reason.
#[test]
fn copies_are_paid_for_when_it_is_mapped() {
    let (mut world, pager, reader, start) = private_scene(4, 2);
    let charged = world.used(reader, ACCOUNT_SLOT);
    world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
    put(&mut world, reader, start, 1);
    assert_eq!(world.used(reader, ACCOUNT_SLOT), charged);
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    let before = world.used(reader, ACCOUNT_SLOT);
    let cost = charged.minus(before).unwrap();
    assert_eq!((cost.of(Resource::Pages), cost.of(Resource::Nodes)), (4, 1));
    assert_eq!(cost.of(Resource::Slots), 2, "as many as its pager can have there");
    // Refusals.
    let slots = &[SPACE_SLOT, A, ACCOUNT_SLOT];
    let both = Rights::READ_WRITE;
    world.refused(reader, private(0, both), slots, Refusal::BadLength { pages: 0 });
    world.refused(reader, private(5, both), slots, Refusal::BeyondEnd { pages: 4 });
    let far = Request::MapPrivate { address: 0, first: u32::MAX, pages: 2, rights: both };
    world.refused(reader, far, slots, Refusal::BeyondEnd { pages: 4 });
    let at = |address| Request::MapPrivate { address, first: 0, pages: 1, rights: both };
    world.refused(reader, at(7), slots, Refusal::BadAddress { address: 7 });
    world.refused(reader, private(1, Rights::WRITE), slots, Refusal::NotReadable {});
    world.memory(reader, 4, B);
    world.refused(reader, private(4, both), &[SPACE_SLOT, B, ACCOUNT_SLOT], {
        Refusal::Paged { place: 1 }
    });
    let restrict = Request::Restrict { rights: Rights::WRITE, slot: C };
    world.ask(reader, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    world.refused(reader, private(4, both), &[SPACE_SLOT, C, ACCOUNT_SLOT], {
        Refusal::NoRight { place: 1, missing: Rights::READ }
    });
    world.refused(reader, private(4, both), &[SPACE_SLOT, SPACE_SLOT, ACCOUNT_SLOT], {
        Refusal::WrongKind { place: 1, found: vmm_service::objects::protocol::Kind::Space }
    });
    // An account that has not so many.
    let small = Amounts([3, 10, 40, 0, 1, 4, 10, 0]);
    let options = vmm_service::objects::protocol::AccountOptions::empty();
    let create = Request::CreateAccount { amounts: small, options, slot: D };
    world.ask(reader, create, &[ACCOUNT_SLOT]).unwrap();
    let short = Refusal::OutOfAccount { resource: Resource::Pages, wanted: 4, left: 3 };
    world.refused(reader, private(4, both), &[SPACE_SLOT, A, D], short);
    let mapped = world.ask(reader, private(3, both), &[SPACE_SLOT, A, D]);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    world.ask(pager, supply(2, 1, 2, Supply::Give, true), BOTH).err();
    put(&mut world, reader, address, 2);
    // Its end is that of the mapping, and of the copies.
    world.finish(reader, Request::Destroy {}, &[D]);
    world.reap();
    assert_eq!(world.fixture.vmm.mapping_at(reader.id.space(), address).unwrap(), None);
    // The object is gone.
    world.finish(pager, Request::Destroy {}, &[A]);
    assert!(world.is_empty(reader, A));
}

/// A243: rights of parts change and come back, parts are unmapped and moved, and copies are what
/// they were; what is beside them is as it was.
#[test]
fn parts_of_a_private_mapping_keep_their_copies() {
    let (mut world, pager, reader, start) = private_scene(8, 4);
    world.ask(pager, supply(0, 4, 0, Supply::Give, true), BOTH).unwrap();
    let space = &[SPACE_SLOT];
    for page in 0..3 {
        assert!(world.touch(reader, start + page * PAGE, Access::Read));
    }
    put(&mut world, reader, start, 0xa0);
    put(&mut world, reader, start + 2 * PAGE, 0xa2);
    let charged = world.used(reader, ACCOUNT_SLOT);
    let protect = |page: usize, pages, rights| Request::Protect {
        address: start + page * PAGE,
        pages,
        rights,
    };
    assert_eq!(
        world.ask(reader, protect(1, 2, Rights::READ), space),
        Ok(Answer::Pages { pages: 2 })
    );
    assert_eq!(world.touch_or_wait(reader, start + 2 * PAGE, Access::Write), Touched::Fault);
    assert_eq!(world.touch_or_wait(reader, start + PAGE, Access::Write), Touched::Fault);
    put(&mut world, reader, start, 0xb0);
    assert_eq!(
        world.ask(reader, protect(1, 2, Rights::READ_WRITE), space),
        Ok(Answer::Pages { pages: 2 })
    );
    assert_eq!(world.used(reader, ACCOUNT_SLOT), charged, "it is one again");
    assert_eq!(get(&mut world, reader, start + 2 * PAGE), 0xa2);
    put(&mut world, reader, start + 2 * PAGE, 0xb2);
    // The page beside it, which was read, is copied only now.
    put(&mut world, reader, start + PAGE, 0xb1);
    // Its middle moves; where it was is nothing, and beside it what there was.
    let shift = Request::Move { address: start + PAGE, pages: 3, to: 0, rights: Rights::READ };
    let Ok(Answer::Mapped { address }) = world.ask(reader, shift, space) else { panic!() };
    assert_eq!(world.touch_or_wait(reader, start + PAGE, Access::Read), Touched::Fault);
    assert_eq!(get(&mut world, reader, start), 0xb0);
    for (page, word) in [(0, 0xb1), (1, 0xb2), (2, 0x103)] {
        assert_eq!(get(&mut world, reader, address + page * PAGE), word);
        let at = address + page * PAGE;
        assert_eq!(world.touch_or_wait(reader, at, Access::Write), Touched::Fault);
    }
    let raise = Request::Protect { address, pages: 3, rights: Rights::READ_WRITE };
    world.ask(reader, raise, space).unwrap();
    put(&mut world, reader, address + 2 * PAGE, 0xc3);
    put(&mut world, reader, address, 0xc1);
    // It is asked for by the numbers that its pages have, wherever they lie.
    world.ask(pager, Request::Decommit { first: 0, pages: 4 }, &[A]).unwrap();
    assert!(waits(&mut world, reader, start + 5 * PAGE, Access::Read));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((5, false))));
    world.ask(pager, supply(5, 1, 3, Supply::Copy, true), BOTH).unwrap();
    going_on(&mut world);
    // No request takes the moved part and its old neighbours for one.
    let over = Request::UnmapPart { address, pages: 4 };
    world.refused(reader, over, space, Refusal::BeyondEnd { pages: 3 });
    let all = Request::UnmapPart { address: start, pages: 8 };
    world.refused(reader, all, space, Refusal::BeyondEnd { pages: 1 });
    // Back to where it was, it is one mapping again once it is given equal rights.
    let home = Request::Move { address, pages: 3, to: start + PAGE, rights: Rights::READ };
    assert_eq!(world.ask(reader, home, space), Ok(Answer::Mapped { address: start + PAGE }));
    world.ask(reader, protect(1, 3, Rights::READ_WRITE), space).unwrap();
    assert_eq!(world.used(reader, ACCOUNT_SLOT), charged);
    for (page, word) in [(0, 0xb0), (1, 0xc1), (2, 0xb2), (3, 0xc3)] {
        assert_eq!(get(&mut world, reader, start + page * PAGE), word);
    }
    // A part is unmapped, with its copies.
    let part = Request::UnmapPart { address: start + 2 * PAGE, pages: 1 };
    assert_eq!(world.ask(reader, part, space), Ok(Answer::Pages { pages: 1 }));
    assert!(!is_there(&world, reader, start + 2 * PAGE));
    assert_eq!(get(&mut world, reader, start + 3 * PAGE), 0xc3);
    // Whoever has copies moves as many pages as one request does.
    let long = world.program(AMPLE);
    let create = Request::CreatePaged { pages: MAX_PAGES + 1, most: 1, slot: A };
    world.ask(long, create, &[ACCOUNT_SLOT]).unwrap();
    let address = map(&mut world, long, MAX_PAGES + 1, Rights::READ_WRITE);
    let shift = |pages| Request::Move { address, pages, to: 0, rights: Rights::READ_WRITE };
    world.refused(long, shift(MAX_PAGES + 1), space, Refusal::BadLength { pages: MAX_PAGES + 1 });
    assert!(matches!(world.ask(long, shift(MAX_PAGES), space), Ok(Answer::Mapped { .. })));
    // What is refused of a move leaves it, and the rights.
    let taken =
        Request::Move { address: start, pages: 2, to: start + 3 * PAGE, rights: Rights::READ };
    let overlap = Refusal::Overlap { address: start + 3 * PAGE };
    world.refused(reader, taken, space, overlap);
    put(&mut world, reader, start, 0xd0);
    put(&mut world, reader, start + PAGE, 0xd1);
}

/// A243: what lies in a reservation moves within it, anywhere or at an address, and not out of it.
#[test]
fn a_private_mapping_moves_within_its_reservation() {
    let (mut world, pager, reader, _) = private_scene(4, 4);
    world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
    let reserve = Request::Reserve { address: 0, pages: 8, ceiling: Rights::READ_WRITE, slot: D };
    world.ask(reader, reserve, &[SPACE_SLOT, ACCOUNT_SLOT]).unwrap();
    let info = world.ask(reader, Request::Info {}, &[D]);
    let Ok(Answer::Reservation { address: first, .. }) = info else { panic!("{info:?}") };
    let slots = &[D, A, ACCOUNT_SLOT];
    let mapped = world.ask(reader, private(2, Rights::READ_WRITE), slots);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    put(&mut world, reader, address, 0xe0);
    let shift = |address, to| Request::Move { address, pages: 2, to, rights: Rights::READ_WRITE };
    let Ok(Answer::Mapped { address: second }) = world.ask(reader, shift(address, 0), &[D]) else {
        panic!("there is room")
    };
    assert!(second != address && (first..=first + 6 * PAGE).contains(&second), "{second:#x}");
    let last = first + 6 * PAGE;
    let moved = world.ask(reader, shift(second, last), &[D]);
    assert_eq!(moved, Ok(Answer::Mapped { address: last }));
    let outside = Refusal::BadAddress { address: first + 8 * PAGE };
    world.refused(reader, shift(last, first + 8 * PAGE), &[D], outside);
    assert_eq!(get(&mut world, reader, last), 0xe0);
    assert_eq!(get(&mut world, reader, last + PAGE), 0x101);
}

/// A241: a page that is being taken back from more mappings than one request does is not there any
/// more for those who touch it meanwhile, to read it or for a copy of it.
#[test]
fn a_page_that_leaves_is_not_copied() {
    let (mut world, pager, _, _) = private_scene(4, 4);
    let many = world.program(Amounts([200, 120, 300, 10, 5, 60, 200, 0]));
    world.copy((pager, A), (many, A));
    world.ask(pager, supply(0, 1, 0, Supply::Give, true), BOTH).unwrap();
    let most = MAX_PAGES as usize;
    let all: Vec<usize> =
        (0..most + 2).map(|_| map(&mut world, many, 1, Rights::READ_WRITE)).collect();
    all.iter().skip(1).for_each(|&at| assert!(world.touch(many, at, Access::Read)));
    let back = Request::TakeBack { first: 0, pages: 1, into: 0 };
    let taken = |pages| Ok(Answer::Taken { pages, written: 0 });
    assert_eq!(world.ask(pager, back, BOTH), taken(0), "a mapping is left");
    assert!(waits(&mut world, many, all[0], Access::Write));
    assert_eq!(world.ask(pager, back, BOTH), taken(1));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, false))));
    world.ask(pager, supply(0, 1, 0, Supply::Give, true), BOTH).unwrap();
    assert_eq!(going_on(&mut world), [many.start.tcb]);
    put(&mut world, many, all[0], 1);
}

/// A244: whoever ends, with whichever pages copied, waited for or neither: all is back that was
/// paid, and nobody waits for ever.
#[test]
fn whatever_ends_nothing_is_left_of_copies() {
    type End = fn(&mut World, Program, Program);
    let ends: [End; 5] = [
        |world, _, reader| {
            world.objects.kill(reader.id).unwrap();
        },
        |world, pager, _| {
            world.objects.kill(pager.id).unwrap();
        },
        |world, pager, _| world.finish(pager, Request::Revoke { slot: C }, &[A]),
        |world, pager, _| {
            world.finish(pager, Request::Revoke { slot: C }, &[A]);
            world.finish(pager, Request::Destroy {}, &[C]);
        },
        |world, pager, reader| {
            // The payer of both, at once.
            world.objects.kill(pager.id).unwrap();
            world.objects.kill(reader.id).unwrap();
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for state in 0..4 {
            let (mut world, pager, reader, start) = private_scene(4, 4);
            if state != 0 {
                world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
                assert!(world.touch(reader, start, Access::Read));
            }
            if state >= 2 {
                put(&mut world, reader, start, 5);
                put(&mut world, reader, start + PAGE, 6);
            }
            if state == 3 {
                assert!(waits(&mut world, reader, start + 2 * PAGE, Access::Write));
            }
            end(&mut world, pager, reader);
            world.reap();
            let lives = world.objects.program_in(reader.id.space()).is_some();
            let goes = if state == 3 && lives { vec![reader.start.tcb] } else { Vec::new() };
            assert_eq!(going_on(&mut world), goes, "end {number}, state {state}");
            for program in [pager, reader] {
                let _ = world.objects.kill(program.id);
            }
            world.reap();
            let none = (world.objects.counts(), world.objects.amounts().1);
            assert_eq!(none, ([2, 0, 0, 0], Amounts::NONE), "end {number}, state {state}");
        }
    }
}
