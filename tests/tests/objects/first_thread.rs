// SPDX-License-Identifier: BSD-2-Clause
//! A program's first thread, which its holder does with what may be done with any other.

use vmm::KernelError;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultPolicy, PROGRAM_SLOT, ProgramOptions,
    Refusal, Request, Resource, Rights, State,
};
use vmm_service::objects::{Act, Stopped};

use crate::children::{CHILD, FILE, IT, PAYER, create, with_file};
use crate::controls::{fault, granted, state, unresolved, write_at};
use crate::elf::small;
use crate::paging::going_on;
use crate::time::{TOLD, held};
use crate::world::{D, Program, World, account};

const RESUME: Request = Request::Resume {};
const SUSPEND: Request = Request::Suspend {};
const HALT: Request = Request::SuspendProgram {};
const READ: Request = Request::ReadRegisters {};
const DESTROY: Request = Request::Destroy {};
const END: Request = Request::EndThread { code: 6, own: false };
/// Slots of the maker's: for the thread, and one that is empty.
const FIRST: u32 = D + 8;
const SPARE: u32 = D + 9;
/// The capabilities that are due.
const BOTH: &[u32] = &[IT, ACCOUNT_SLOT];

fn first(policy: FaultPolicy) -> Request {
    Request::FirstThread { policy, slot: FIRST }
}

/// A world with a program that holds another and its first thread.
#[track_caller]
fn scene(options: ProgramOptions, policy: FaultPolicy) -> (World, Program, Program) {
    let (mut world, maker, child, _) = held(options);
    granted(&mut world, maker, first(policy), BOTH);
    assert_eq!(state(&mut world, maker, FIRST), State::Running);
    (world, maker, child)
}

fn usual() -> (World, Program, Program) {
    scene(ProgramOptions::empty(), FaultPolicy::Suspend)
}

fn notices(world: &mut World) -> usize {
    let told = std::mem::take(&mut world.told);
    told + std::iter::from_fn(|| world.objects.next_notice()).count()
}

/// A253: who holds a program has its first thread as any other: its faults suspend it alone, as was
/// asked for, its registers are read, it is suspended and resumed, and a notification is bound.
#[test]
fn a_first_thread_is_held_as_any_other() {
    let (mut world, maker, child) = usual();
    let tcb = child.start.tcb;
    granted(&mut world, maker, Request::TellEnd {}, &[FIRST, TOLD]);
    assert!(!unresolved(&mut world, child, &child.start, write_at(0x1000, 0x40_0000)));
    assert_eq!(notices(&mut world), 1);
    let info = world.ask(maker, Request::Info {}, &[FIRST]);
    let Ok(Answer::Program { state: State::Faulted, address: 0x1000, .. }) = info else {
        panic!("{info:?}")
    };
    assert_eq!(world.state(maker), State::Running, "the program is not said to be");
    assert_eq!(granted(&mut world, maker, READ, &[FIRST]), Some(Act::ReadRegisters { tcb }));
    let act = granted(&mut world, maker, RESUME, &[FIRST]);
    assert!(matches!(act, Some(Act::Resume { tcb: found, .. }) if found == tcb));
    granted(&mut world, maker, SUSPEND, &[FIRST]);
    assert_eq!(fault(&mut world, child, &child.start), Stopped::Here);
    assert_eq!((state(&mut world, maker, FIRST), notices(&mut world)), (State::Suspended, 1));
    let act = granted(&mut world, maker, RESUME, &[FIRST]);
    assert!(matches!(act, Some(Act::Resume { tcb: found, .. }) if found == tcb));
    let act = granted(&mut world, maker, Request::BindThread {}, &[FIRST, TOLD]);
    assert!(matches!(act, Some(Act::Bind { tcb: found, place: 1, .. }) if found == tcb));
    // Suspended by both.
    granted(&mut world, maker, HALT, &[IT]);
    granted(&mut world, maker, SUSPEND, &[FIRST]);
    assert_eq!(fault(&mut world, child, &child.start), Stopped::Here);
    assert_eq!(world.state(maker), State::Suspended);
    granted(&mut world, maker, RESUME, &[IT]);
    assert!(going_on(&mut world).is_empty());
    granted(&mut world, maker, RESUME, &[FIRST]);
    assert_eq!(
        world.act,
        Some(Act::Resume { tcb, thread: crate::controls::id_of(&world, &child.start) })
    );
}

