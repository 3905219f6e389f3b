// SPDX-License-Identifier: BSD-2-Clause
//! Requests that change something that is there: scenes for each, whose every kernel call fails,
//! and in which pages, slots and nodes are short. Who makes something new is in `failures`.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MemoryOptions, Piece, Refusal, Request,
    Resource, Rights, SPACE_SLOT,
};

use crate::changing_programs::*;
use crate::large::{create as create_large, unit, with_large, world as large_world};
use crate::private::{get, put};
use crate::support::Target;
use crate::world::{A, AMPLE, B, C, PAGE, Program, World};

/// A world in which a program is about to ask for something.
pub struct Scene {
    pub world: World,
    pub program: Program,
    pub request: Request,
    pub slots: Vec<u32>,
    /// What is there once it is done, as numbers.
    pub look: Look,
}

pub type Look = Box<dyn Fn(&mut World) -> Vec<u64>>;

/// A request, and its world.
pub struct Case {
    pub make: fn() -> Scene,
    /// Whether a refusal says that part of it is done: it is gone on with.
    pub in_part: bool,
    /// Whether it is done however little the service has left.
    pub takes_nothing: bool,
}

const fn whole(make: fn() -> Scene) -> Case {
    Case { make, in_part: false, takes_nothing: false }
}

const fn in_part(make: fn() -> Scene) -> Case {
    Case { make, in_part: true, takes_nothing: false }
}

const fn free(make: fn() -> Scene) -> Case {
    Case { make, in_part: false, takes_nothing: true }
}

/// All of them.
pub fn changing() -> Vec<Case> {
    vec![
        whole(locate_new),
        whole(locate_cloned),
        whole(tell_faults),
        free(tell_faults_again),
        whole(tell_end),
        free(refuse),
        whole(shrink),
        whole(grow_by_a_move),
        whole(grow_by_a_move_of_runs),
        whole(populate),
        whole(populate_physical),
        whole(map_physical_again),
        whole(shift_physical),
        whole(populate_supplied),
        whole(protect),
        whole(unmap_part),
        whole(shift),
        whole(protect_large),
        whole(unmap_part_large),
        whole(shift_large),
        in_part(shrink_large),
        free(grow_large),
        in_part(clone_large),
        free(unmap),
        free(unmap_private),
        in_part(destroy_paged),
        in_part(load),
        whole(grant),
        whole(grant_kernel),
        whole(start),
        whole(first_thread),
        whole(write_new),
        whole(write_cloned),
        free(read_absent),
        whole(read_cloned),
        in_part(supply_given),
        in_part(supply_copied),
        in_part(supply_shared),
        whole(supply_waited_for),
        in_part(supply_mapped),
        free(allow_write),
        in_part(take_back),
        in_part(take_back_over),
        free(decommit),
        in_part(clone_in_pieces),
        free(give),
        free(limit_waits),
    ]
}

pub fn nothing() -> Look {
    Box::new(|_| Vec::new())
}

/// The first bytes of so many pages of a program's memory, by `Read`.
pub fn contents(program: Program, slot: u32, pages: usize) -> Look {
    Box::new(move |world| {
        let read = |page| Request::Read { offset: page * PAGE, bytes: 1 };
        (0..pages).map(|page| first(world.ask(program, read(page), &[slot]))).collect()
    })
}

fn first(answer: Result<Answer, Refusal>) -> u64 {
    match answer {
        Ok(Answer::Piece { piece }) => piece.bytes()[0].into(),
        other => panic!("{other:?}"),
    }
}

/// The words of pages from an address on, each touched first.
pub fn words(program: Program, start: usize, pages: usize) -> Look {
    Box::new(move |world| (0..pages).map(|page| get(world, program, start + page * PAGE)).collect())
}

/// Which of the pages from an address on can be written.
pub fn writable(program: Program, start: usize, pages: usize) -> Look {
    Box::new(move |world| {
        let can = |page| world.touch(program, start + page * PAGE, Access::Write);
        (0..pages).map(can).map(u64::from).collect()
    })
}

