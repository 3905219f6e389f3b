// SPDX-License-Identifier: BSD-2-Clause
//! Time: programs that sleep, and threads that wait for a page for as long as their holder lets
//! them.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FaultKind, FaultPolicy, Kind, MemoryOptions, Name, PROGRAM_SLOT,
    ProgramOptions, Refusal, Request, Rights, SPACE_SLOT, State, Supply, answer_or_refusal,
};
use vmm_service::objects::{Act, Arrived, Fault, Touched};

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER, with_file};
use crate::elf::small;
use crate::paging::{going_on, supply, waits, wanted};
use crate::world::{AMPLE, D, PAGE, Program, World};

/// Slots of the maker's: paged memory, and what its pages come from; a notification.
pub const PAGED: u32 = D;
pub const SOURCE: u32 = D + 1;
pub const TOLD: u32 = D + 3;

fn limit(ms: u32) -> Request {
    Request::LimitWaits { ms }
}

/// A world with a program that is the pager and the holder of another, which has mapped the memory:
/// where.
pub fn held(options: ProgramOptions) -> (World, Program, Program, usize) {
    let (mut world, maker) = with_file(&small());
    let create = Request::CreatePaged { pages: 4, most: 2, slot: PAGED };
    world.ask(maker, create, PAYER).unwrap();
    let memory = Request::CreateMemory { pages: 4, options: MemoryOptions::WRITABLE, slot: SOURCE };
    world.ask(maker, memory, PAYER).unwrap();
    let notification = Request::CreateNotification { object: D + 2, slot: TOLD };
    world.ask(maker, notification, PAYER).unwrap();
    let (name, slot, space) = (Name::new("child"), IT, ITS_SPACE);
    let amounts = CHILD;
    let create = Request::CreateProgram { amounts, options, name, slot, space, account: 0 };
    world.ask(maker, create, PAYER).unwrap();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    world.ask(maker, Request::TellEnd {}, &[IT, TOLD]).unwrap();
    world.copy((maker, PAGED), (child, PAGED));
    let start = world.map(child, PAGED, 4, Rights::READ_WRITE);
    (world, maker, child, start)
}

fn suspended() -> (World, Program, Program, usize) {
    held(ProgramOptions::SUSPEND_AT_FAULT)
}

fn read_at(address: usize, instruction: usize) -> Fault {
    Fault { kind: FaultKind::Read, code: 0, address, instruction }
}

/// A thread goes on and touches the page that came too late; then its fault is the service's to
/// note.
#[track_caller]
fn comes_too_late(world: &mut World, child: Program, at: usize) -> bool {
    assert_eq!(going_on(world), [child.start.tcb]);
    assert_eq!(world.touch_or_wait(child, at, Access::Read), Touched::Fault);
    world.objects.note_unresolved(child.id, read_at(at, 0x40_0004))
}

/// A247: who waits for a page for longer than its holder lets it has a fault, no earlier; it is
/// suspended, its holder is told of that, and lets it go on, to wait once more.
#[test]
fn who_waits_for_too_long_has_a_fault() {
    let (mut world, maker, child, start) = suspended();
    world.objects.set_time(100);
    world.ask(maker, limit(5), &[IT]).unwrap();
    assert_eq!(world.objects.next_deadline(), None);
    let at = start + 2 * PAGE;
    assert!(waits(&mut world, child, at, Access::Read));
    let deadline = world.objects.next_deadline().expect("it waits for 5 ms");
    assert!(deadline > 105, "the millisecond that is under way has passed in part");
    world.objects.set_time(105);
    assert!(going_on(&mut world).is_empty());
    assert_eq!(world.state(maker), State::Waiting);
    world.objects.set_time(deadline);
    assert!(!comes_too_late(&mut world, child, at), "it is suspended");
    assert_eq!(world.notices(), 1);
    let info = world.ask(maker, Request::Info {}, &[IT]).unwrap();
    let Answer::Program { state: State::TimedOut, address, instruction, .. } = info else {
        panic!("{info:?}")
    };
    assert_eq!((address, instruction), (at, 0x40_0004));
    let next = world.ask(maker, Request::NextFault { wait: 0 }, &[PAGED]);
    assert_eq!(next, wanted(0, None), "nobody waits");
    assert_eq!(world.objects.next_deadline(), None);
    // It goes on, and waits as long once more; a page that comes in time is no fault.
    world.ask(maker, Request::Resume {}, &[IT]).unwrap();
    assert!(matches!(world.act, Some(Act::Resume { tcb, .. }) if tcb == child.start.tcb));
    assert_eq!(world.state(maker), State::Running);
    // Another fault is none of that kind.
    world.objects.note_fault(Some(child.id.space()), None);
    assert!(!world.objects.note_unresolved(child.id, read_at(0x10, 0x40_0008)));
    assert_eq!(world.state(maker), State::Faulted);
    world.ask(maker, Request::Resume {}, &[IT]).unwrap();
    assert!(waits(&mut world, child, at, Access::Read));
    let deadline = world.objects.next_deadline().expect("it waits for 5 ms");
    world.objects.set_time(deadline - 1);
    let both = &[PAGED, SOURCE];
    world.ask(maker, supply(2, 1, 0, Supply::Copy, false), both).unwrap();
    assert_eq!(going_on(&mut world), [child.start.tcb]);
    world.objects.set_time(deadline + 50);
    assert!(going_on(&mut world).is_empty());
    assert!(world.touch(child, at, Access::Read));
    // A page that is refused is a fault as before.
    assert!(waits(&mut world, child, start, Access::Read));
    world.ask(maker, Request::Refuse { page: 0, wait: 0 }, &[PAGED]).unwrap();
    assert!(!comes_too_late(&mut world, child, start));
    assert_eq!(world.state(maker), State::Faulted);
}

