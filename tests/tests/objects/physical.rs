// SPDX-License-Identifier: BSD-2-Clause
//! Memory at physical addresses: of any length, in any number of places.

use vmm::{Access, Blueprint, CachePolicy};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MAX_PAGES, MemoryOptions, Refusal, Request, Resource, Rights,
    SPACE_SLOT,
};

use vmm_tests::model::Cap;

use crate::private::{get, put};
use crate::support::{Machine, Target};
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World};

/// The device has 4 MiB, from here on.
const DEVICE: usize = 0xf000_0000;
const ALL: u32 = 1024;

fn world() -> (World, Program) {
    let mut machine = Machine::roomy(Target::Ia32);
    machine.config.devices = vec![(DEVICE, 22)];
    let mut world =
        World::booted(machine, Amounts([5000, 1000, 20_000, 500, 200, 4000, 10_000, 0]));
    let program = world.driver(AMPLE.with(Resource::Slots, 5000));
    // The account has its store from now on.
    world.memory(program, 1, A);
    destroy(&mut world, program, A);
    (world, program)
}

fn create(world: &mut World, program: Program, (first, pages): (u32, u32), slot: u32) {
    let (address, options) = (DEVICE + first as usize * PAGE, MemoryOptions::UNCACHED);
    let options = options | MemoryOptions::WRITABLE;
    let request = Request::CreatePhysical { address, pages, options, slot };
    assert_eq!(world.ask(program, request, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
}

/// Maps some pages of the memory in slot A; with how many requests, and where.
fn map(world: &mut World, program: Program, (first, pages): (u32, u32)) -> (u32, usize) {
    let request = Request::Map { address: 0, first, pages, rights: Rights::READ_WRITE };
    for asked in 1..100 {
        match world.ask(program, request, &[SPACE_SLOT, A, ACCOUNT_SLOT]) {
            Ok(Answer::More {}) => {}
            Ok(Answer::Mapped { address }) => return (asked, address),
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not end");
}

/// Where the kernel has a page of a program, and how it is cached.
fn there(world: &World, program: Program, address: usize) -> Option<(usize, CachePolicy)> {
    let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
    let found = world.fixture.kernel().mapping(vspace, address);
    found.map(|found| (found.paddr, found.cache))
}

fn committed(world: &mut World, program: Program) -> (u32, u32) {
    match world.ask(program, Request::Info {}, &[A]) {
        Ok(Answer::Memory { committed, mappings, .. }) => (committed, mappings),
        other => panic!("{other:?}"),
    }
}

fn unmap(world: &mut World, program: Program, address: usize) {
    world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
}

/// Nobody has it mapped any more.
fn destroy(world: &mut World, program: Program, slot: u32) {
    while world.ask(program, Request::Destroy {}, &[slot]) != Ok(Answer::Done {}) {}
}

/// A363: all of it is taken by the first mapping of any part, as many pages at a time as one
/// request does; each page is where it is, by touches and by requests, and goes with the object.
#[test]
fn memory_of_a_device_has_any_length() {
    for (pages, asked) in [(1, 1), (MAX_PAGES, 1), (MAX_PAGES + 1, 2), (200, 4), (ALL, 16)] {
        let (mut world, program) = world();
        let before = world.figures();
        let paid = world.used(program, ACCOUNT_SLOT);
        create(&mut world, program, (0, pages), A);
        assert_eq!(committed(&mut world, program), (0, 0));
        let (first, mapped) = (pages / 2, (pages - pages / 2).min(100));
        let (requests, part) = map(&mut world, program, (first, mapped));
        assert_eq!(requests, asked, "{pages} pages");
        assert_eq!(committed(&mut world, program), (pages, 1));
        let (again, start) = map(&mut world, program, (0, pages));
        assert_eq!(again, 1, "it is there");
        let mut touched = vec![0, pages / 2, pages - 1];
        touched.dedup();
        for page in touched {
            let at = start + page as usize * PAGE;
            assert_eq!(there(&world, program, at), None);
            assert!(world.touch(program, at, Access::Write));
            let expected = (DEVICE + page as usize * PAGE, CachePolicy::Uncached);
            assert_eq!(there(&world, program, at), Some(expected), "page {page} of {pages}");
        }
        let populate = Request::Populate { address: start, pages };
        let done = Answer::Pages { pages: pages.min(MAX_PAGES) };
        assert_eq!(world.ask(program, populate, &[SPACE_SLOT]), Ok(done));
        let used = Refusal::InUse { times: 2 };
        world.refused(program, Request::Destroy {}, &[A], used);
        [part, start].into_iter().for_each(|address| unmap(&mut world, program, address));
        assert_eq!(committed(&mut world, program), (pages, 0), "it stays without a place");
        destroy(&mut world, program, A);
        assert_eq!(world.used(program, ACCOUNT_SLOT), paid);
        assert_eq!(world.figures(), before);
    }
}

/// A363: in several places, in several spaces, with other rights and moved; what ends one of them
/// ends no other.
#[test]
fn memory_of_a_device_is_in_any_number_of_places() {
    let (mut world, program) = world();
    let other = world.driver(AMPLE);
    create(&mut world, program, (7, 20), A);
    let (_, one) = map(&mut world, program, (0, 20));
    let (_, two) = map(&mut world, program, (5, 10));
    world.copy((program, A), (other, A));
    let (_, three) = map(&mut world, other, (0, 20));
    assert_eq!(committed(&mut world, program), (20, 3));
    let places = [(program, one, 6), (program, two, 1), (other, three, 6)];
    for (program, start, page) in places {
        assert!(world.touch(program, start + page * PAGE, Access::Write));
    }
    let seen = |world: &World| {
        places
            .map(|(program, start, page)| there(world, program, start + page * PAGE).map(|it| it.0))
    };
    let page = Some(DEVICE + 13 * PAGE);
    assert_eq!(seen(&world), [page; 3]);
    // Moved, it comes there by a touch.
    let to = 0x4000_0000;
    let shift = Request::Move { address: two, pages: 10, to, rights: Rights::READ };
    assert_eq!(world.ask(program, shift, &[SPACE_SLOT]), Ok(Answer::Mapped { address: to }));
    assert_eq!(seen(&world), [page, None, page]);
    assert!(!world.touch(program, to + PAGE, Access::Write), "it is mapped to be read");
    assert!(world.touch(program, to + PAGE, Access::Read));
    assert_eq!(
        there(&world, program, to + PAGE),
        Some((DEVICE + 13 * PAGE, CachePolicy::Uncached))
    );
    // The first mapping goes, in which the page was mapped first.
    unmap(&mut world, program, one);
    assert_eq!(seen(&world), [None, None, page]);
    assert!(there(&world, program, to + PAGE).is_some());
    unmap(&mut world, program, to);
    assert_eq!(seen(&world), [None, None, page]);
    unmap(&mut world, other, three);
    destroy(&mut world, program, A);
    assert!(!world.touch(other, three + PAGE, Access::Read), "it is nobody's");
}

/// A363: what it costs is the account's of whoever made it, and an account that lacks it is told.
#[test]
fn memory_of_a_device_is_paid_for() {
    let (mut world, program) = world();
    let before = world.used(program, ACCOUNT_SLOT);
    create(&mut world, program, (0, 100), A);
    let slots = |world: &mut World| {
        let used = world.used(program, ACCOUNT_SLOT);
        used.of(Resource::Slots) - before.of(Resource::Slots)
    };
    assert!(slots(&mut world) >= 100, "the service has a capability to each page");
    let (_, start) = map(&mut world, program, (0, 30));
    assert!(slots(&mut world) >= 130, "and one more to each that is mapped");
    unmap(&mut world, program, start);
    destroy(&mut world, program, A);
    assert_eq!(world.used(program, ACCOUNT_SLOT), before);
    let (address, options) = (DEVICE, MemoryOptions::WRITABLE);
    let request = Request::CreatePhysical { address, pages: 6000, options, slot: A };
    let refused = world.ask(program, request, &[ACCOUNT_SLOT]);
    assert!(
        matches!(refused, Err(Refusal::OutOfAccount { resource: Resource::Slots, .. })),
        "{refused:?}"
    );
    assert_eq!(world.used(program, ACCOUNT_SLOT), before);
}

/// A363: where not all of it is to be had, it is not mapped, however often that is asked for; what
/// came of it before is given back with the object.
#[test]
fn memory_that_is_there_in_part_is_not_mapped() {
    let (mut world, program) = world();
    let before = world.figures();
    create(&mut world, program, (100, 1), C);
    let map_c = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
    let mapped = world.ask(program, map_c, &[SPACE_SLOT, C, ACCOUNT_SLOT]);
    let Ok(Answer::Mapped { address: taken }) = mapped else { panic!("{mapped:?}") };
    create(&mut world, program, (0, 200), A);
    let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
    let slots = [SPACE_SLOT, A, ACCOUNT_SLOT];
    assert_eq!(world.ask(program, map, &slots), Ok(Answer::More {}));
    for _ in 0..2 {
        let none = Refusal::NoSuchPhysical { address: DEVICE + 100 * PAGE };
        world.refused(program, map, &slots, none);
    }
    // Once that page is nobody's, it goes on.
    unmap(&mut world, program, taken);
    destroy(&mut world, program, C);
    for _ in 0..2 {
        assert_eq!(world.ask(program, map, &slots), Ok(Answer::More {}));
    }
    let mapped = world.ask(program, map, &slots);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    unmap(&mut world, program, address);
    create(&mut world, program, (300, 10), B);
    destroy(&mut world, program, A);
    destroy(&mut world, program, B);
    assert_eq!(world.figures(), before);
}

/// A363: nor is it resized, cloned, read, written, supplied from or located: its capability has no
/// right for that.
#[test]
fn memory_of_a_device_is_mapped_and_no_more() {
    let (mut world, program) = world();
    create(&mut world, program, (0, 4), A);
    world.memory(program, 4, B);
    for (request, slots, place) in [
        (Request::Resize { pages: 2 }, vec![A, ACCOUNT_SLOT], 0),
        (Request::Clone { slot: D }, vec![A, ACCOUNT_SLOT], 0),
        (Request::Read { offset: 0, bytes: 4 }, vec![A], 0),
    ] {
        let missing = Refusal::NoRight { place, missing: Rights::USE };
        world.refused(program, request, &slots, missing);
    }
}

/// A364: RAM at a physical address that was used before, and that one call may not clear, is cleared
/// for whoever maps it.
#[test]
fn memory_of_ram_that_is_not_cleared_is_mapped() {
    const BITS: u8 = 16;
    let (mut world, program) = world();
    let piece = world.fixture.vmm.allocate(Blueprint::Untyped { size_bits: BITS }).unwrap();
    let Cap::Untyped { base: address, .. } = world.fixture.kernel().cap(piece.slot()) else {
        panic!("it is an untyped")
    };
    world.fixture.vmm.free(piece).unwrap();
    let before = world.figures();
    let (pages, options) = ((1 << BITS) / PAGE as u32, MemoryOptions::WRITABLE);
    let request = Request::CreatePhysical { address, pages, options, slot: A };
    // What the first one writes there the second does not see.
    for limit in [usize::MAX, PAGE] {
        world.fixture.vmm.limit_clearing(limit);
        assert_eq!(world.ask(program, request, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
        let (_, start) = map(&mut world, program, (0, pages));
        for page in 0..pages as usize {
            let at = start + page * PAGE;
            assert_eq!(get(&mut world, program, at), 0, "page {page}");
            assert_eq!(there(&world, program, at).map(|it| it.0), Some(address + page * PAGE));
            put(&mut world, program, at, 7);
        }
        unmap(&mut world, program, start);
        destroy(&mut world, program, A);
    }
    world.fixture.vmm.limit_clearing(usize::MAX);
    assert_eq!(world.figures(), before);
}