/// A253: what becomes of its faults is as was asked for last, also if that was before it ran.
#[test]
fn a_first_threads_faults_have_the_consequence_that_was_chosen() {
    let (mut world, maker) = with_file(&small());
    world.ask(maker, create(CHILD), PAYER).unwrap();
    granted(&mut world, maker, first(FaultPolicy::Suspend), BOTH);
    let empty = Refusal::WrongState { state: State::Empty };
    for request in [SUSPEND, RESUME, READ] {
        world.refused(maker, request, &[FIRST], empty);
    }
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    assert_eq!(state(&mut world, maker, FIRST), State::Running);
    assert!(!unresolved(&mut world, child, &child.start, write_at(8, 9)));
    assert_eq!(state(&mut world, maker, FIRST), State::Faulted);
    granted(&mut world, maker, RESUME, &[FIRST]);
    // The same thread once more, with what is its program's.
    let again = Request::FirstThread { policy: FaultPolicy::Program, slot: SPARE };
    granted(&mut world, maker, again, BOTH);
    assert!(unresolved(&mut world, child, &child.start, write_at(8, 9)), "the program ends");
    world.reap();
    for slot in [FIRST, SPARE] {
        assert_eq!(state(&mut world, maker, slot), State::Killed);
    }
    assert_eq!(world.state(maker), State::Crashed);
}

/// A254: the end of a first thread, by request or for a fault, is its program's; and the other way
/// round, which who holds the thread is told.
#[test]
fn a_first_thread_ends_with_its_program() {
    for (own, expected) in [
        (Some(State::Exited), (State::Exited, State::Exited)),
        (Some(State::Crashed), (State::Crashed, State::Crashed)),
        (None, (State::Killed, State::Killed)),
    ] {
        let (mut world, maker, child) = scene(ProgramOptions::SUSPEND_AT_FAULT, FaultPolicy::End);
        granted(&mut world, maker, Request::TellEnd {}, &[FIRST, TOLD]);
        match own {
            Some(State::Exited) => {
                granted(&mut world, maker, END, &[FIRST]);
                assert!(world.fixture.kernel().tcb(child.start.tcb).is_none(), "it runs no more");
            }
            Some(_) => assert!(unresolved(&mut world, child, &child.start, write_at(8, 9))),
            None => drop(granted(&mut world, maker, Request::Kill {}, &[IT])),
        }
        world.reap();
        assert_eq!(notices(&mut world), 2, "of the thread, and of the program");
        assert_eq!((state(&mut world, maker, FIRST), world.state(maker)), expected);
        let info = world.ask(maker, Request::Info {}, &[FIRST]);
        let told = match own {
            Some(State::Exited) => 6,
            _ => 0,
        };
        let Ok(Answer::Program { gone: true, code, .. }) = info else { panic!("{info:?}") };
        assert!(code == told || own == Some(State::Crashed), "what it has ended with is told");
        granted(&mut world, maker, END, &[FIRST]);
        // Whoever says that it is another's is answered.
        granted(&mut world, maker, Request::EndThread { code: 6, own: true }, &[FIRST]);
        let over = Refusal::WrongState { state: expected.0 };
        for request in [SUSPEND, RESUME] {
            world.refused(maker, request, &[FIRST], over);
        }
        world.refused(
            maker,
            first(FaultPolicy::End),
            BOTH,
            Refusal::WrongState { state: expected.1 },
        );
        // Its record is there as long as that of its program.
        let before = world.objects.counts();
        world.finish(maker, DESTROY, &[IT]);
        world.reap();
        assert!(world.is_empty(maker, FIRST));
        let after = world.objects.counts();
        assert_eq!((after[0], after[1]), (before[0] - 2, before[1] - 2));
    }
}

