// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is free and not cleared, where a call may clear none by itself: scenes for what the
//! requests in the tables of `changing_failures` never have to clear.
//!
//! Checks A352 of `MODEL.md`.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MAX_RUNS, MemoryOptions, Refusal, Request, Resource, Rights,
    SPACE_SLOT, Supply,
};

use crate::changing_failures::{Shortage, all_shortages, uncleared};
use crate::children::{FILE, IT, PAYER, create};
use crate::elf::{Elf, Segment};
use crate::paging::{BOTH, scene, supply, wanted};
use crate::private::{get, private_scene, put};
use crate::support::Target;
use crate::world::{A, AMPLE, B, D, PAGE, Program, World};

/// Has something done while memory is short so, and checks all.
fn while_uncleared<T>(world: &mut World, short: Shortage, work: impl FnOnce(&mut World) -> T) -> T {
    let ballast = uncleared(&mut world.fixture, short);
    let done = work(world);
    world.check();
    world.fixture.vmm.limit_clearing(usize::MAX);
    ballast.drop(&mut world.fixture);
    done
}

/// A352: the service's own records, of which a request takes more than are ready: of capabilities,
/// of pages that were supplied, and of parts of mappings.
#[test]
fn records_take_memory_that_is_not_cleared() {
    const PAGES: u32 = 80;
    for short in all_shortages() {
        let (mut world, program) = World::one();
        while_uncleared(&mut world, short, |world| {
            for slot in D..D + 90 {
                let request = Request::Restrict { rights: Rights::empty(), slot };
                let made = world.ask_quickly(program, request, &[ACCOUNT_SLOT; 2]);
                assert_eq!(made, Ok(Answer::Done {}), "{slot}");
            }
        });

        let (mut world, pager, ..) = scene(PAGES, PAGES);
        while_uncleared(&mut world, short, |world| {
            for first in (0..PAGES).step_by(16) {
                let some = supply(first, 16, first, Supply::Give, true);
                assert_eq!(world.ask(pager, some, BOTH), wanted(16, None));
            }
        });

        for first in 0..2 {
            let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, 0]);
            let mut world = World::of(Target::Ia32, all);
            let program = world.program(AMPLE.with(Resource::Tables, 900));
            world.memory(program, 200, A);
            let start = world.map(program, A, 200, Rights::READ_WRITE);
            while_uncleared(&mut world, short, |world| {
                for page in (first..200).step_by(2) {
                    let address = start + page * PAGE;
                    let protect = Request::Protect { address, pages: 1, rights: Rights::READ };
                    let done = world.ask_quickly(program, protect, &[SPACE_SLOT]);
                    assert_eq!(done, Ok(Answer::Pages { pages: 1 }), "page {page}");
                }
            });
        }
    }
}

/// A352: the first memory of an account, for which the account's store is made, whichever number of
/// spaces there is.
#[test]
fn the_first_memory_of_an_account_takes_memory_that_is_not_cleared() {
    let options = MemoryOptions::WRITABLE;
    for short in all_shortages().filter(|short| short.left == 0) {
        for spaces in 0..12 {
            for what in 0..3 {
                let mut world = World::new();
                let program = world.driver(AMPLE);
                world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
                let make = |_| world.fixture.vmm.create_space().unwrap();
                let spaces: Vec<_> = (0..spaces).map(make).collect();
                let address = world.fixture.machine.device();
                let request = match what {
                    0 => Request::CreateMemory { pages: 5, options, slot: B },
                    1 => Request::CreatePhysical { address, pages: 3, options, slot: B },
                    _ => Request::CreatePaged { pages: 4, most: 2, slot: B },
                };
                let made = while_uncleared(&mut world, short, |world| {
                    world.ask(program, request, &[ACCOUNT_SLOT])
                });
                assert_eq!(made, Ok(Answer::Done {}), "{request:?}");
                spaces.into_iter().for_each(|it| world.fixture.vmm.destroy_space(it).unwrap());
            }
        }
    }
}

/// A352: a pager shares, and gives, pages that were never touched.
#[test]
fn pages_that_are_not_there_are_supplied_of_memory_that_is_not_cleared() {
    for how in [Supply::Share, Supply::Give] {
        for short in all_shortages() {
            let (mut world, pager, reader, start) = scene(4, 4);
            world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
            while_uncleared(&mut world, short, |world| {
                assert_eq!(world.ask(pager, supply(0, 2, 1, how, true), BOTH), wanted(2, None));
            });
            assert_eq!(get(&mut world, reader, start + PAGE), 0);
        }
    }
}

