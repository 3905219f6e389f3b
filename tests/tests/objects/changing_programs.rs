// SPDX-License-Identifier: BSD-2-Clause
//! Scenes of pagers and of programs that others make, for requests that change something.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, FaultPolicy, Name, ProgramOptions, Request, Rights, SPACE_SLOT, Supply,
};

use crate::changing::{Look, Scene, contents, nothing, notification, words, writable};
use crate::children::{CHILD, FILE, IT, ITS_SPACE};
use crate::paging::{BOTH, scene, supply, waits, write_own};
use crate::private::{get, put};
use crate::world::{A, B, C, D, PAGE, Program, World};

pub fn tell_faults() -> Scene {
    let (mut world, program, _, _) = scene(4, 4);
    notification(&mut world, program, C, D);
    let request = Request::TellFaults {};
    Scene { world, program, request, slots: vec![A, D], look: nothing() }
}

pub fn tell_faults_again() -> Scene {
    let mut scene = tell_faults();
    scene.world.ask(scene.program, scene.request, &scene.slots).unwrap();
    scene
}

pub fn tell_end() -> Scene {
    let (mut world, program) = loaded();
    notification(&mut world, program, D, D + 1);
    let request = Request::TellEnd {};
    Scene { world, program, request, slots: vec![IT, D + 1], look: nothing() }
}

/// Somebody waits for it.
pub fn refuse() -> Scene {
    let (mut world, program, reader, start) = scene(4, 4);
    assert!(waits(&mut world, reader, start + PAGE, Access::Read));
    let look = |world: &mut World| vec![u64::from(world.objects.next_thread().is_some())];
    let request = Request::Refuse { page: 1, wait: 0 };
    Scene { world, program, request, slots: vec![A], look: Box::new(look) }
}

pub fn populate_supplied() -> Scene {
    let (mut world, pager, program, address) = scene(4, 4);
    for page in 0..2 {
        write_own(&mut world, pager, page, 0x50 + u64::from(page));
    }
    world.ask(pager, supply(0, 2, 0, Supply::Copy, false), BOTH).unwrap();
    let (request, slots) = (Request::Populate { address, pages: 2 }, vec![SPACE_SLOT]);
    Scene { world, program, request, slots, look: words(program, address, 2) }
}

/// With copies of two of its pages.
pub fn unmap_private() -> Scene {
    let (mut world, pager, program, address) = crate::private::private_scene(4, 4);
    world.ask(pager, supply(0, 3, 0, Supply::Give, false), BOTH).unwrap();
    for page in 0..2 {
        put(&mut world, program, address + page * PAGE, 9);
    }
    get(&mut world, program, address + 2 * PAGE);
    let request = Request::Unmap { address };
    Scene { world, program, request, slots: vec![SPACE_SLOT], look: writable(program, address, 4) }
}

/// With pages that were supplied, and a notification by which faults are told.
pub fn destroy_paged() -> Scene {
    let Scene { mut world, program, .. } = tell_faults_again();
    world.ask(program, supply(0, 2, 0, Supply::Copy, false), BOTH).unwrap();
    world.finish(program, Request::Revoke { slot: D + 1 }, &[A]);
    let look: Look = Box::new(move |world| vec![u64::from(world.is_empty(program, D + 1))]);
    Scene { world, program, request: Request::Destroy {}, slots: vec![D + 1], look }
}

/// A program that runs, with the file of another in [`FILE`], which is empty in [`IT`].
fn empty() -> (World, Program) {
    let (mut world, maker) = crate::children::with_file(&crate::elf::small());
    let (options, name) = (ProgramOptions::empty(), Name::new("child"));
    let (amounts, slot, space) = (CHILD, IT, ITS_SPACE);
    let create = Request::CreateProgram { amounts, options, name, slot, space, account: 0 };
    world.ask(maker, create, &[ACCOUNT_SLOT]).unwrap();
    (world, maker)
}

fn loaded() -> (World, Program) {
    let (mut world, maker) = empty();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    (world, maker)
}

/// What a child does, as a number.
fn state(maker: Program) -> Look {
    Box::new(move |world| vec![world.state(maker) as u64])
}

pub fn load() -> Scene {
    let (world, program) = empty();
    let (request, slots) = (Request::Load {}, vec![IT, FILE]);
    Scene { world, program, request, slots, look: state(program) }
}

pub fn grant() -> Scene {
    let (world, program) = loaded();
    let request = Request::Grant { rights: Rights::READ, slot: A };
    Scene { world, program, request, slots: vec![IT, FILE], look: state(program) }
}

