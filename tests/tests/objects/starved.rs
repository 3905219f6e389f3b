// SPDX-License-Identifier: BSD-2-Clause
//! Each request with n pages, slots or nodes left in the machine: with none, with one, until it
//! succeeds. What accounts have does not help: it is the service that is short.

use vmm::Access;
use vmm_service::objects::Act;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, FaultPolicy, MemoryOptions, ProgramOptions, Refusal, Request,
    Rights, SPACE_SLOT,
};

use crate::children::IT;
use crate::failures::{BULK, making, with_memory};
use crate::support::Fixture;
use crate::support::ballast::{Ballast, ENOUGH};
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World};

/// More than the service has records for without memory.
const MANY: Amounts = Amounts([1000, 500, 5000, 50, 20, 480, 1500, 0]);

const WRITABLE: MemoryOptions = MemoryOptions::WRITABLE;

type Load = fn(&mut Fixture<'static>, usize) -> Ballast;

/// Asks with so much left. Says what was answered.
fn ask_starved(
    world: &mut World,
    program: Program,
    (request, slots): (Request, &[u32]),
    (load, left): (Load, usize),
) -> Result<Answer, Refusal> {
    let ballast = load(&mut world.fixture, left);
    let answer = world.ask(program, request, slots);
    ballast.drop(&mut world.fixture);
    answer
}

/// Records, amounts, what the program's account uses, pages.
type Figures = ([usize; 4], (Amounts, Amounts), Amounts, usize);

/// What a refused request leaves as it is. What became memory of the manager's own is that still.
fn figures(world: &mut World, program: Program) -> Figures {
    world.fixture.vmm.trim().unwrap();
    let stats = world.fixture.vmm.stats();
    let pages = (stats.free_bytes() + stats.allocator.bookkeeping_bytes).div_ceil(PAGE);
    (world.objects.counts(), world.objects.amounts(), world.used(program, ACCOUNT_SLOT), pages)
}

/// Makes each request that makes something with nothing left, then with one, until it succeeds, or
/// with `most`. At least `least` are refused.
fn starve(load: Load, most: usize, least: usize) {
    let mut refused = 0;
    for asked in making() {
        let (mut world, program) = with_memory(AMPLE);
        let mut before = None;
        for left in 0..=most {
            match ask_starved(&mut world, program, asked, (load, left)) {
                Ok(_) => break,
                Err(refusal) => check_refusal(&mut world, program, (refusal, left), &mut before),
            }
            refused += 1;
            // A CNode is two pages, one behind the other: of those that are left no two are.
            let pair = matches!(asked.0, Request::CreateProgram { .. });
            assert!(left < ENOUGH || pair, "{asked:?} needs more than it should");
        }
        // What was there holds what it held.
        let start = world.map(program, A, 4, Rights::READ);
        assert!(world.touch(program, start + PAGE, Access::Read));
    }
    assert!(refused >= least, "{refused} requests were refused");
}

/// A refused request is the service's want, and has left nothing.
fn check_refusal(
    world: &mut World,
    program: Program,
    (refusal, left): (Refusal, usize),
    before: &mut Option<Figures>,
) {
    assert_eq!(refusal, Refusal::OutOfMemory {}, "{left} left");
    world.reap();
    for slot in [B, C] {
        assert!(world.is_empty(program, slot), "slot {slot}, {left} left");
    }
    let after = figures(world, program);
    let (counts, amounts, used, pages) = before.get_or_insert(after);
    assert_eq!((*counts, *amounts, *used), (after.0, after.1, after.2), "{left} left");
    // A page that was given at boot may have become records.
    assert!(after.3 >= *pages, "{left} left: {} pages, and were {pages}", after.3);
}

/// A159.
#[test]
fn want_of_pages_leaves_nothing() {
    starve(Ballast::of_memory, ENOUGH, 4);
}

/// A159.
#[test]
fn want_of_slots_leaves_nothing() {
    starve(Ballast::of_slots, ENOUGH, 10);
}

/// A217 A218 A219 A220: what is done with a thread takes nothing, so it is done whatever is out.
#[test]
fn want_of_anything_keeps_no_thread_from_being_held() {
    let loads: [Load; 3] = [
        |f, n| Ballast::of_memory(f, n),
        |f, n| Ballast::of_slots(f, n),
        |f, n| Ballast::of_nodes(f, n),
    ];
    for load in loads {
        let (mut world, program) = crate::threads::one();
        world.ask(program, crate::threads::thread(A), &[ACCOUNT_SLOT]).unwrap();
        let Some(Act::Start { start, priority, .. }) = world.act else { panic!() };
        world.objects.note_started(&start, priority);
        let notification = Request::CreateNotification { object: B, slot: C };
        world.ask(program, notification, &[ACCOUNT_SLOT]).unwrap();
        world.ask(program, Request::TellEnd {}, &[A, C]).unwrap();
        let steps: [(Request, &[u32]); 5] = [
            (Request::BindThread {}, &[A, C]),
            (Request::Suspend {}, &[A]),
            (Request::Resume {}, &[A]),
            (Request::TellEnd {}, &[A, C]),
            (Request::EndThread { code: 1, own: false }, &[A]),
        ];
        for step in steps {
            let answer = ask_starved(&mut world, program, step, (load, 0));
            assert_eq!(answer, Ok(Answer::Done {}), "{step:?}");
        }
    }
}

/// A250: as is a program.
#[test]
fn want_of_anything_keeps_no_program_from_being_suspended() {
    let loads: [Load; 3] = [
        |f, n| Ballast::of_memory(f, n),
        |f, n| Ballast::of_slots(f, n),
        |f, n| Ballast::of_nodes(f, n),
    ];
    for load in loads {
        let (mut world, maker, child, _) = crate::time::held(ProgramOptions::empty());
        crate::controls::begin(&mut world, child, A, FaultPolicy::Program);
        for request in [Request::SuspendProgram {}, Request::Resume {}] {
            let answer = ask_starved(&mut world, maker, (request, &[IT]), (load, 0));
            assert_eq!(answer, Ok(Answer::Done {}), "{request:?}");
        }
    }
}

/// A159. Nodes are made of memory, so without it a request can fail however many there are.
#[test]
fn want_of_nodes_of_the_manager_leaves_nothing() {
    starve(Ballast::of_nodes, 8, 20);
}

/// A159 A221 A222: of mappings, whose middle gets other rights, goes, or moves, with n pages, slots
/// or nodes left: it is done, or all is as it was.
#[test]
fn want_of_anything_leaves_a_mapping_in_one_piece() {
    const PAGES: u32 = 9;
    let parts: [fn(usize) -> Request; 3] = [
        |address| Request::Protect { address, pages: 3, rights: Rights::READ },
        |address| Request::UnmapPart { address, pages: 3 },
        |address| Request::Move { address, pages: 3, to: 0, rights: Rights::READ },
    ];
    let loads: [Load; 3] = [
        |f, n| Ballast::of_memory(f, n),
        |f, n| Ballast::of_slots(f, n),
        |f, n| Ballast::of_nodes(f, n),
    ];
    let mut refused = 0;
    for (part, load) in parts.iter().flat_map(|part| loads.map(|load| (part, load))) {
        let mut world = World::new();
        let program = world.program(AMPLE);
        world.memory(program, PAGES, A);
        let start = world.map(program, A, PAGES, Rights::READ_WRITE);
        let at = |page: u32| start + page as usize * PAGE;
        let asked = part(at(3));
        let writable = |world: &mut World, page| world.touch(program, at(page), Access::Write);
        assert!((0..PAGES).all(|page| writable(&mut world, page)));
        let mut before = None;
        for left in 0.. {
            match ask_starved(&mut world, program, (asked, &[SPACE_SLOT]), (load, left)) {
                Ok(Answer::More {}) => {}
                Ok(_) => break,
                Err(refusal) => {
                    check_refusal(&mut world, program, (refusal, left), &mut before);
                    assert!((0..PAGES).all(|page| writable(&mut world, page)), "{asked:?}");
                    refused += 1;
                }
            }
            assert!(left < ENOUGH, "{asked:?} needs more than it should");
        }
        assert!((0..PAGES).all(|page| writable(&mut world, page) != (3..6).contains(&page)));
        world.check();
    }
    assert!(refused > 0);
}

/// What takes a record of the service's, with the slot for a capability; and what gives it back.
type Taken = (Request, &'static [u32], Request);

/// Takes records until the service has none; returns what gives them back, and by which slots.
fn take_all(world: &mut World, program: Program, taker: fn(u32) -> Taken) -> Vec<(Request, u32)> {
    let mut taken = Vec::new();
    for slot in BULK + 1.. {
        let (take, slots, back) = taker(slot);
        match world.ask_quickly(program, take, slots) {
            Ok(Answer::Mapped { address }) => taken.push((Request::Unmap { address }, SPACE_SLOT)),
            Ok(_) => taken.push((back, slot)),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::OutOfMemory {}, "{take:?}");
                break;
            }
        }
    }
    assert!(taken.len() > 5, "{} records were taken", taken.len());
    taken
}