/// A247: a page that comes between the end of the wait and the touch is no fault, nor is the next
/// wait for it; and a program whose policy that is ends.
#[test]
fn a_page_that_comes_at_last_is_no_fault() {
    let (mut world, maker, child, start) = suspended();
    world.objects.set_time(0);
    world.ask(maker, limit(1), &[IT]).unwrap();
    let both = &[PAGED, SOURCE];
    assert!(waits(&mut world, child, start, Access::Read));
    world.objects.set_time(10);
    assert_eq!(going_on(&mut world), [child.start.tcb]);
    world.ask(maker, supply(0, 1, 0, Supply::Copy, false), both).unwrap();
    assert!(world.touch(child, start, Access::Read));
    world.ask(maker, Request::Decommit { first: 0, pages: 1 }, &[PAGED]).unwrap();
    assert!(waits(&mut world, child, start, Access::Read), "it is asked for anew");

    let (mut world, maker, child, start) = held(ProgramOptions::empty());
    world.objects.set_time(0);
    world.ask(maker, limit(1), &[IT]).unwrap();
    assert!(waits(&mut world, child, start, Access::Write));
    world.objects.set_time(2);
    assert!(comes_too_late(&mut world, child, start), "it ends");
    world.reap();
    assert_eq!(world.state(maker), State::Crashed);
}

/// A173: a page that was refused, and came before it was touched again, is asked for anew when it
/// is gone once more.
#[test]
fn what_was_refused_and_came_is_asked_for_anew() {
    let (mut world, maker, child, start) = suspended();
    assert!(waits(&mut world, child, start, Access::Read));
    world.ask(maker, Request::Refuse { page: 0, wait: 0 }, &[PAGED]).unwrap();
    assert_eq!(going_on(&mut world), [child.start.tcb]);
    world.ask(maker, supply(0, 1, 0, Supply::Copy, false), &[PAGED, SOURCE]).unwrap();
    assert!(world.touch(child, start, Access::Read));
    world.ask(maker, Request::Decommit { first: 0, pages: 1 }, &[PAGED]).unwrap();
    assert!(waits(&mut world, child, start, Access::Read));
}

