// SPDX-License-Identifier: BSD-2-Clause
//! Threads that programs ask for: made, ended, joined, and gone with their program.

use vmm::{Access, KernelError};
use vmm_service::Start;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultPolicy, Kind, MAX_PAGES, Message,
    PROGRAM_SLOT, Refusal, Request, Rights, SPACE_SLOT, State, Supply,
};
use vmm_service::objects::{Act, Arrived, Touched, Turnstile};

use crate::world::{A, B, C, D, PAGE, Program, World, account};

const PRIORITY: u8 = 90;
const PAYER: &[u32] = &[ACCOUNT_SLOT];

pub fn thread(slot: u32) -> Request {
    let priority = PRIORITY.into();
    let (entry, argument, policy) = (0x40_0010, 5, FaultPolicy::Program);
    Request::CreateThread { entry, argument, stack: 2, guard: 1, priority, policy, slot }
}

/// A program that runs.
pub fn one() -> (World, Program) {
    let (mut world, program) = World::one();
    world.objects.note_started(&program.start, PRIORITY);
    (world, program)
}

/// A further thread of a program, with the capability in `slot`. Returns how it begins.
#[track_caller]
fn begin(world: &mut World, program: Program, slot: u32) -> Start {
    assert_eq!(world.ask(program, thread(slot), PAYER), Ok(Answer::Done {}));
    let Some(Act::Start { program: whose, start, argument: 5, priority: PRIORITY }) = world.act
    else {
        panic!("{:?}", world.act)
    };
    assert_eq!(whose, program.id);
    world.objects.note_started(&start, PRIORITY);
    start
}

#[track_caller]
fn state(world: &mut World, program: Program, slot: u32) -> (State, bool, u32) {
    match world.ask(program, Request::Info {}, &[slot]) {
        Ok(Answer::Program { state, gone, code, .. }) => (state, gone, code),
        other => panic!("{other:?}"),
    }
}

/// A182: a further thread begins where it was asked to, with a stack and a buffer of its own in its
/// program's space, and its faults are told as its own; ended, all it had is back.
#[test]
fn a_thread_is_made_and_ended() {
    let (mut world, program) = one();
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    let start = begin(&mut world, program, A);
    assert_eq!(start.entry, 0x40_0010);
    assert_ne!(start.tcb, program.start.tcb);
    assert_ne!(start.ipc_buffer, program.start.ipc_buffer);
    let space = program.id.space();
    let top = start.stack_top - PAGE;
    let region = world.fixture.vmm.region_at(space, top).unwrap().expect("a stack");
    let usable = region.range.pages() - region.guard_below - region.guard_above;
    assert_eq!((usable, region.guard_below), (2, 1));
    // The kernel has the same space and CSpace for both.
    {
        let kernel = world.fixture.kernel();
        let (first, further) = (kernel.tcb(program.start.tcb), kernel.tcb(start.tcb));
        let (first, further) = (first.unwrap(), further.unwrap());
        assert_eq!((&first.cspace, &first.vspace), (&further.cspace, &further.vspace));
        assert_ne!(first.fault_endpoint, further.fault_endpoint, "each tells its own faults");
    }
    assert_eq!(state(&mut world, program, A), (State::Running, false, 0));
    let end = Request::EndThread { code: 17, own: false };
    assert_eq!(world.ask(program, end, &[A]), Ok(Answer::Done {}));
    assert!(world.fixture.kernel().tcb(start.tcb).is_none(), "it runs no more");
    assert_eq!(state(&mut world, program, A), (State::Exited, true, 17));
    // Once more: nothing is left to do.
    assert_eq!(world.ask(program, end, &[A]), Ok(Answer::Done {}));
    world.finish(program, Request::Destroy {}, &[A]);
    let after = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    assert_eq!(after, before);
}