/// A program with memory of so many pages in A, each there and with its number in it, not mapped.
fn filled(pages: usize) -> (World, Program) {
    let mut world = World::new();
    let program = world.driver(AMPLE);
    let bytes: Vec<u8> = (0..pages).flat_map(|page| [page as u8 + 1; PAGE]).collect();
    world.store(program, A, &bytes);
    (world, program)
}

fn locate_new() -> Scene {
    let (mut world, program) = filled(2);
    world.memory(program, 3, B);
    let (request, slots) = (Request::Locate { page: 2 }, vec![B, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, B, 3) }
}

/// A page that two have is made one's own first.
fn locate_cloned() -> Scene {
    let (mut world, program) = filled(2);
    world.finish(program, Request::Clone { slot: B }, &[A, ACCOUNT_SLOT]);
    let (request, slots) = (Request::Locate { page: 1 }, vec![B, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, B, 2) }
}

pub fn notification(world: &mut World, program: Program, object: u32, slot: u32) {
    let create = Request::CreateNotification { object, slot };
    world.ask(program, create, &[ACCOUNT_SLOT]).unwrap();
}

fn shrink() -> Scene {
    let (world, program) = filled(9);
    let (request, slots) = (Request::Resize { pages: 3 }, vec![A, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, A, 3) }
}

/// Other memory lies behind it in the store.
fn grow_by_a_move() -> Scene {
    let (mut world, program) = filled(5);
    world.memory(program, 4, B);
    let (request, slots) = (Request::Resize { pages: 40 }, vec![A, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, A, 40) }
}

/// The same of pages that lie each by itself.
fn grow_by_a_move_of_runs() -> Scene {
    let (mut world, program) = filled(1);
    world.memory(program, 9, B);
    world.memory(program, 1, C);
    for page in (0..9).step_by(2) {
        let piece = Piece::of(&[page as u8 + 7]);
        world.ask(program, Request::Write { offset: page * PAGE, piece }, &[B]).unwrap();
    }
    let (request, slots) = (Request::Resize { pages: 20 }, vec![B, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, B, 20) }
}

fn populate() -> Scene {
    let mut world = World::new();
    let program = world.program(AMPLE);
    world.memory(program, 9, A);
    let address = world.map(program, A, 9, Rights::READ_WRITE);
    let (request, slots) = (Request::Populate { address, pages: 9 }, vec![SPACE_SLOT]);
    Scene { world, program, request, slots, look: words(program, address, 9) }
}

/// Three pages at a physical address, mapped.
fn physical() -> (World, Program, usize) {
    let mut world = World::new();
    let program = world.driver(AMPLE);
    let (address, options) = (world.fixture.machine.device(), MemoryOptions::WRITABLE);
    let create = Request::CreatePhysical { address, pages: 3, options, slot: A };
    world.ask(program, create, &[ACCOUNT_SLOT]).unwrap();
    let start = world.map(program, A, 3, Rights::READ_WRITE);
    (world, program, start)
}

fn map_physical_again() -> Scene {
    let (world, program, _) = physical();
    let request = Request::Map { address: TO, first: 1, pages: 2, rights: Rights::READ_WRITE };
    let slots = vec![SPACE_SLOT, A, ACCOUNT_SLOT];
    Scene { world, program, request, slots, look: writable(program, TO, 2) }
}

fn shift_physical() -> Scene {
    let (mut world, program, start) = physical();
    (0..3).for_each(|page| assert!(world.touch(program, start + page * PAGE, Access::Write)));
    let (address, rights) = (start + PAGE, Rights::READ_WRITE);
    let request = Request::Move { address, pages: 2, to: TO, rights };
    Scene { world, program, request, slots: vec![SPACE_SLOT], look: writable(program, TO, 2) }
}

