// SPDX-License-Identifier: BSD-2-Clause
//! Rights to answer that are kept for who waits: in whose slot, and for how long.

use vmm::{CPtr, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultPolicy, MemoryOptions, PROGRAM_SLOT,
    Refusal, Request,
};
use vmm_service::objects::{Arrived, Turnstile};

use crate::controls::begin;
use crate::time::{sleep, woken};
use crate::world::{A, AMPLE, B, C, D, Program, World, account};

const END: Request = Request::EndThread { code: 0, own: false };

/// A world with a program of two threads, the second of which has its object in [`A`].
fn two() -> (World, Program) {
    let (mut world, program) = World::one();
    world.objects.note_started(&program.start, 90);
    world.objects.set_time(1);
    begin(&mut world, program, A, FaultPolicy::Program);
    (world, program)
}

/// Sends a request to sleep by the capability in a slot, which is another program's.
fn sleep_by(world: &mut World, program: Program, slot: u32, ms: u32) -> CPtr {
    let [Arrived::Own(badge)] = world.arrive(program, &[slot])[..] else { panic!() };
    world.send(badge, &Request::Sleep { ms }.encode(), &[]).waits.expect("it sleeps")
}

/// A269: a thread that has ended keeps no place, in whosever slot its right to be answered was; who
/// sleeps in the slot of one that ends sleeps on.
#[test]
fn a_thread_that_has_ended_keeps_nobodys_place() {
    let (mut world, program) = two();
    // The thread's right is in the slot of the first, and the other way round.
    let of_thread = sleep(&mut world, program, 50).unwrap();
    let of_first = sleep(&mut world, program, 100).unwrap();
    let none = Refusal::TooManyWaiting { most: 2 };
    assert_eq!(sleep(&mut world, program, 1), Err(Box::new(Err(none))), "both are in use");
    world.caller_ends(of_thread);
    world.finish(program, END, &[A]);
    world.reap();
    assert_eq!(woken(&mut world), []);
    world.objects.set_time(60);
    assert_eq!(woken(&mut world), [], "who was to be woken has ended");
    world.objects.set_time(101);
    assert_eq!(woken(&mut world), []);
    world.objects.set_time(102);
    assert_eq!(woken(&mut world), [(of_first, Ok(Answer::Done {}))]);
    assert_eq!(sleep(&mut world, program, 1), Ok(of_first));
}

/// A269: so it is where the thread's right is in its own slot, and the other's in the other's.
#[test]
fn who_sleeps_in_its_own_slot_takes_nothing_along() {
    let (mut world, program) = two();
    let of_first = sleep(&mut world, program, 100).unwrap();
    let of_thread = sleep(&mut world, program, 50).unwrap();
    world.caller_ends(of_thread);
    world.finish(program, END, &[A]);
    world.reap();
    world.objects.set_time(1000);
    assert_eq!(woken(&mut world), [(of_first, Ok(Answer::Done {}))]);
    assert_eq!(world.objects.next_deadline(), None);
}

/// A269: who sent by another's capability and has ended keeps no place of that other's, nor of a third
/// program's; those who live keep theirs.
#[test]
fn who_sent_by_anothers_capability_keeps_no_place() {
    let (mut world, lends) = World::one();
    let (borrows, third) = (world.program(AMPLE), world.program(AMPLE));
    world.objects.set_time(1);
    world.copy((lends, PROGRAM_SLOT), (borrows, B));
    // Two of them: the borrower's threads, one of which is in a third program's slot.
    let own = sleep_by(&mut world, borrows, B, 1000);
    let elsewhere = sleep_by(&mut world, borrows, B, 1000);
    world.check();
    world.objects.kill(borrows.id).unwrap();
    world.reap();
    for slot in [own, elsewhere] {
        world.caller_ends(slot);
    }
    assert_eq!(woken(&mut world), [], "they have not slept for so long");
    for (program, ms) in [(lends, 5), (third, 7)] {
        let slot = sleep(&mut world, program, ms);
        assert!(slot.is_ok_and(|slot| [own, elsewhere].contains(&slot)));
    }
    let none = Refusal::TooManyWaiting { most: 2 };
    assert_eq!(sleep(&mut world, lends, 1), Err(Box::new(Err(none))));
    world.objects.set_time(100);
    assert_eq!(woken(&mut world).len(), 2);
}

/// A139 A269: an answer that is held for a thread in another's slot is given by that slot also when
/// the other has ended; the request of one that has ended waits for nothing.
#[test]
fn what_is_kept_in_the_slot_of_one_that_ends_is_kept_on() {
    let (mut world, program) = two();
    world.objects.set_slice(1000);
    let limits = Amounts([1000, 100, 1000, 10, 5, 60, 200, 0]);
    let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
    world.ask(program, account(limits, waits, B), &[ACCOUNT_SLOT]).unwrap();
    world.memory(program, 300, C);
    // The first thread's answer is held in the slot of the other, whose own request ends with it.
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(program, &[B]);
    let options = MemoryOptions::WRITABLE;
    let request = Request::CreateMemory { pages: 200, options, slot: D }.encode();
    let first = world.send(badge, &request, &arrived).waits.expect("it waits");
    let round = Turnstile(2);
    assert_eq!(world.objects.charge_time(badge, 0, 1000), Some(90));
    let second = world.objects.hold(&Answer::Done {}.encode(), round).expect("there are two");
    world.save_caller(second);
    world.caller_ends(first);
    world.finish(program, END, &[A]);
    world.reap();
    assert_eq!((woken(&mut world), world.objects.waiting()), (vec![], 0));
    while world.objects.come_round(round, 0) {}
    assert_eq!(woken(&mut world), [(second, Ok(Answer::Done {}))]);
}