/// A183: who joins a thread is told of its end, also if it has ended before; who ends itself is not
/// answered.
#[test]
fn a_thread_is_joined() {
    let (mut world, program) = one();
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(program, notification, PAYER).unwrap();
    begin(&mut world, program, A);
    assert_eq!(world.ask(program, Request::TellEnd {}, &[A, D]), Ok(Answer::Done {}));
    assert_eq!(world.objects.next_notice(), None);
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(program, &[A]);
    let end = Request::EndThread { code: 3, own: true };
    let outcome = world.send(badge, &end.encode(), &arrived);
    assert!(outcome.answer.is_none() && outcome.ends, "nobody is held for it");
    assert!(world.objects.next_notice().is_some());
    assert_eq!(state(&mut world, program, A), (State::Exited, true, 3));
    assert_eq!(world.ask(program, Request::TellEnd {}, &[A, D]), Ok(Answer::Done {}));
    assert!(world.objects.next_notice().is_some(), "it has ended before");
    // What is no thread is refused, and that is answered.
    world.refused(program, Request::EndThread { code: 0, own: true }, &[C], {
        Refusal::WrongKind { place: 0, found: Kind::Notification }
    });
    world.refused(program, Request::TellEnd {}, &[ACCOUNT_SLOT, D], {
        Refusal::WrongKind { place: 0, found: Kind::Account }
    });
}

/// A184: a thread that cannot be is refused.
#[test]
fn threads_that_cannot_be_are_refused() {
    let (mut world, program) = one();
    let of = |stack, guard, priority| Request::CreateThread {
        entry: 0x40_0010,
        argument: 0,
        stack,
        guard,
        priority,
        policy: FaultPolicy::Program,
        slot: A,
    };
    for pages in [0, MAX_PAGES + 1, u32::MAX] {
        let refusal = Refusal::BadLength { pages };
        world.refused(program, of(pages, 1, 1), PAYER, refusal);
    }
    world.refused(program, of(1, 17, 1), PAYER, Refusal::BadLength { pages: 17 });
    for priority in [u32::from(PRIORITY) + 1, 256, u32::MAX] {
        let refusal = Refusal::PriorityTooHigh { most: PRIORITY.into() };
        world.refused(program, of(1, 1, priority), PAYER, refusal);
    }
    world.refused(program, thread(ACCOUNT_SLOT), PAYER, {
        Refusal::SlotOccupied { slot: ACCOUNT_SLOT }
    });
    let mut made = 0;
    loop {
        match world.ask(program, thread(A + made), PAYER) {
            Ok(_) => made += 1,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TooManyThreads { most: made });
                break;
            }
        }
    }
    assert_eq!(made, 14, "as many as the root of its CSpace has slots for");
    // The place of one that has ended is another's.
    world.finish(program, Request::Destroy {}, &[A + 3]);
    world.ask(program, thread(A + 3), PAYER).unwrap();
}