/// A247: a limit holds for a wait that is under way, from then on; and can be taken away. Only who
/// holds a program says so, and only where there is a clock.
#[test]
fn a_limit_is_its_holders() {
    let (mut world, maker, child, start) = suspended();
    world.refused(maker, limit(5), &[IT], Refusal::NoClock {});
    assert_eq!(world.ask(maker, limit(0), &[IT]), Ok(Answer::Done {}));
    assert!(waits(&mut world, child, start, Access::Read));
    world.objects.set_time(1000);
    assert_eq!(world.objects.next_deadline(), None, "there is no limit");
    world.ask(maker, limit(50), &[IT]).unwrap();
    world.objects.set_time(1050);
    assert!(going_on(&mut world).is_empty());
    world.ask(maker, limit(0), &[IT]).unwrap();
    world.objects.set_time(5000);
    assert!(going_on(&mut world).is_empty());
    world.ask(maker, limit(u32::MAX), &[IT]).unwrap();
    let most = 5000 + u64::from(u32::MAX);
    world.objects.set_time(most);
    assert!(going_on(&mut world).is_empty());
    world.objects.set_time(most + 1);
    assert!(!comes_too_late(&mut world, child, start));
    // Its own capability, one without the right, one to something else, one that has ended.
    let missing = Refusal::NoRight { place: 0, missing: Rights::USE };
    world.refused(child, limit(5), &[PROGRAM_SLOT], missing);
    let restrict = Request::Restrict { rights: Rights::DESTROY, slot: D + 4 };
    world.ask(maker, restrict, &[IT, ACCOUNT_SLOT]).unwrap();
    world.refused(maker, limit(5), &[D + 4], missing);
    world.refused(maker, limit(5), &[SPACE_SLOT], {
        Refusal::WrongKind { place: 0, found: Kind::Space }
    });
    world.finish(maker, Request::Kill {}, &[IT]);
    world.reap();
    world.refused(maker, limit(5), &[IT], Refusal::WrongState { state: State::Killed });
    assert_eq!(world.objects.next_deadline(), None);
}

/// Sends a request to sleep. Returns the slot that keeps the right to answer, or the answer.
pub fn sleep(
    world: &mut World,
    program: Program,
    ms: u32,
) -> Result<vmm::CPtr, Box<Result<Answer, Refusal>>> {
    world.ask_to_wait(program, Request::Sleep { ms }, &[])
}

/// Who is answered now, and what.
pub fn woken(world: &mut World) -> Vec<(vmm::CPtr, Result<Answer, Refusal>)> {
    let mut all = Vec::new();
    while let Some((slot, answer)) = world.objects.next_answer(&mut world.fixture.vmm) {
        all.push((slot, answer_or_refusal(answer.label(), answer.words()).unwrap()));
    }
    world.check();
    all
}

/// A248: who sleeps is answered once so much time has passed, and not before; each by its own time.
#[test]
fn who_sleeps_is_answered_when_its_time_has_come() {
    let (mut world, first) = World::one();
    let (second, third) = (world.program(AMPLE), world.program(AMPLE));
    for ms in [0, 7] {
        assert_eq!(sleep(&mut world, first, ms), Err(Box::new(Err(Refusal::NoClock {}))));
    }
    world.objects.set_time(40);
    assert_eq!(sleep(&mut world, first, 0), Err(Box::new(Ok(Answer::Done {}))));
    let long = sleep(&mut world, first, 20).unwrap();
    let short = sleep(&mut world, second, 5).unwrap();
    let begun = world.figures();
    for time in [40, 45, 30] {
        world.objects.set_time(time);
        assert_eq!(woken(&mut world), [], "{time}");
    }
    // It did not go back.
    let last = sleep(&mut world, third, 1).unwrap();
    assert_eq!(world.objects.next_deadline(), Some(46));
    world.objects.set_time(46);
    assert_eq!(woken(&mut world), [(short, Ok(Answer::Done {}))]);
    world.objects.set_time(47);
    assert_eq!(woken(&mut world), [(last, Ok(Answer::Done {}))]);
    assert_eq!(world.objects.next_deadline(), Some(61));
    // It may sleep again; both at once are woken by one time.
    let again = sleep(&mut world, second, 1).unwrap();
    world.objects.set_time(1000);
    let mut both = woken(&mut world);
    both.sort_by_key(|(slot, _)| *slot);
    let mut wanted = [(long, Ok(Answer::Done {})), (again, Ok(Answer::Done {}))];
    wanted.sort_by_key(|(slot, _)| *slot);
    assert_eq!(both, wanted);
    assert_eq!(world.objects.next_deadline(), None);
    assert_eq!(world.figures(), begun, "it takes nothing");
}