pub fn grant_kernel() -> Scene {
    let (mut world, program) = loaded();
    notification(&mut world, program, D, D + 1);
    let request = Request::GrantKernel { slot: A };
    Scene { world, program, request, slots: vec![IT, D + 1], look: state(program) }
}

pub fn start() -> Scene {
    let (world, program) = loaded();
    let (request, look) = (crate::children::start(9), state(program));
    Scene { world, program, request, slots: vec![IT], look }
}

pub fn first_thread() -> Scene {
    let (world, program) = loaded();
    let request = Request::FirstThread { policy: FaultPolicy::Suspend, slot: D };
    let look: Look = Box::new(move |world| vec![u64::from(world.is_empty(program, D))]);
    Scene { world, program, request, slots: vec![IT, ACCOUNT_SLOT], look }
}

/// A pager whose pages hold a word each, and a reader's mapping.
fn supplying(request: Request) -> Scene {
    let (mut world, program, reader, start) = scene(4, 4);
    for page in 0..3 {
        write_own(&mut world, program, page, 0x60 + u64::from(page));
    }
    let look = words(reader, start, 3);
    Scene { world, program, request, slots: BOTH.to_vec(), look }
}

pub fn supply_given() -> Scene {
    supplying(supply(0, 3, 0, Supply::Give, true))
}

pub fn supply_copied() -> Scene {
    supplying(supply(0, 3, 0, Supply::Copy, true))
}

pub fn supply_shared() -> Scene {
    supplying(supply(0, 3, 0, Supply::Share, true))
}

/// A page that is mapped at its pager's, for who waits for it.
pub fn supply_waited_for() -> Scene {
    let (mut world, program, reader, start) = scene(4, 4);
    write_own(&mut world, program, 1, 0x77);
    let own = world.map(program, B, 4, Rights::READ_WRITE);
    assert!(world.touch(program, own + PAGE, Access::Read));
    assert!(waits(&mut world, reader, start + PAGE, Access::Write));
    let request = supply(1, 1, 1, Supply::Give, true);
    let look: Look = Box::new(move |world| {
        let goes_on = u64::from(world.objects.next_thread().is_some());
        vec![goes_on, get(world, reader, start + PAGE)]
    });
    Scene { world, program, request, slots: BOTH.to_vec(), look }
}

/// Pages that are mapped twice at their pager's, for nobody yet.
pub fn supply_mapped() -> Scene {
    let mut scene = supply_given();
    for _ in 0..2 {
        let own = scene.world.map(scene.program, B, 4, Rights::READ_WRITE);
        for page in 0..3 {
            assert!(scene.world.touch(scene.program, own + page * PAGE, Access::Write));
        }
    }
    scene
}

/// With pages that were supplied and are mapped, the first of them written.
fn supplied(request: Request, slots: &[u32]) -> Scene {
    let (mut world, program, reader, start) = scene(4, 4);
    for page in 0..3 {
        write_own(&mut world, program, page, 0x60 + u64::from(page));
    }
    world.ask(program, supply(0, 3, 0, Supply::Give, true), BOTH).unwrap();
    put(&mut world, reader, start, 0x99);
    for page in 1..3 {
        get(&mut world, reader, start + page * PAGE);
    }
    Scene { world, program, request, slots: slots.to_vec(), look: contents(program, B, 4) }
}

/// Who waits to write may.
pub fn allow_write() -> Scene {
    let (mut world, program, reader, start) = scene(4, 4);
    world.ask(program, supply(0, 1, 0, Supply::Copy, false), BOTH).unwrap();
    get(&mut world, reader, start);
    assert!(waits(&mut world, reader, start, Access::Write));
    let look: Look = Box::new(move |world| {
        let goes_on = u64::from(world.objects.next_thread().is_some());
        vec![goes_on, u64::from(world.touch(reader, start, Access::Write))]
    });
    let request = Request::AllowWrite { first: 0, pages: 1, wait: 0 };
    Scene { world, program, request, slots: vec![A], look }
}

pub fn take_back() -> Scene {
    supplied(Request::TakeBack { first: 0, pages: 3, into: 1 }, BOTH)
}

/// What is there where they come to goes.
pub fn take_back_over() -> Scene {
    let mut scene = take_back();
    for page in 1..4 {
        write_own(&mut scene.world, scene.program, page, 0x11);
    }
    scene
}

pub fn decommit() -> Scene {
    supplied(Request::Decommit { first: 0, pages: 3 }, &[A])
}

pub fn limit_waits() -> Scene {
    let (mut world, program) = loaded();
    world.objects.set_time(5);
    let request = Request::LimitWaits { ms: 9 };
    Scene { world, program, request, slots: vec![IT], look: state(program) }
}