fn populate_physical() -> Scene {
    let (world, program, address) = physical();
    let (request, slots) = (Request::Populate { address, pages: 3 }, vec![SPACE_SLOT]);
    Scene { world, program, request, slots, look: writable(program, address, 3) }
}

/// Nine pages that are mapped and there, each with a word.
fn mapped() -> (World, Program, usize) {
    let mut world = World::new();
    let program = world.program(AMPLE);
    world.memory(program, 9, A);
    let start = world.map(program, A, 9, Rights::READ_WRITE);
    for page in 0..9 {
        put(&mut world, program, start + page * PAGE, page as u64 + 1);
    }
    (world, program, start)
}

const TO: usize = 0x4000_0000;

fn protect() -> Scene {
    let (world, program, start) = mapped();
    let (address, rights) = (start + 3 * PAGE, Rights::READ);
    let (request, slots) = (Request::Protect { address, pages: 3, rights }, vec![SPACE_SLOT]);
    Scene { world, program, request, slots, look: writable(program, start, 9) }
}

fn unmap_part() -> Scene {
    let (world, program, start) = mapped();
    let address = start + 3 * PAGE;
    let (request, slots) = (Request::UnmapPart { address, pages: 3 }, vec![SPACE_SLOT]);
    Scene { world, program, request, slots, look: writable(program, start, 9) }
}

fn shift() -> Scene {
    let (world, program, start) = mapped();
    let (address, rights) = (start + 3 * PAGE, Rights::READ);
    let request = Request::Move { address, pages: 3, to: TO, rights };
    Scene { world, program, request, slots: vec![SPACE_SLOT], look: words(program, TO, 3) }
}

/// Two large pages that are mapped and there, and where; and small ones that one is as long as.
fn mapped_large() -> (World, Program, usize, u32) {
    let mut world = large_world(Target::Ia32);
    let program = world.program(with_large(2));
    create_large(&mut world, program, 2, A);
    let unit = unit(&world);
    let start = world.map(program, A, 2 * unit, Rights::READ_WRITE);
    for page in 0..2 {
        put(&mut world, program, start + page * unit as usize * PAGE, page as u64 + 1);
    }
    (world, program, start, unit)
}

fn protect_large() -> Scene {
    let (world, program, address, pages) = mapped_large();
    let request = Request::Protect { address, pages, rights: Rights::READ };
    let look: Look = Box::new(move |world| {
        let unit = pages as usize * PAGE;
        let can = |page| world.touch(program, address + page * unit, Access::Write);
        (0..2).map(can).map(u64::from).collect()
    });
    Scene { world, program, request, slots: vec![SPACE_SLOT], look }
}

fn unmap_part_large() -> Scene {
    let Scene { world, program, request, slots, look } = protect_large();
    let Request::Protect { address, pages, .. } = request else { unreachable!() };
    Scene { world, program, request: Request::UnmapPart { address, pages }, slots, look }
}

fn shift_large() -> Scene {
    let (world, program, start, pages) = mapped_large();
    let address = start + pages as usize * PAGE;
    let request = Request::Move { address, pages, to: TO, rights: Rights::READ_WRITE };
    Scene { world, program, request, slots: vec![SPACE_SLOT], look: words(program, TO, 1) }
}

/// Two large pages with a word each, mapped nowhere, of an account that has four; what is read of the
/// memory in a slot.
fn unmapped_large(slot: u32, request: Request) -> Scene {
    let mut world = large_world(Target::Ia32);
    let program = world.program(with_large(3));
    create_large(&mut world, program, 1, A);
    let bytes = unit(&world) as usize * PAGE;
    let write = Request::Write { offset: bytes - 3, piece: Piece::of(b"end") };
    world.ask(program, write, &[A]).unwrap();
    let look: Look = Box::new(move |world| {
        let read = Request::Read { offset: bytes - 3, bytes: 3 };
        match world.ask(program, read, &[slot]) {
            Ok(Answer::Piece { piece }) => piece.bytes().iter().map(|&it| u64::from(it)).collect(),
            other => panic!("{other:?}"),
        }
    });
    Scene { world, program, request, slots: vec![A, ACCOUNT_SLOT], look }
}