/// A248: who sleeps can be ended; there are no more places to wait in than threads, and who sleeps
/// in that of one that ends is told that it has not slept for so long.
#[test]
fn who_sleeps_can_be_ended() {
    let (mut world, program) = World::one();
    world.objects.note_started(&program.start, 90);
    world.objects.set_time(1);
    let slot = sleep(&mut world, program, 100).unwrap();
    // Another that sends by its capability.
    let none = Refusal::TooManyWaiting { most: 1 };
    assert_eq!(sleep(&mut world, program, 100), Err(Box::new(Err(none))));
    let (entry, argument, stack, guard, priority) = (0x40_0010, 5, 2, 1, 90);
    let policy = FaultPolicy::Program;
    let create = Request::CreateThread { entry, argument, stack, guard, priority, policy, slot: D };
    world.ask(program, create, PAYER).unwrap();
    let second = sleep(&mut world, program, 50).unwrap();
    assert_ne!(second, slot);
    world.finish(program, Request::EndThread { code: 0, own: false }, &[D]);
    let mut told = Vec::new();
    while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {
        told.extend(woken(&mut world));
    }
    assert_eq!(told, [(second, Err(none))]);
    world.objects.kill(program.id).unwrap();
    world.reap();
    world.objects.set_time(500);
    assert_eq!(woken(&mut world), []);
    assert_eq!(world.objects.next_deadline(), None);
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A248: the place of another program serves where its own keeps something; and a place for whom
/// nobody waits is free again.
#[test]
fn who_sleeps_has_a_place() {
    let (mut world, program) = World::one();
    let other = world.program(AMPLE);
    world.objects.set_time(1);
    let own = sleep(&mut world, program, 10).unwrap();
    let second = sleep(&mut world, program, 20).unwrap();
    assert_ne!(second, own);
    let most = Refusal::TooManyWaiting { most: 2 };
    assert_eq!(sleep(&mut world, other, 5), Err(Box::new(Err(most))));
    world.objects.nobody_waits(second);
    world.check();
    assert_eq!(sleep(&mut world, other, 5), Ok(second));
    world.objects.set_time(100);
    assert_eq!(woken(&mut world).len(), 2);
    world.objects.nobody_waits(own);
    world.check();
}

/// A266: the message by which a program ends is the first piece of the work that is left of it; no
/// right to answer it is kept, however long it took, so that its maker sleeps at once.
#[test]
fn who_has_ended_keeps_nobodys_place() {
    const SLICE: u64 = 1000;
    for with_maker in [false, true] {
        let (mut world, maker, child, _) = suspended();
        world.objects.set_slice(SLICE);
        for program in [maker, child] {
            world.objects.note_started(&program.start, 90);
        }
        world.objects.set_time(1);
        let [Arrived::Own(badge)] = world.arrive(child, &[PROGRAM_SLOT])[..] else { panic!() };
        if with_maker {
            // Its maker ends it, while a message of its own is on its way.
            world.finish(maker, Request::Kill {}, &[IT]);
        }
        let outcome = world.send(badge, &Request::Exit { code: 1 }.encode(), &[]);
        assert!(outcome.answer.is_none() && outcome.waits.is_none());
        assert_eq!(world.objects.charge_time(badge, 0, 5 * SLICE), None, "nobody is held");
        if !with_maker {
            // Its turn, if it had one, is that of the work.
            assert_eq!(world.objects.charge_work(0, 0), Some(90));
        }
        world.reap();
        assert!(sleep(&mut world, maker, 10).is_ok(), "its place is its own");
    }
}

/// A249: where the clock is lost, who sleeps is told so, and who waits for a page waits for as long
/// as it takes; a clock that is there again serves again.
#[test]
fn a_clock_can_be_lost() {
    let (mut world, maker, child, start) = suspended();
    let other = world.program(AMPLE);
    world.objects.set_time(7);
    world.ask(maker, limit(3), &[IT]).unwrap();
    assert!(waits(&mut world, child, start, Access::Read));
    let slot = sleep(&mut world, other, 9).unwrap();
    world.objects.stop_time();
    world.check();
    assert_eq!(woken(&mut world), [(slot, Err(Refusal::NoClock {}))]);
    assert!(going_on(&mut world).is_empty());
    assert_eq!(world.objects.next_deadline(), None);
    assert_eq!(sleep(&mut world, other, 9), Err(Box::new(Err(Refusal::NoClock {}))));
    world.refused(maker, limit(3), &[IT], Refusal::NoClock {});
    world.objects.set_time(1000);
    assert!(going_on(&mut world).is_empty());
    world.ask(maker, limit(3), &[IT]).unwrap();
    world.objects.set_time(1004);
    assert!(!comes_too_late(&mut world, child, start));
    assert!(sleep(&mut world, other, 9).is_ok());
}