/// Sends a request that waits for memory, and returns the slot with the right to answer it.
fn wait_for_memory(world: &mut World, program: Program) -> CPtr {
    let options = MemoryOptions::WRITABLE;
    let request = Request::CreateMemory { pages: 200, options, slot: D }.encode();
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(program, &[B]);
    world.send(badge, &request, &arrived).waits.expect("it waits")
}

/// A world as [`two`], where memory is short for [`wait_for_memory`] while [`C`] is there.
fn two_and_short() -> (World, Program) {
    let (mut world, program) = two();
    let limits = Amounts([1000, 100, 1000, 10, 5, 60, 200, 0]);
    let waits = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
    world.ask(program, account(limits, waits, B), &[ACCOUNT_SLOT]).unwrap();
    world.memory(program, 300, C);
    (world, program)
}

/// Does all that is left of what ended; returns what was answered meanwhile.
fn reap_told(world: &mut World) -> Vec<(CPtr, Result<Answer, Refusal>)> {
    let mut told = Vec::new();
    while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {
        told.extend(woken(world));
    }
    told.extend(woken(world));
    told
}

/// A162 A269: a request that waits for memory by the slot of a thread that ends waits on by another
/// of its program's.
#[test]
fn a_request_that_waits_by_the_slot_of_one_that_ends_waits_on() {
    let (mut world, program) = two_and_short();
    world.program(AMPLE);
    // The right is another thread's, and the slot of that is empty once it has slept.
    let of_first = sleep(&mut world, program, 5).unwrap();
    let slot = wait_for_memory(&mut world, program);
    world.objects.set_time(100);
    assert_eq!(woken(&mut world), [(of_first, Ok(Answer::Done {}))]);
    world.finish(program, END, &[A]);
    world.reap();
    assert_eq!((woken(&mut world), world.objects.waiting()), (vec![], 1));
    world.finish(program, Request::Destroy {}, &[C]);
    world.reap();
    assert_eq!(woken(&mut world), [(slot, Ok(Answer::Done {}))]);
    assert_eq!(world.objects.waiting(), 0);
}

/// A162: without such a slot it is refused when the thread has ended, though another program has one.
#[test]
fn a_request_without_a_slot_of_its_programs_is_refused() {
    let (mut world, program) = two_and_short();
    world.program(AMPLE);
    sleep(&mut world, program, 500).unwrap();
    let slot = wait_for_memory(&mut world, program);
    world.finish(program, END, &[A]);
    assert_eq!(reap_told(&mut world), [(slot, Err(Refusal::OutOfMemory {}))]);
    assert_eq!(world.objects.waiting(), 0);
}

/// A269: what is to be given now, and is in the slot of a thread that ends, is given at its end,
/// though there is another slot.
#[test]
fn what_is_due_is_given_at_the_end_of_the_slots_thread() {
    for lost in [false, true] {
        let (mut world, program) = two();
        world.program(AMPLE);
        let first = sleep(&mut world, program, 500).unwrap();
        let second = sleep(&mut world, program, 5).unwrap();
        let told = if lost {
            world.objects.stop_time();
            let why = Err(Refusal::NoClock {});
            vec![(first, why), (second, why)]
        } else {
            world.objects.set_time(100);
            vec![(second, Ok(Answer::Done {}))]
        };
        // Nobody asks for the answers before the thread ends.
        world.finish(program, END, &[A]);
        let mut answers = reap_told(&mut world);
        answers.sort_by_key(|(slot, _)| *slot != first);
        assert_eq!(answers, told);
    }
}

/// A249 A269: who sleeps by the slot of a thread that ends while the clock is lost is told so: it
/// sleeps by no other slot.
#[test]
fn who_sleeps_by_the_slot_of_one_that_ends_loses_the_clock_too() {
    let (mut world, program) = two();
    world.program(AMPLE);
    let first = sleep(&mut world, program, 500).unwrap();
    let second = sleep(&mut world, program, 500).unwrap();
    world.fixture.kernel().fail_nth(2, KernelError::NotEnoughMemory);
    assert!(world.ask(program, END, &[A]).is_err());
    assert!(world.objects.is_busy(), "the rest of the thread is left");
    world.objects.stop_time();
    let mut answers = woken(&mut world);
    answers.extend(reap_told(&mut world));
    answers.sort_by_key(|(slot, _)| *slot != first);
    assert_eq!(answers, [(first, Err(Refusal::NoClock {})), (second, Err(Refusal::NoClock {}))]);
    assert_eq!(world.objects.next_deadline(), None);
}
