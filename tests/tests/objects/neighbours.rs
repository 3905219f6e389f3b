// SPDX-License-Identifier: BSD-2-Clause
//! What others' programs and threads cost a program: nothing looks through them.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultPolicy, MemoryOptions, Name, PROGRAM_SLOT,
    ProgramOptions, Request, Rights, SPACE_SLOT, State, Supply,
};
use vmm_service::objects::{Act, Arrived, Turnstile};

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER};
use crate::paging::supply;
use crate::time::{PAGED, SOURCE, held, woken};
use crate::world::{A, AMPLE, B, C, D, Program, World, account};

/// Programs, and the further threads of each.
const OTHERS: u32 = 12;
const THREADS: u32 = 14;
/// A slot in which nothing is.
const SPARE: u32 = D + 20;

fn badge(world: &World, program: Program) -> usize {
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    badge
}

/// Programs all whose threads sleep or wait for memory, of guarantees of their own.
fn others(world: &mut World) {
    let enough = Amounts([120, 45, 400, 20, 3, 60, 200, 0]);
    let limits = Amounts([1000, 100, 500, 10, 5, 60, 200, 0]);
    for _ in 0..OTHERS {
        let program = world.program(enough);
        world.objects.note_started(&program.start, 50);
        for slot in D..D + THREADS {
            let (entry, argument, stack, guard, priority) = (0x40_0010, 0, 1, 1, 40);
            let policy = FaultPolicy::Program;
            let create =
                Request::CreateThread { entry, argument, stack, guard, priority, policy, slot };
            world.ask_quickly(program, create, PAYER).unwrap();
            let Some(Act::Start { start, .. }) = world.act else { panic!() };
            world.objects.note_started(&start, priority as u8);
        }
        let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
        world.ask_quickly(program, account(limits, waits, A), &[ACCOUNT_SLOT]).unwrap();
        let (badge, options) = (badge(world, program), MemoryOptions::WRITABLE);
        let large = Request::CreateMemory { pages: 500, options, slot: B }.encode();
        for thread in 0..=THREADS {
            let outcome = match thread % 2 {
                0 => world.send(badge, &Request::Sleep { ms: 1_000_000 }.encode(), &[]),
                _ => {
                    let arrived = world.arrive(program, &[A]);
                    world.send(badge, &large, &arrived)
                }
            };
            assert!(outcome.waits.is_some());
        }
    }
    assert_eq!(world.objects.waiting(), OTHERS * THREADS / 2);
}

/// A270: whatever a program asks for, no thread of others is looked at for it, and no request of
/// theirs tried again.
#[test]
fn nothing_looks_at_others_threads() {
    let (mut world, maker, child, at) = held(ProgramOptions::SUSPEND_AT_FAULT);
    world.objects.set_slice(1000);
    world.objects.note_started(&child.start, 50);
    world.objects.set_time(1);
    others(&mut world);
    while world.objects.next_answer(&mut world.fixture.vmm).is_some() {}
    world.check();
    let before = world.objects.steps();
    let same = |world: &World, what: &str| assert_eq!(world.objects.steps(), before, "{what}");
    let ask = |world: &mut World, request, slots: &[u32]| {
        let answer = world.ask_quickly(maker, request, slots);
        while world.objects.next_answer(&mut world.fixture.vmm).is_some() {}
        while world.objects.next_notice().is_some() {}
        assert!(world.objects.next_thread().is_none());
        answer
    };
    let finish = |world: &mut World, request, slots: &[u32]| {
        while ask(world, request, slots) == Ok(Answer::More {}) {}
        while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {}
    };
    // Memory comes and goes.
    ask(
        &mut world,
        Request::CreateMemory { pages: 4, options: MemoryOptions::WRITABLE, slot: SPARE },
        PAYER,
    )
    .unwrap();
    let map = Request::Map { address: 0, first: 0, pages: 4, rights: Rights::READ_WRITE };
    let mapped = ask(&mut world, map, &[SPACE_SLOT, SPARE, ACCOUNT_SLOT]);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    finish(&mut world, Request::Unmap { address }, &[SPACE_SLOT]);
    finish(&mut world, Request::Destroy {}, &[SPARE]);
    same(&world, "memory");
    // A page is waited for, supplied, taken back, refused, and comes too late.
    ask(&mut world, Request::LimitWaits { ms: 5 }, &[IT]).unwrap();
    for page in 0..3 {
        world.objects.note_fault(Some(child.id.space()), None);
        let touched = touch(&mut world, child, at + page * 4096);
        assert!(touched, "it waits");
        ask_wanted(&mut world, maker);
        match page {
            0 => world.ask_quickly(maker, supply(0, 1, 0, Supply::Copy, false), &[PAGED, SOURCE]),
            1 => world.ask_quickly(maker, Request::Refuse { page: 1, wait: 0 }, &[PAGED]),
            _ => {
                let deadline = world.objects.next_deadline().unwrap();
                world.objects.set_time(deadline);
                Ok(Answer::Done {})
            }
        }
        .unwrap();
        assert_eq!(world.objects.next_thread(), Some(child.start.tcb));
    }
    same(&world, "pages");
    // Who sleeps, is held, wakes.
    let slept = world.send(badge(&world, maker), &Request::Sleep { ms: 2 }.encode(), &[]);
    assert!(slept.waits.is_some());
    let deadline = world.objects.next_deadline().unwrap();
    world.objects.set_time(deadline);
    assert_eq!(world.objects.next_answer(&mut world.fixture.vmm).map(|it| it.0), slept.waits);
    assert!(world.ask_quickly(maker, Request::Info {}, &[SPACE_SLOT]).is_ok());
    assert!(world.objects.charge_time(badge(&world, maker), 0, 5000).is_some());
    let round = Turnstile(1);
    let slot = world.objects.hold(&Answer::Done {}.encode(), round);
    while world.objects.come_round(round, 0) {}
    assert_eq!(world.objects.next_answer(&mut world.fixture.vmm).map(|it| it.0), slot);
    same(&world, "time");
    // A program ends, another is started, suspended, resumed, and ended.
    finish(&mut world, Request::Kill {}, &[IT]);
    finish(&mut world, Request::Destroy {}, &[IT]);
    let (name, slot, space) = (Name::new("child"), IT, ITS_SPACE);
    let (amounts, options) = (CHILD, ProgramOptions::empty());
    let create = Request::CreateProgram { amounts, options, name, slot, space, account: 0 };
    ask(&mut world, create, PAYER).unwrap();
    finish(&mut world, Request::Load {}, &[IT, FILE]);
    let start = Request::Start { argument: 0, stack: 1, priority: 1 };
    ask(&mut world, start, &[IT]).unwrap();
    let Some(Act::Start { start, priority, .. }) = world.act else { panic!() };
    assert_eq!(world.objects.started_with(priority), 0);
    world.objects.note_started(&start, priority);
    assert_eq!(world.objects.started_with(priority), 1);
    ask(&mut world, Request::SuspendProgram {}, &[IT]).unwrap();
    assert_eq!(world.ask_quickly(maker, Request::Resume {}, &[IT]), Ok(Answer::Done {}));
    finish(&mut world, Request::Kill {}, &[IT]);
    same(&world, "programs");
    world.check();
    assert_eq!(world.state(maker), State::Killed);
}