/// A254: where the thread's object is destroyed, or who pays for it ends, the thread goes on, if it
/// was suspended by that, with its program; its faults are its program's.
#[test]
fn a_first_thread_that_nobody_holds_any_more_goes_on() {
    for by_payer in [false, true] {
        for case in 0..6 {
            let (mut world, maker, child, _) = held(ProgramOptions::SUSPEND_AT_FAULT);
            let small = Amounts::NONE.with(Resource::Nodes, 9).with(Resource::Badges, 2);
            let small = small.with(Resource::Slots, 9).with(Resource::Spaces, 1);
            world.ask(maker, account(small, AccountOptions::empty(), SPARE), PAYER).unwrap();
            let payer = if by_payer { SPARE } else { ACCOUNT_SLOT };
            granted(&mut world, maker, first(FaultPolicy::Suspend), &[IT, payer]);
            let tcb = child.start.tcb;
            let here = |world: &mut World| {
                assert_eq!(fault(world, child, &child.start), Stopped::Here);
            };
            match case {
                0 => {}
                1 => drop(granted(&mut world, maker, SUSPEND, &[FIRST])),
                2 => {
                    granted(&mut world, maker, SUSPEND, &[FIRST]);
                    here(&mut world);
                }
                3 => assert!(!unresolved(&mut world, child, &child.start, write_at(8, 9))),
                // With its program.
                4 => {
                    granted(&mut world, maker, HALT, &[IT]);
                    here(&mut world);
                    granted(&mut world, maker, SUSPEND, &[FIRST]);
                }
                _ => {
                    assert!(!unresolved(&mut world, child, &child.start, write_at(8, 9)));
                    granted(&mut world, maker, HALT, &[IT]);
                    assert_eq!(world.state(maker), State::Suspended);
                }
            }
            world.finish(maker, DESTROY, &[if by_payer { SPARE } else { FIRST }]);
            world.check();
            assert!(world.is_empty(maker, FIRST));
            let on = going_on(&mut world);
            assert_eq!(on, if matches!(case, 2 | 3) { vec![tcb] } else { vec![] }, "case {case}");
            if case >= 4 {
                assert_eq!(world.state(maker), State::Suspended);
                granted(&mut world, maker, RESUME, &[IT]);
                assert_eq!(going_on(&mut world), [tcb], "case {case}");
            }
            assert_eq!(world.state(maker), State::Running);
            let next = if case == 1 { Stopped::Repeats } else { Stopped::No };
            assert_eq!(fault(&mut world, child, &child.start), next);
            // It is its program's fault now.
            assert!(!unresolved(&mut world, child, &child.start, write_at(8, 9)));
            assert_eq!(world.state(maker), State::Faulted);
            // Another asks for it anew.
            granted(&mut world, maker, first(FaultPolicy::Suspend), BOTH);
            world.finish(maker, Request::Kill {}, &[IT]);
            world.reap();
            assert_eq!(state(&mut world, maker, FIRST), State::Killed);
        }
    }
}

/// A253: a capability to a first thread has no right that the one to its program lacks, and ends
/// with that; the thread has one record, however often it is asked for.
#[test]
fn who_holds_less_of_a_program_holds_less_of_its_thread() {
    let (mut world, maker, child, _) = held(ProgramOptions::empty());
    let before = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
    let restrict = |rights| Request::Restrict { rights, slot: SPARE };
    world.ask(maker, restrict(Rights::DESTROY | Rights::REVOKE), BOTH).unwrap();
    let missing = Rights::USE;
    let no_use = Refusal::NoRight { place: 0, missing };
    let policy = FaultPolicy::Suspend;
    world.refused(maker, first(policy), &[SPARE, ACCOUNT_SLOT], no_use);
    world.finish(maker, Request::Revoke { slot: 0 }, &[SPARE]);
    let acts = Refusal::NoRight { place: 0, missing };
    world.refused(child, first(policy), &[PROGRAM_SLOT, ACCOUNT_SLOT], acts);
    let occupied = Refusal::SlotOccupied { slot: FILE };
    world.refused(maker, Request::FirstThread { policy, slot: FILE }, BOTH, occupied);
    world.refused(maker, Request::FirstThread { policy, slot: 0 }, BOTH, {
        Refusal::BadSlot { slot: 0 }
    });
    world.ask(maker, restrict(Rights::USE | Rights::REVOKE), BOTH).unwrap();
    granted(&mut world, maker, first(policy), &[SPARE, ACCOUNT_SLOT]);
    let info = world.ask(maker, Request::Info {}, &[FIRST]);
    let Ok(Answer::Program { rights, .. }) = info else { panic!("{info:?}") };
    assert_eq!(rights, Rights::USE | Rights::REVOKE);
    let destroys = Refusal::NoRight { place: 0, missing: Rights::DESTROY };
    for request in [END, DESTROY] {
        world.refused(maker, request, &[FIRST], destroys);
    }
    granted(&mut world, maker, SUSPEND, &[FIRST]);
    let counts = world.objects.counts();
    let other = Request::FirstThread { policy, slot: FIRST + 5 };
    granted(&mut world, maker, other, BOTH);
    let after = world.objects.counts();
    assert_eq!((after[0], after[1]), (counts[0], counts[1] + 1), "one more capability, no object");
    assert_eq!(state(&mut world, maker, FIRST + 5), State::Suspending);
    // What was derived from the one to the program.
    world.finish(maker, Request::Revoke { slot: 0 }, &[SPARE]);
    assert!(world.is_empty(maker, FIRST) && !world.is_empty(maker, FIRST + 5));
    // With the last of them the thread goes on.
    world.copy((maker, FIRST + 5), (maker, FIRST));
    world.finish(maker, Request::Revoke { slot: 0 }, &[FIRST]);
    world.reap();
    assert!(world.is_empty(maker, FIRST + 5));
    assert_eq!(fault(&mut world, child, &child.start), Stopped::Repeats);
    let after = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
    assert_eq!(after, before);
    let bare = Refusal::OutOfAccount { resource: Resource::Nodes, wanted: 1, left: 0 };
    let none = account(Amounts::NONE.with(Resource::Spaces, 1), AccountOptions::empty(), SPARE);
    world.ask(maker, none, PAYER).unwrap();
    let answer = world.ask(maker, first(policy), &[IT, SPARE]);
    assert!(matches!(answer, Err(Refusal::OutOfAccount { .. })), "{answer:?}, as {bare:?}");
}

