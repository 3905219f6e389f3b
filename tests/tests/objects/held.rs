// SPDX-License-Identifier: BSD-2-Clause
//! Programs that had their turn are held until the others of their priority had theirs.

use vmm::CPtr;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MAX_PAGES, MemoryOptions, Message, PROGRAM_SLOT,
    Refusal, Request, Rights, SPACE_SLOT, answer_or_refusal,
};
use vmm_service::objects::{Arrived, Outcome, Turnstile};

use crate::world::{A, AMPLE, B, C, Program, World, account};

const SLICE: u64 = 1000;
const PRIORITY: u8 = 100;
const ROUND: Turnstile = Turnstile(3);
const OTHER: Turnstile = Turnstile(4);

/// A world with so many programs that run.
fn world(programs: usize) -> (World, Vec<Program>) {
    let mut world = World::new();
    world.objects.set_slice(SLICE);
    let programs: Vec<_> = (0..programs).map(|_| world.program(AMPLE)).collect();
    for program in &programs {
        world.objects.note_started(&program.start, PRIORITY);
    }
    (world, programs)
}

fn badge(world: &World, program: Program, slot: u32) -> usize {
    let [Arrived::Own(badge)] = world.arrive(program, &[slot])[..] else { panic!() };
    badge
}

/// A request that the service works on for `ticks`, sent by the capability in `slot`. Returns what
/// is answered, and the priority if the turn is over.
fn serve(
    world: &mut World,
    (program, slot): (Program, u32),
    request: Request,
    ticks: u64,
) -> (Outcome, Option<u8>) {
    let (badge, arrived) = (badge(world, program, slot), world.arrive(program, &[SPACE_SLOT]));
    let arrived = &arrived[..request.due().len().min(1)];
    let outcome = world.send(badge, &request.encode(), arrived);
    let over = world.objects.charge_time(badge, 0, ticks);
    world.check();
    (outcome, over)
}

/// A request after which the sender's turn is over, held until `turnstile` comes. Returns the slot
/// of the right to answer.
#[track_caller]
fn hold(world: &mut World, from: (Program, u32), turnstile: Turnstile) -> CPtr {
    let (outcome, over) = serve(world, from, Request::Info {}, SLICE);
    assert_eq!(over, Some(PRIORITY));
    let slot = world.objects.hold(&outcome.answer.expect("an answer"), turnstile);
    world.check();
    slot.expect("a slot is empty")
}

fn next(world: &mut World) -> Option<(CPtr, Result<Answer, Refusal>)> {
    let (slot, message) = world.objects.next_answer(&mut world.fixture.vmm)?;
    world.check();
    Some((slot, answer_or_refusal(message.label(), message.words()).unwrap()))
}

fn is_space(answer: &Option<(CPtr, Result<Answer, Refusal>)>, slot: CPtr) -> bool {
    matches!(answer, Some((at, Ok(Answer::Space { .. }))) if *at == slot)
}

/// A187: within a slice nobody is held; above, until the turnstile comes that was sent for it.
#[test]
fn an_answer_is_held_until_the_others_had_a_turn() {
    let (mut world, programs) = world(2);
    assert_eq!(serve(&mut world, (programs[0], PROGRAM_SLOT), Request::Info {}, SLICE / 2).1, None);
    assert_eq!(serve(&mut world, (programs[1], PROGRAM_SLOT), Request::Info {}, SLICE / 2).1, None);
    let slot = hold(&mut world, (programs[0], PROGRAM_SLOT), ROUND);
    assert_eq!(next(&mut world), None);
    assert!(!world.objects.come_round(OTHER, 10 * SLICE));
    assert_eq!(next(&mut world), None);
    assert!(!world.objects.come_round(ROUND, 10 * SLICE));
    assert!(is_space(&next(&mut world), slot));
    assert_eq!(next(&mut world), None);
    // Its turn begins anew.
    assert_eq!(serve(&mut world, (programs[0], PROGRAM_SLOT), Request::Info {}, SLICE / 4).1, None);
}

/// A187: what took several slices is held for as many turns of the others.
#[test]
fn a_long_request_waits_for_several_turns() {
    let (mut world, programs) = world(1);
    let (outcome, over) =
        serve(&mut world, (programs[0], PROGRAM_SLOT), Request::Info {}, 3 * SLICE);
    assert_eq!(over, Some(PRIORITY));
    let slot = world.objects.hold(&outcome.answer.unwrap(), ROUND).unwrap();
    assert!(world.objects.come_round(ROUND, 0));
    assert!(world.objects.come_round(ROUND, 0));
    assert_eq!(next(&mut world), None);
    assert!(!world.objects.come_round(ROUND, 0));
    assert!(is_space(&next(&mut world), slot));
}