/// A185: a program ends with all its threads: none runs once that is answered; what each was is
/// known to who holds it, and everything is given back. The end of an account ends the threads it
/// pays for, and no more.
#[test]
fn a_program_ends_with_its_threads() {
    let (mut world, program) = one();
    let payer = account(Amounts([1, 0, 9, 0, 1, 4, 20, 0]), AccountOptions::empty(), D);
    world.ask(program, payer, PAYER).unwrap();
    let first = begin(&mut world, program, A);
    assert_eq!(world.ask(program, thread(B), &[D]), Ok(Answer::Done {}));
    let Some(Act::Start { start: second, .. }) = world.act else { panic!() };
    world.objects.note_started(&second, PRIORITY);
    world.finish(program, Request::Destroy {}, &[D]);
    world.reap();
    assert!(world.fixture.kernel().tcb(second.tcb).is_none());
    assert!(world.fixture.kernel().tcb(first.tcb).is_some());
    assert!(world.is_empty(program, B));
    let third = begin(&mut world, program, B);
    world.objects.kill(program.id).unwrap();
    let mut steps = 0;
    while world.objects.is_urgent() {
        world.objects.reap_step(&mut world.fixture.vmm).unwrap();
        steps += 1;
        let runs = |tcb| world.fixture.kernel().tcb(tcb).is_some();
        assert!(![program.start.tcb, first.tcb, third.tcb].into_iter().any(runs), "step {steps}");
    }
    assert_eq!(steps, 1, "all of them stop at once");
    world.reap();
    assert_eq!(world.objects.amounts().1, Amounts::NONE);
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A182: whichever call fails of making a thread, there is none, and of ending one, it is ended
/// later; so it is when the kernel refuses to let it run.
#[test]
fn a_thread_that_fails_leaves_nothing() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        let mut before = None;
        for nth in 1.. {
            let (mut world, program) = one();
            begin(&mut world, program, B);
            world.finish(program, Request::Destroy {}, &[B]);
            world.fixture.kernel().fail_nth(nth, error);
            let answer = world.ask(program, thread(A), PAYER);
            let failed = !world.fixture.kernel().disarm();
            world.reap();
            if answer.is_ok() {
                assert!(!failed && nth > 5, "call {nth}");
                let Some(Act::Start { start, program: id, .. }) = world.act else { panic!() };
                let refused = world.objects.start_refused(&mut world.fixture.vmm, id, &start);
                assert_eq!(refused, Ok(Refusal::OutOfMemory {}));
                world.reap();
            }
            assert!(world.is_empty(program, A), "call {nth}");
            let after = (world.figures(), world.used(program, ACCOUNT_SLOT));
            assert_eq!(before.get_or_insert(after.clone()), &after, "call {nth}");
            if answer.is_ok() {
                break;
            }
        }
        for nth in 1.. {
            let (mut world, program) = one();
            let start = begin(&mut world, program, A);
            let end = Request::EndThread { code: 4, own: false };
            world.fixture.kernel().fail_nth(nth, error);
            let answer = world.ask(program, end, &[A]);
            let failed = !world.fixture.kernel().disarm();
            assert_eq!(answer.is_err(), failed, "call {nth}: {answer:?}");
            world.reap();
            assert!(world.fixture.kernel().tcb(start.tcb).is_none(), "call {nth}");
            assert_eq!(state(&mut world, program, A), (State::Exited, true, 4));
            if !failed {
                assert!(nth > 3);
                break;
            }
        }
    }
}

/// A139: as many answers of a program are held as it has threads, and what is kept by the slot of
/// one that ends is given.
#[test]
fn threads_of_one_program_are_held_together() {
    const ROUND: Turnstile = Turnstile(2);
    let (mut world, program) = one();
    begin(&mut world, program, A);
    world.objects.set_slice(1000);
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let mut slots = Vec::new();
    for number in 0..3 {
        let space = world.arrive(program, &[SPACE_SLOT]);
        let outcome = world.send(badge, &Request::Info {}.encode(), &space);
        assert_eq!(world.objects.charge_time(badge, 0, 2000), Some(PRIORITY));
        let slot = world.objects.hold(&outcome.answer.unwrap(), ROUND);
        assert_eq!(slot.is_some(), number < 2, "there are two threads");
        slot.into_iter().for_each(|slot| world.save_caller(slot));
        slots.extend(slot);
    }
    world.check();
    // One of them ends meanwhile: what its slot keeps may be the other's.
    let end = Request::EndThread { code: 0, own: false };
    assert_eq!(world.ask(program, end, &[A]), Ok(Answer::Done {}));
    assert_eq!(state(&mut world, program, A), (State::Exited, false, 0));
    let given = world.objects.next_answer(&mut world.fixture.vmm).map(|(slot, _)| slot);
    assert_eq!(given, Some(slots[1]), "it is given now");
    world.reap();
    assert_eq!(state(&mut world, program, A), (State::Exited, true, 0));
    while world.objects.come_round(ROUND, 0) {}
    let given = world.objects.next_answer(&mut world.fixture.vmm).map(|(slot, _)| slot);
    assert_eq!(given, Some(slots[0]));
}

