// SPDX-License-Identifier: BSD-2-Clause
//! Rights to answer that are kept for who waits: in whose slot, and for how long.

use vmm::CPtr;
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