/// A187: a program that did not start, and a time that is not measured, hold nobody.
#[test]
fn nobody_is_held_where_slices_are_not_measured() {
    let mut world = World::new();
    let program = world.program(AMPLE);
    assert_eq!(serve(&mut world, (program, PROGRAM_SLOT), Request::Info {}, u64::MAX / 2).1, None);
    world.objects.set_slice(SLICE);
    assert_eq!(serve(&mut world, (program, PROGRAM_SLOT), Request::Info {}, 2 * SLICE).1, None);
    assert_eq!(world.objects.started_with(PRIORITY), 0);
}

/// A187: ended while its answer is held, a program is not answered, and all comes back.
#[test]
fn a_program_that_is_held_can_be_ended() {
    let (mut world, programs) = world(1);
    let another = world.program(AMPLE);
    world.reap();
    let before = world.figures();
    let ended = world.program(AMPLE);
    world.objects.note_started(&ended.start, PRIORITY);
    hold(&mut world, (ended, PROGRAM_SLOT), ROUND);
    world.objects.kill(ended.id).unwrap();
    assert!(world.objects.is_urgent());
    world.reap();
    assert_eq!(world.figures(), before);
    assert!(!world.objects.come_round(ROUND, 0));
    assert_eq!(next(&mut world), None);
    for program in [programs[0], another] {
        world.objects.kill(program.id).unwrap();
    }
    world.reap();
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A187: who sends by another's capability has a slot too, and is answered when that other ends.
#[test]
fn who_sends_by_anothers_capability_is_never_left_waiting() {
    let (mut world, programs) = world(3);
    let [lends, borrows, lives] = programs[..] else { panic!() };
    world.copy((lends, PROGRAM_SLOT), (borrows, A));
    let own = hold(&mut world, (borrows, A), ROUND);
    let others = hold(&mut world, (lends, PROGRAM_SLOT), OTHER);
    let third = hold(&mut world, (borrows, A), ROUND);
    assert!(own != others && others != third && own != third);
    // There is none left: the next is answered at once.
    let (outcome, over) = serve(&mut world, (lends, PROGRAM_SLOT), Request::Info {}, SLICE);
    assert_eq!((over, world.objects.hold(&outcome.answer.unwrap(), ROUND)), (Some(PRIORITY), None));
    world.objects.kill(lends.id).unwrap();
    // In the others' slots: at once. In its own: when its thread is gone.
    let at_once = [next(&mut world), next(&mut world)];
    assert!(is_space(&at_once[0], others) ^ is_space(&at_once[0], third));
    assert!(is_space(&at_once[1], others) ^ is_space(&at_once[1], third));
    assert_eq!(next(&mut world), None);
    while next(&mut world).inspect(|(slot, _)| assert_eq!(*slot, own)).is_none() {
        assert!(world.objects.reap_step(&mut world.fixture.vmm).unwrap(), "its answer is lost");
    }
    world.reap();
    world.objects.kill(lives.id).unwrap();
    world.objects.kill(borrows.id).unwrap();
    world.reap();
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A187: an answer that is in the slot of a program that ends is given first.
#[test]
fn what_another_keeps_is_given_when_that_one_ends() {
    let (mut world, programs) = world(2);
    let [sends, keeps] = programs[..] else { panic!() };
    world.copy((sends, PROGRAM_SLOT), (keeps, A));
    hold(&mut world, (sends, PROGRAM_SLOT), ROUND);
    let kept = hold(&mut world, (keeps, A), OTHER);
    world.objects.kill(keeps.id).unwrap();
    assert!(!world.objects.come_round(OTHER, 0), "it is not held any more");
    let mut given = None;
    while given.is_none() {
        assert!(world.objects.reap_step(&mut world.fixture.vmm).unwrap(), "its answer is lost");
        given = next(&mut world);
    }
    assert!(is_space(&given, kept));
    world.reap();
}

/// A162 A187: who waits for memory by another's capability is refused when that other ends.
#[test]
fn who_waits_by_anothers_capability_is_refused_when_it_ends() {
    let (mut world, programs) = world(2);
    let [lends, borrows] = programs[..] else { panic!() };
    let limits = Amounts([1000, 100, 1000, 10, 5, 60, 200, 0]);
    let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
    world.ask(lends, account(limits, waits, A), &[ACCOUNT_SLOT]).unwrap();
    world.memory(lends, 300, B);
    world.copy((lends, PROGRAM_SLOT), (borrows, B));
    let (options, request) = (MemoryOptions::WRITABLE, 200);
    let request = Request::CreateMemory { pages: request, options, slot: C }.encode();
    let (badge, arrived) = (badge(&world, borrows, B), world.arrive(lends, &[A]));
    let slot = world.send(badge, &request, &arrived).waits.expect("it waits");
    // Its slot is full.
    let (outcome, over) = serve(&mut world, (lends, PROGRAM_SLOT), Request::Info {}, SLICE);
    let other = world.objects.hold(&outcome.answer.unwrap(), ROUND);
    assert!(over.is_some() && other.is_some_and(|other| other != slot));
    world.objects.kill(lends.id).unwrap();
    assert_eq!(next(&mut world).map(|(at, _)| Some(at)), Some(other));
    let mut refused = None;
    while refused.is_none() {
        assert!(world.objects.reap_step(&mut world.fixture.vmm).unwrap(), "it hangs");
        refused = next(&mut world);
    }
    assert_eq!(refused, Some((slot, Err(Refusal::Gone { place: 0 }))));
    world.reap();
}

/// A189: who does not wait for answers is suspended, and goes on; a second one that sends by the
/// same capability meanwhile is not to be had.
#[test]
fn who_sends_without_waiting_is_suspended() {
    let (mut world, programs) = world(2);
    hold(&mut world, (programs[0], PROGRAM_SLOT), ROUND);
    // Nobody waited for that answer.
    let tcb = world.objects.hold_thread(ROUND);
    assert_eq!(tcb, Some(programs[0].start.tcb));
    let (outcome, over) = serve(&mut world, (programs[0], PROGRAM_SLOT), Request::Info {}, SLICE);
    assert!(over.is_some());
    world.objects.hold(&outcome.answer.unwrap(), OTHER);
    assert_eq!(world.objects.hold_thread(OTHER), None);
    assert_eq!(world.objects.sender_id(), Some(programs[0].id));
    assert_eq!(world.objects.next_thread(), None);
    while world.objects.come_round(ROUND, 0) {}
    assert_eq!((next(&mut world), world.objects.next_thread()), (None, tcb));
    assert_eq!(world.objects.next_thread(), None);
    // Ended while it is suspended, it has no thread to go on.
    hold(&mut world, (programs[1], PROGRAM_SLOT), ROUND);
    assert!(world.objects.hold_thread(ROUND).is_some());
    world.objects.kill(programs[1].id).unwrap();
    world.reap();
    world.objects.come_round(ROUND, 0);
    assert_eq!(world.objects.next_thread(), None);
}

/// A189: messages by a capability that is none to send by: it ends, and who pays for it is held.
#[test]
fn a_capability_that_is_misused_ends() {
    let (mut world, programs) = world(2);
    let [pays, sends] = programs[..] else { panic!() };
    world.memory(pays, 1, A);
    world.copy((pays, A), (sends, A));
    let by = (sends, A);
    let (outcome, over) = serve(&mut world, by, Request::Info {}, SLICE / 2);
    assert_eq!((outcome.answer, over), (None, None));
    let (outcome, over) = serve(&mut world, by, Request::Info {}, SLICE / 2);
    assert_eq!((outcome.answer, over), (None, Some(PRIORITY)));
    assert_eq!(world.objects.sender_id(), Some(pays.id));
    world.reap();
    assert!(world.is_empty(sends, A) && world.is_empty(pays, A));
    // A fault of nobody's ends nothing.
    world.objects.note_fault(None, None);
    assert_eq!(world.objects.charge_time(77, 0, 5 * SLICE), None);
    assert!(!world.objects.is_busy());
}

/// A190: the work that is left of a program rests after a slice, until the others had a turn; not
/// before its thread is gone.
#[test]
fn what_is_left_of_a_program_has_its_turns() {
    let (mut world, programs) = world(2);
    world.memory(programs[0], 300, A);
    let at = world.map(programs[0], A, 300, Rights::READ_WRITE);
    for page in 0..300 {
        assert!(world.touch(programs[0], at + page * 4096, vmm::Access::Write));
    }
    world.objects.kill(programs[0].id).unwrap();
    let (mut turns, mut pieces, mut urgent) = (0, 0, 0);
    while world.objects.is_busy() {
        urgent += u32::from(world.objects.is_urgent());
        world.objects.reap_step(&mut world.fixture.vmm).unwrap();
        pieces += 1;
        if let Some(priority) = world.objects.charge_work(0, SLICE / 2) {
            assert_eq!(priority, PRIORITY);
            world.objects.rest(ROUND);
        }
        assert!(!(world.objects.rests() && world.objects.is_urgent()));
        if world.objects.rests() {
            turns += 1;
            assert!(!world.objects.come_round(ROUND, 0) && !world.objects.rests());
        }
    }
    assert!(urgent >= 1 && pieces >= 6, "{urgent} of {pieces}");
    assert!(turns >= (pieces - urgent - 2) / 2, "{turns} turns of {pieces}");
    assert!(!world.objects.rests());
    // It begins in the turn that the program has.
    assert_eq!(serve(&mut world, (programs[1], PROGRAM_SLOT), Request::Info {}, SLICE - 1).1, None);
    world.objects.kill(programs[1].id).unwrap();
    assert_eq!(world.objects.charge_work(0, 1), Some(PRIORITY));
}

/// A190: more than one request takes apart is not said to be gone, and what it was charged with is
/// back once it is.
#[test]
fn what_is_destroyed_is_gone_when_that_is_said() {
    let mut world = World::new();
    let program = world.program(Amounts([2000, 60, 5000, 20, 10, 100, 300, 0]));
    let before = world.used(program, ACCOUNT_SLOT);
    world.memory(program, 1500, A);
    let at = world.map(program, A, 1500, Rights::READ_WRITE);
    for first in (0..1500).step_by(MAX_PAGES as usize) {
        let (address, pages) = (at + first * 4096, MAX_PAGES.min(1500 - first as u32));
        world.ask(program, Request::Populate { address, pages }, &[SPACE_SLOT]).unwrap();
    }
    world.finish(program, Request::Unmap { address: at }, &[SPACE_SLOT]);
    assert_eq!(world.ask(program, Request::Destroy {}, &[A]), Ok(Answer::More {}));
    // It is good for nothing else.
    let gone = Refusal::Gone { place: 0 };
    world.refused(program, Request::Restrict { rights: Rights::READ, slot: B }, &[A, 2], gone);
    assert!(world.used(program, ACCOUNT_SLOT) != before && !world.is_empty(program, A));
    world.finish(program, Request::Destroy {}, &[A]);
    assert!(world.used(program, ACCOUNT_SLOT) == before && world.is_empty(program, A));
    assert!(!world.objects.is_busy());
}

/// A235: work that a request has begun can wait for a turn, so that its sender goes on first; not
/// while a thread of a program that ended may run, and not if it waits already.
#[test]
fn who_begins_work_goes_on_first() {
    let (mut world, programs) = world(2);
    assert_eq!(world.objects.works_later(), None, "there is none");
    world.memory(programs[0], 250, A);
    let at = world.map(programs[0], A, 250, Rights::READ_WRITE);
    for page in 0..250 {
        assert!(world.touch(programs[0], at + page * 4096, vmm::Access::Write));
    }
    world.finish(programs[0], Request::Unmap { address: at }, &[SPACE_SLOT]);
    assert_eq!(world.ask(programs[0], Request::Destroy {}, &[A]), Ok(Answer::More {}));
    assert_eq!(world.objects.charge_time(badge(&world, programs[0], PROGRAM_SLOT), 0, 1), None);
    assert!(world.objects.is_busy() && !world.objects.is_urgent());
    assert_eq!(world.objects.works_later(), Some(PRIORITY));
    world.objects.rest(ROUND);
    assert!(world.objects.rests());
    assert_eq!(world.objects.works_later(), None, "it waits");
    assert!(!world.objects.come_round(ROUND, 0) && !world.objects.rests());
    world.objects.kill(programs[1].id).unwrap();
    assert!(world.objects.is_urgent());
    assert_eq!(world.objects.works_later(), None, "a thread may run");
    world.objects.reap_step(&mut world.fixture.vmm).unwrap();
    assert!(!world.objects.is_urgent());
    world.reap();
    assert!(world.is_empty(programs[0], A));
}

/// A187: an empty message is an answer as any other: a fault that was resolved.
#[test]
fn a_fault_is_held_as_a_request_is() {
    let (mut world, programs) = world(1);
    world.objects.note_fault(Some(programs[0].id.space()), None);
    assert_eq!(world.objects.charge_time(1, 0, SLICE), Some(PRIORITY));
    let slot = world.objects.hold(&Message::new(0, &[]), ROUND).unwrap();
    assert!(!world.objects.come_round(ROUND, 0));
    let (at, message) = world.objects.next_answer(&mut world.fixture.vmm).unwrap();
    assert_eq!((at, message.label(), message.words().len()), (slot, 0, 0));
}
