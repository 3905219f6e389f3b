// SPDX-License-Identifier: BSD-2-Clause
//! Requests that wait until memory comes back.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MemoryOptions, PROGRAM_SLOT, Refusal, Request,
    Resource, answer_or_refusal,
};
use vmm_service::objects::{Arrived, Outcome};

use crate::world::{A, AMPLE, B, C, D, Program, World, account};

/// More than the program has itself.
const LIMITS: Amounts = Amounts([1000, 100, 1000, 10, 5, 60, 200, 0]);
const WAITS: AccountOptions = AccountOptions::OVERCOMMIT.union(AccountOptions::WAIT);

fn memory(pages: u32, slot: u32) -> Request {
    Request::CreateMemory { pages, options: MemoryOptions::WRITABLE, slot }
}

/// A world with two programs. The first has an account in [`A`] whose limits are beyond what there
/// is; of most there is the second has a capability in [`A`], too, which the first has in [`B`].
fn world() -> (World, Program, Program) {
    let mut world = World::new();
    let (waiter, friend) = (world.program(AMPLE), world.program(AMPLE));
    world.ask(waiter, account(LIMITS, WAITS, A), &[ACCOUNT_SLOT]).unwrap();
    world.memory(waiter, 300, B);
    world.copy((waiter, B), (friend, A));
    (world, waiter, friend)
}

fn send(world: &mut World, program: Program, request: Request, slots: &[u32]) -> Outcome {
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(program, slots);
    let outcome = world.send(badge, &request.encode(), &arrived);
    world.check();
    outcome
}

/// What the one that waits is answered, if it is.
fn next(world: &mut World) -> Option<(vmm::CPtr, Result<Answer, Refusal>)> {
    let (slot, message) = world.objects.next_answer(&mut world.fixture.vmm)?;
    world.check();
    Some((slot, answer_or_refusal(message.label(), message.words()).unwrap()))
}

/// A162
#[test]
fn a_request_waits_until_memory_comes_back() {
    let (mut world, waiter, friend) = world();
    let before = world.used(friend, ACCOUNT_SLOT);
    let outcome = send(&mut world, waiter, memory(200, C), &[A]);
    let slot = outcome.waits.expect("it waits");
    assert!(outcome.answer.is_none());
    assert_eq!((world.objects.waiting(), next(&mut world)), (1, None));
    // Whoever else has its program capability does not wait beside it.
    let again = send(&mut world, waiter, memory(200, C), &[A]);
    let refused = Refusal::Overcommitted { resource: Resource::Pages }.encode();
    assert_eq!((again.answer, again.waits), (Some(refused), None));
    // What others do meanwhile does not help, and is not hindered.
    world.memory(friend, 100, B);
    world.finish(friend, Request::Destroy {}, &[B]);
    assert_eq!(next(&mut world), None);
    assert!(world.is_empty(waiter, C));
    world.finish(friend, Request::Destroy {}, &[A]);
    assert_eq!(next(&mut world), Some((slot, Ok(Answer::Done {}))));
    assert_eq!((world.objects.waiting(), next(&mut world)), (0, None));
    let info = world.ask(waiter, Request::Info {}, &[C]);
    assert!(matches!(info, Ok(Answer::Memory { pages: 200, .. })));
    assert_eq!(world.used(friend, ACCOUNT_SLOT), before);
}

/// A162: otherwise it is refused; and so is, at once, what the account's own limits do not allow.
#[test]
fn who_did_not_ask_for_it_does_not_wait() {
    let (mut world, waiter, _) = world();
    world.ask(waiter, account(LIMITS, AccountOptions::OVERCOMMIT, D), &[ACCOUNT_SLOT]).unwrap();
    let resource = Resource::Pages;
    world.refused(waiter, memory(200, C), &[D], Refusal::Overcommitted { resource });
    let own = world.ask(waiter, memory(1001, C), &[A]);
    assert!(matches!(own, Err(Refusal::OutOfAccount { wanted: 1001, .. })));
    assert_eq!(world.objects.waiting(), 0);
}

/// A162: it never hangs on what is gone, nor does another object come into its place.
#[test]
fn what_waits_for_an_account_that_ends_is_refused() {
    let (mut world, waiter, friend) = world();
    world.copy((waiter, A), (friend, B));
    let outcome = send(&mut world, waiter, memory(200, C), &[A]);
    world.finish(friend, Request::Destroy {}, &[B]);
    world.reap();
    // The badge is another's now.
    world.objects.narrow_numbers(60);
    for slot in D..D + 40 {
        let _ = world.ask(friend, Request::Restrict { rights: Default::default(), slot }, &[3, 2]);
    }
    let gone = Err(Refusal::Gone { place: 0 });
    assert_eq!(next(&mut world), outcome.waits.map(|slot| (slot, gone)));
    assert_eq!(world.objects.waiting(), 0);
}

/// A162
#[test]
fn a_program_that_waits_can_be_ended() {
    let (mut world, waiter, friend) = world();
    let before = world.fixture.vmm.stats().allocator.free_slots;
    assert!(send(&mut world, waiter, memory(200, C), &[A]).waits.is_some());
    world.objects.kill(waiter.id).unwrap();
    world.reap();
    assert_eq!((world.objects.waiting(), next(&mut world)), (0, None));
    assert!(world.is_empty(friend, A));
    assert!(world.fixture.vmm.stats().allocator.free_slots > before);
}

/// A162: in the order in which they came, each once there is enough for it.
#[test]
fn those_that_wait_are_served_in_their_order() {
    let mut world = World::new();
    let programs = [world.program(AMPLE), world.program(AMPLE), world.program(AMPLE)];
    world.ask(programs[0], account(LIMITS, WAITS, A), &[ACCOUNT_SLOT]).unwrap();
    world.memory(programs[0], 150, B);
    world.memory(programs[0], 150, D);
    world.copy((programs[0], B), (programs[2], B));
    world.copy((programs[0], D), (programs[2], D));
    world.copy((programs[0], A), (programs[1], A));
    let first = send(&mut world, programs[0], memory(300, C), &[A]).waits.unwrap();
    let second = send(&mut world, programs[1], memory(200, C), &[A]).waits.unwrap();
    world.finish(programs[2], Request::Destroy {}, &[B]);
    // Enough for the second.
    assert_eq!(next(&mut world), Some((second, Ok(Answer::Done {}))));
    assert_eq!(next(&mut world), None);
    world.finish(programs[2], Request::Destroy {}, &[D]);
    assert_eq!(next(&mut world), None);
    world.finish(programs[1], Request::Destroy {}, &[C]);
    assert_eq!(next(&mut world), Some((first, Ok(Answer::Done {}))));
}