/// A touch of a page of paged memory, without the checks of all that there is.
fn touch(world: &mut World, program: Program, address: usize) -> bool {
    let fault = vmm::PageFault { address, access: Access::Read, present: false, ip: 0 };
    let vmm = &mut world.fixture.vmm;
    let resolution = vmm.resolve_fault(program.id.space(), &fault);
    let Ok(vmm::Resolution::AskPager { token, page }) = resolution else {
        panic!("{resolution:?}")
    };
    let touched = world.objects.touch(vmm, (token, page), false).unwrap();
    matches!(touched, vmm_service::objects::Touched::Waits(_))
}

fn ask_wanted(world: &mut World, maker: Program) {
    let wanted = world.ask_quickly(maker, Request::NextFault { wait: 0 }, &[PAGED]);
    assert!(matches!(wanted, Ok(Answer::Wanted { waits: true, .. })), "{wanted:?}");
}

/// A270: what comes back to a guarantee has those tried again that wait for it, and nobody else.
#[test]
fn what_comes_back_is_for_those_who_wait_for_it() {
    let mut world = World::new();
    let programs = [world.program(AMPLE), world.program(AMPLE)];
    let limits = Amounts([1000, 100, 1000, 10, 5, 60, 200, 0]);
    let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
    let mut slots = Vec::new();
    for program in programs {
        world.ask(program, account(limits, waits, A), &[ACCOUNT_SLOT]).unwrap();
        world.memory(program, 300, B);
        let (badge, arrived) = (badge(&world, program), world.arrive(program, &[A]));
        let options = MemoryOptions::WRITABLE;
        let request = Request::CreateMemory { pages: 200, options, slot: C }.encode();
        slots.push(world.send(badge, &request, &arrived).waits.expect("it waits"));
    }
    world.check();
    assert_eq!(woken(&mut world), []);
    // Nothing has come back: none is tried. What is too little: one is.
    world.check();
    let steps = world.objects.steps();
    assert!(world.objects.next_answer(&mut world.fixture.vmm).is_none());
    assert_eq!(world.objects.steps(), steps);
    assert!(
        world.ask_quickly(programs[1], Request::Resize { pages: 290 }, &[B, ACCOUNT_SLOT]).is_ok()
    );
    assert!(world.objects.next_answer(&mut world.fixture.vmm).is_none());
    assert_eq!(world.objects.steps(), steps + 1);
    // Enough for the second, which came later than the first.
    world.finish(programs[1], Request::Destroy {}, &[B]);
    assert_eq!(woken(&mut world), [(slots[1], Ok(Answer::Done {}))]);
    assert_eq!(world.objects.waiting(), 1);
    world.finish(programs[0], Request::Destroy {}, &[B]);
    assert_eq!(woken(&mut world), [(slots[0], Ok(Answer::Done {}))]);
}