fn grow_large() -> Scene {
    let mut scene = unmapped_large(A, Request::Info {});
    scene.request = Request::Resize { pages: 3 * unit(&scene.world) };
    scene
}

fn shrink_large() -> Scene {
    let mut scene = grow_large();
    let (request, unit) = (scene.request, unit(&scene.world));
    scene.world.ask(scene.program, request, &[A, ACCOUNT_SLOT]).unwrap();
    for page in 1..3 {
        let offset = (page * unit) as usize * PAGE;
        let write = Request::Write { offset, piece: Piece::of(b"more") };
        scene.world.ask(scene.program, write, &[A]).unwrap();
    }
    Scene { request: Request::Resize { pages: unit }, ..scene }
}

fn clone_large() -> Scene {
    unmapped_large(B, Request::Clone { slot: B })
}

fn unmap() -> Scene {
    let (world, program, address) = mapped();
    let request = Request::Unmap { address };
    Scene { world, program, request, slots: vec![SPACE_SLOT], look: writable(program, address, 9) }
}

/// Over the end of a page, of pages that are not there.
fn write_new() -> Scene {
    let mut world = World::new();
    let program = world.program(AMPLE);
    world.memory(program, 3, A);
    let request = Request::Write { offset: PAGE - 3, piece: Piece::of(&[7; 9]) };
    let look: Look = Box::new(move |world| {
        let read = Request::Read { offset: PAGE, bytes: 1 };
        vec![first(world.ask(program, read, &[A]))]
    });
    Scene { world, program, request, slots: vec![A], look }
}

/// Of pages that a clone has too.
fn write_cloned() -> Scene {
    let (mut world, program) = filled(3);
    world.finish(program, Request::Clone { slot: B }, &[A, ACCOUNT_SLOT]);
    let request = Request::Write { offset: 2 * PAGE - 3, piece: Piece::of(&[7; 9]) };
    let both = [contents(program, A, 3), contents(program, B, 3)];
    let look: Look = Box::new(move |world| both.iter().flat_map(|look| look(world)).collect());
    Scene { world, program, request, slots: vec![B], look }
}

fn read_cloned() -> Scene {
    let mut scene = write_cloned();
    scene.request = Request::Read { offset: 2 * PAGE, bytes: 9 };
    scene
}

fn read_absent() -> Scene {
    let mut scene = write_new();
    scene.request = Request::Read { offset: PAGE - 3, bytes: 9 };
    scene
}

/// More pages than one request does.
fn clone_in_pieces() -> Scene {
    let mut world = World::new();
    let program = world.program(AMPLE.with(Resource::Pages, 600));
    let bytes: Vec<u8> = (0..70).flat_map(|page| [page as u8 + 1; PAGE]).collect();
    world.store(program, A, &bytes);
    let (request, slots) = (Request::Clone { slot: B }, vec![A, ACCOUNT_SLOT]);
    Scene { world, program, request, slots, look: contents(program, B, 70) }
}

fn give() -> Scene {
    let (mut world, program) = filled(1);
    let amounts = Amounts([30, 6, 40, 2, 2, 8, 20, 0]);
    let options = AccountOptions::empty();
    let account = Request::CreateAccount { amounts, options, slot: B };
    world.ask(program, account, &[ACCOUNT_SLOT]).unwrap();
    let amounts = Amounts([3, 1, 4, 0, 1, 2, 5, 0]);
    let look: Look = Box::new(move |world| world.used(program, B).0.map(u64::from).to_vec());
    let request = Request::Give { amounts, back: false };
    Scene { world, program, request, slots: vec![ACCOUNT_SLOT, B], look }
}