/// A352: a private mapping moves, with a page of its own and one that it reads.
#[test]
fn a_private_mapping_is_moved_where_memory_is_not_cleared() {
    for short in all_shortages() {
        let (mut world, pager, reader, start) = private_scene(4, 4);
        world.ask(pager, supply(0, 4, 0, Supply::Give, true), BOTH).unwrap();
        put(&mut world, reader, start, 7);
        get(&mut world, reader, start + PAGE);
        world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
        let rights = Rights::READ_WRITE;
        let shift = Request::Move { address: start, pages: 4, to: 0x4000_0000, rights };
        let moved =
            while_uncleared(&mut world, short, |world| world.ask(reader, shift, &[SPACE_SLOT]));
        let Ok(Answer::Mapped { address }) = moved else { panic!("{moved:?}") };
        assert_eq!([0, 1].map(|page| get(&mut world, reader, address + page * PAGE)), [7, 0x101]);
    }
}

/// A352 A161: memory that could not move, as its pages lie scattered, grows where it is.
#[test]
fn scattered_pages_grow_in_place_where_memory_is_not_cleared() {
    let runs = MAX_RUNS as usize + 1;
    let pages = 2 * runs as u32;
    for short in all_shortages().filter(|short| short.left == 0) {
        let (mut world, program) = World::one();
        world.memory(program, pages, A);
        let start = world.map(program, A, pages, Rights::READ_WRITE);
        for run in 0..runs {
            assert!(world.touch(program, start + 2 * run * PAGE, Access::Write));
        }
        world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
        let grown = while_uncleared(&mut world, short, |world| {
            world.ask(program, Request::Resize { pages: pages + 10 }, &[A, ACCOUNT_SLOT])
        });
        assert_eq!(grown, Ok(Answer::Done {}));
        world.memory(program, 1, B);
        let further = Request::Resize { pages: pages + 110 };
        world.refused(program, further, &[A, ACCOUNT_SLOT], Refusal::NoRoom {});
    }
}

/// A file with segments that share a page, pages that were never written, and local storage.
fn file() -> (World, Program) {
    let image = Elf::of(Target::Ia32, 0x40_0000)
        .with(Segment::code(0x40_0000, vec![5; 80]))
        .with(Segment::data(0x50_0100, vec![6; 16]))
        .with(Segment::data(0x50_0ff0, vec![7; 40]).in_memory(3 * PAGE))
        .with(Segment::data(0x60_0000, vec![0; 3 * PAGE]))
        .with(Segment::tls(0x50_0ff0, vec![7; 8], 8).in_memory(40));
    let bytes = image.bytes();
    let (mut world, maker) = World::one();
    world.objects.note_started(&maker.start, 90);
    let pages = bytes.len().div_ceil(PAGE) as u32;
    world.memory(maker, pages, FILE);
    let start = world.map(maker, FILE, pages, Rights::READ_WRITE);
    for (page, bytes) in bytes.chunks(PAGE).enumerate() {
        if bytes.iter().any(|&byte| byte != 0) {
            let at = start + page * PAGE;
            assert!(world.touch(maker, at, Access::Write));
            world.fixture.vmm.write(maker.id.space(), at, bytes).unwrap();
        }
    }
    world.finish(maker, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.ask(maker, create(CHILDS), PAYER).unwrap();
    world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
    (world, maker)
}

const CHILDS: Amounts = Amounts([100, 30, 200, 8, 3, 20, 40, 0]);

/// A352 A215: all of a program is loaded, and it starts, where no memory is clear.
#[test]
fn programs_are_loaded_and_started_where_memory_is_not_cleared() {
    for short in all_shortages() {
        let (mut world, maker) = file();
        while_uncleared(&mut world, short, |world| {
            world.finish(maker, Request::Load {}, &[IT, FILE]);
        });
        let child = while_uncleared(&mut world, short, |world| world.start(maker));
        assert_eq!(world.bytes_at(child, 0x50_0100), [6; 4]);
        assert_eq!(world.bytes_at(child, 0x50_0fef), [0, 7, 7]);
        assert_eq!(world.bytes_at(child, child.start.thread_pointer - 40), [7; 8]);
    }
}