/// A189: it is not known which of them sends without waiting: all are suspended before it is said
/// that somebody else does.
#[test]
fn threads_that_send_without_waiting_are_suspended_one_after_another() {
    const ROUND: Turnstile = Turnstile(2);
    let (mut world, program) = one();
    let second = begin(&mut world, program, A);
    world.objects.set_slice(1000);
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let send = |world: &mut World| {
        let outcome = world.send(badge, &Request::Info {}.encode(), &[]);
        assert_eq!(world.objects.charge_time(badge, 0, 2000), Some(PRIORITY));
        world.objects.hold(&outcome.answer.unwrap(), ROUND);
        world.objects.hold_thread(ROUND)
    };
    let held = [0; 3].map(|_| send(&mut world));
    assert_eq!(held, [Some(program.start.tcb), Some(second.tcb), None]);
    while world.objects.come_round(ROUND, 0) {}
    let went_on = [0; 3].map(|_| world.objects.next_thread());
    assert_eq!(went_on, held, "all go on");
    world.check();
}

/// A255: a forged fault of a thread that waits for a page changes nothing and is told from one that
/// waits; above a slice one of the threads is held that run, and the page lets the other go on.
#[test]
fn forged_faults_of_a_thread_that_waits_are_its_programs_time() {
    const ROUND: Turnstile = Turnstile(2);
    let (mut world, program) = one();
    let create = Request::CreatePaged { pages: 4, most: 4, slot: B };
    world.ask(program, create, PAYER).unwrap();
    world.memory(program, 4, C);
    let at = world.map(program, B, 4, Rights::READ);
    let second = begin(&mut world, program, A);
    world.objects.set_slice(1000);
    let first = program.start.tcb;
    assert_eq!(world.touch_or_wait(program, at, Access::Read), Touched::Waits(first));
    let before = world.figures();
    // Of the same page, of another, to be written.
    for (page, access) in [(0, Access::Read), (2, Access::Read), (0, Access::Write)] {
        let forged = world.touch_or_wait(program, at + page * PAGE, access);
        let expected = match access {
            Access::Write => Touched::Fault,
            _ => Touched::Forged,
        };
        assert_eq!(forged, expected, "page {page}");
        assert_eq!(world.figures(), before);
    }
    // The badge is that of its faults.
    let held = [0; 2].map(|_| {
        assert_eq!(world.touch_or_wait(program, at, Access::Read), Touched::Forged);
        assert_eq!(world.objects.charge_time(1, 0, 2000), Some(PRIORITY));
        world.objects.hold(&Message::EMPTY, ROUND).expect("a slot is empty");
        let held = world.objects.hold_thread(ROUND);
        world.check();
        held
    });
    assert_eq!(held, [Some(second.tcb), None], "who waits has not sent it");
    let asked = world.ask(program, Request::NextFault { wait: 0 }, &[B]);
    assert_eq!(asked, Ok(Answer::Wanted { done: 0, waits: true, page: 0, write: false }));
    while world.objects.come_round(ROUND, 0) {}
    assert_eq!(world.objects.next_thread(), Some(second.tcb));
    assert_eq!(world.objects.next_thread(), None);
    let (how, write) = (Supply::Give, false);
    let supply = Request::Supply { first: 0, pages: 1, from: 0, how, write, wait: 0 };
    world.ask(program, supply, &[B, C]).unwrap();
    assert_eq!(world.objects.next_thread(), Some(first));
    assert!(world.touch(program, at, Access::Read));
}

/// A174: a program with several threads may page its own memory.
#[test]
fn a_thread_supplies_pages_to_another() {
    let (mut world, program) = one();
    let create = Request::CreatePaged { pages: 4, most: 4, slot: B };
    world.ask(program, create, PAYER).unwrap();
    world.memory(program, 4, C);
    let at = world.map(program, B, 4, Rights::READ);
    assert!(world.ask(program, Request::NextFault { wait: 0 }, &[B]).is_ok());
    assert_eq!(world.touch_or_wait(program, at, Access::Read), Touched::Fault);
    begin(&mut world, program, A);
    let touched = world.touch_or_wait(program, at, Access::Read);
    assert_eq!(touched, Touched::Waits(program.start.tcb));
    let (how, write) = (Supply::Give, false);
    let supply = Request::Supply { first: 0, pages: 1, from: 0, how, write, wait: 0 };
    world.ask(program, supply, &[B, C]).unwrap();
    assert_eq!(world.objects.next_thread(), Some(program.start.tcb));
    assert!(world.touch(program, at, Access::Read));
}
