// SPDX-License-Identifier: BSD-2-Clause
//! Memory that two clients share, and who may have it.

use vmm_service::protocol::{Answer, MAX_OFFERS, MAX_PAGES, Refusal, Request, Rights};

use crate::world::{AMPLE, PAGE, World};

const ALL: Rights = Rights::READ_WRITE;

#[test]
fn what_is_offered_and_accepted_is_shared() {
    let (mut world, giver, taker) = World::two();
    let (_, start) = world.memory(giver, 3);
    let offer = Request::Offer { to: taker.number(), start, pages: 2, rights: ALL };
    let Ok(Answer::Ticket(ticket)) = world.ask(giver, offer) else { panic!("no ticket") };
    let accept = Request::Accept { from: giver.number(), ticket, address: 0, rights: ALL };
    let (_, first) = world.region(taker, accept);
    assert!(world.touch(taker, first + PAGE, 9));
    assert_eq!(world.fixture.read(giver.space(), (start + PAGE) as usize), 9);
    assert_eq!(world.ask(taker, accept), Err(Refusal::NoSuchOffer)); // once
}

#[test]
fn only_the_one_it_was_made_to_can_accept() {
    let (mut world, giver, taker) = World::two();
    let third = world.client(AMPLE, None);
    let (_, start) = world.memory(giver, 1);
    let offer = Request::Offer { to: taker.number(), start, pages: 1, rights: Rights::READ };
    let Ok(Answer::Ticket(ticket)) = world.ask(giver, offer) else { panic!("no ticket") };
    let from = giver.number();
    let accept = |ticket, rights| Request::Accept { from, ticket, address: 0, rights };
    for ticket in [0, ticket] {
        assert_eq!(world.ask(third, accept(ticket, Rights::READ)), Err(Refusal::NoSuchOffer));
        assert_eq!(world.ask(giver, accept(ticket, Rights::READ)), Err(Refusal::NoSuchOffer));
    }
    assert_eq!(world.ask(taker, accept(ticket, ALL)), Err(Refusal::BeyondRights));
    let (_, first) = world.region(taker, accept(0, Rights::READ));
    let more = Request::Protect { start: first, pages: 1, rights: ALL };
    assert_eq!(world.ask(taker, more), Err(Refusal::BeyondRights));
}

#[test]
fn what_cannot_be_offered_is_refused() {
    let (mut world, giver, taker) = World::two();
    let (_, start) = world.memory(giver, MAX_PAGES + 1);
    let offer = |to, start, pages| Request::Offer { to, start, pages, rights: ALL };
    let to = taker.number();
    for nobody in [0, 1, giver.number(), 99] {
        let refused = world.ask(giver, offer(nobody, start, 1));
        assert_eq!(refused, Err(Refusal::NoSuchClient));
    }
    let beyond = world.ask(giver, offer(to, start, MAX_PAGES + 2));
    let address = start + (MAX_PAGES as usize + 1) * PAGE;
    assert_eq!(beyond, Err(Refusal::BadAddress { address }));
    world.ask(giver, Request::Unmap { start, pages: 1 }).unwrap();
    let hole = world.ask(giver, offer(to, start, 2));
    assert_eq!(hole, Err(Refusal::NotMapped { address: start }));
    for _ in 0..MAX_OFFERS {
        world.ask(giver, offer(to, start + PAGE, 1)).unwrap();
    }
    let refused = world.ask(giver, offer(to, start + PAGE, 1));
    assert_eq!(refused, Err(Refusal::TooMuch { most: MAX_OFFERS }));
    world.ask(giver, Request::Withdraw { ticket: 1 }).unwrap();
    world.ask(giver, offer(to, start + PAGE, 1)).unwrap();
    let again = world.ask(giver, Request::Withdraw { ticket: 1 });
    assert_eq!(again, Err(Refusal::NoSuchOffer));
}

/// What the giver did with its memory since says nothing to the taker but that it is not there.
#[test]
fn an_offer_whose_memory_is_gone_is_none() {
    let (mut world, giver, taker) = World::two();
    let (handle, start) = world.memory(giver, 1);
    let offer = Request::Offer { to: taker.number(), start, pages: 1, rights: ALL };
    world.ask(giver, offer).unwrap();
    world.ask(giver, Request::Release(handle)).unwrap();
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights: ALL };
    assert_eq!(world.ask(taker, accept), Err(Refusal::NoSuchOffer));
}

/// Found by a stress run: a client shared what it had not offered, but had got at the same
/// addresses.
#[test]
fn an_offer_is_not_about_what_came_after_its_memory() {
    let (mut world, giver, taker) = World::two();
    let (handle, start) = world.memory(giver, 1);
    let offer = Request::Offer { to: taker.number(), start, pages: 1, rights: ALL };
    world.ask(giver, offer).unwrap();
    world.ask(giver, Request::Release(handle)).unwrap();
    let (_, later) = world.memory(giver, 1);
    assert_eq!(later, start, "it lies where the other did");
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights: ALL };
    assert_eq!(world.ask(taker, accept), Err(Refusal::NoSuchOffer));
    world.ask(giver, Request::Withdraw { ticket: 1 }).unwrap();
    world.ask(giver, offer).unwrap();
    world.ask(taker, accept).unwrap();
}

#[test]
fn shared_memory_outlives_its_giver() {
    let mut world = World::new();
    let before = world.free_bytes();
    let (giver, taker) = (world.client(AMPLE, None), world.client(AMPLE, None));
    let (_, start) = world.memory(giver, 2);
    assert!(world.touch(giver, start, 8));
    let offer = Request::Offer { to: taker.number(), start, pages: 2, rights: ALL };
    world.ask(giver, offer).unwrap();
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights: ALL };
    let (_, first) = world.region(taker, accept);
    world.ask(giver, offer).unwrap();
    world.service.kill(giver).unwrap();
    assert_eq!(world.ask(taker, accept), Err(Refusal::NoSuchOffer));
    world.work();
    assert_eq!(world.fixture.read(taker.space(), first as usize), 8);
    assert!(world.touch(taker, first, 6));
    world.service.kill(taker).unwrap();
    world.work();
    assert_eq!(world.free_bytes(), before);
}