/// A253 A254: whichever call fails, there is no object and nothing is charged, or the thread is let
/// go on later.
#[test]
fn a_first_thread_that_fails_leaves_nothing() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        for destroys in [false, true] {
            for nth in 1.. {
                let (mut world, maker, child, _) = held(ProgramOptions::empty());
                let before = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
                let policy = FaultPolicy::Suspend;
                if destroys {
                    granted(&mut world, maker, first(policy), BOTH);
                    granted(&mut world, maker, SUSPEND, &[FIRST]);
                    assert_eq!(fault(&mut world, child, &child.start), Stopped::Here);
                }
                world.fixture.kernel().fail_nth(nth, error);
                let (request, slots) =
                    if destroys { (DESTROY, &[FIRST][..]) } else { (first(policy), BOTH) };
                let answer = world.ask(maker, request, slots);
                let failed = !world.fixture.kernel().disarm();
                world.reap();
                if failed && !destroys {
                    let own = matches!(answer, Err(Refusal::OutOfMemory {} | Refusal::Internal {}));
                    assert!(own, "call {nth}: {answer:?}");
                    assert!(world.is_empty(maker, FIRST));
                }
                if failed || destroys {
                    let after = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
                    assert_eq!(after, before, "call {nth} of {request:?}");
                }
                if destroys {
                    assert_eq!(going_on(&mut world), [child.start.tcb]);
                    assert_eq!(fault(&mut world, child, &child.start), Stopped::No);
                }
                if !failed {
                    assert_eq!(answer, Ok(Answer::Done {}));
                    assert!(nth > 2, "no call was made to fail");
                    break;
                }
            }
        }
    }
}

/// A253: while the object of a first thread cannot be taken apart, for what the kernel refuses, it
/// is in use; then there is a new one.
#[test]
fn an_object_that_is_not_gone_yet_is_in_use() {
    let (mut world, maker, child) = usual();
    granted(&mut world, maker, SUSPEND, &[FIRST]);
    assert_eq!(fault(&mut world, child, &child.start), Stopped::Here);
    world.fixture.kernel().fail_from(1, KernelError::IllegalOperation);
    assert!(world.ask(maker, DESTROY, &[FIRST]) != Ok(Answer::Done {}));
    // Still: a request for it goes on with its end, and is refused where that is.
    let again = Request::FirstThread { policy: FaultPolicy::Suspend, slot: SPARE };
    assert_eq!(world.ask(maker, again, BOTH), Err(Refusal::InUse { times: 1 }));
    assert!(world.is_empty(maker, SPARE));
    world.fixture.kernel().disarm();
    granted(&mut world, maker, again, BOTH);
    assert_eq!(state(&mut world, maker, SPARE), State::Running);
    assert_eq!(going_on(&mut world), [child.start.tcb], "it goes on, as nobody holds it");
    world.reap();
}