fn give_back(world: &mut World, program: Program, taken: Option<(Request, u32)>) {
    if let Some((back, slot)) = taken {
        // Giving back needs nothing.
        assert_eq!(world.ask_quickly(program, back, &[slot]), Ok(Answer::Done {}), "{back:?}");
    }
}

/// A159: the service's own records: of capabilities, of objects, of mappings.
#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "its records outnumber a program's slots")]
fn want_of_the_services_own_nodes_leaves_nothing() {
    let takers: [fn(u32) -> Taken; 3] = [
        |slot| {
            let restrict = Request::Restrict { rights: Rights::REVOKE, slot };
            (restrict, &[D, ACCOUNT_SLOT], Request::Revoke { slot: 0 })
        },
        |slot| {
            let create = Request::CreateMemory { pages: 1, options: WRITABLE, slot };
            (create, &[ACCOUNT_SLOT], Request::Destroy {})
        },
        |_| {
            let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
            (map, &[SPACE_SLOT, D, ACCOUNT_SLOT], Request::Unmap { address: 0 })
        },
    ];
    for taker in takers {
        for asked in making() {
            let (mut world, program) = with_memory(MANY);
            world.memory(program, 1, D);
            let mut before = None;
            // A request takes four records of a kind at the most.
            for left in [0, 3, 4] {
                let ballast = Ballast::of_memory(&mut world.fixture, 0);
                let mut taken = take_all(&mut world, program, taker);
                for _ in 0..left {
                    give_back(&mut world, program, taken.pop());
                }
                let answer = world.ask(program, asked.0, asked.1);
                while !taken.is_empty() {
                    give_back(&mut world, program, taken.pop());
                }
                ballast.drop(&mut world.fixture);
                match answer {
                    Ok(_) => break,
                    Err(refusal) => {
                        check_refusal(&mut world, program, (refusal, left), &mut before)
                    }
                }
                let memory = Request::CreateMemory { pages: 5, options: WRITABLE, slot: B };
                assert!(left < 4 || asked.0 != memory, "{asked:?} needs more than it should");
            }
        }
    }
}
