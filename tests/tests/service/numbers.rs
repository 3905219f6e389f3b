// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that are given out again, with so few of them that they are used up all the time.
//!
//! What is sent waits in the endpoint's queue ([`vmm_tests::model`]) until the test receives it, as
//! where a server is held elsewhere.

use untyped_alloc::kernel::{CPtr, CapPath, Rights as CapRights};
use vmm::{Access, Blueprint, Error, Quota, ThreadId};
use vmm_service::protocol::{
    Answer, CNODE_BITS, MAX_OFFERS, NewThread, Refusal, RegionHandle, Request, SERVICE_SLOT,
};
use vmm_service::{ClientId, Error as ServiceError};
use vmm_tests::model::Cap;

use crate::programs::{load, program};
use crate::support::{Machine, Target};
use crate::world::{AMPLE, PAGE, World, plain};

const ALL: vmm_service::protocol::Rights = vmm_service::protocol::Rights::READ_WRITE;

/// A service of which threads, spaces, tokens and offers have numbers up to `most`.
fn narrow(most: u32) -> World {
    let mut world = World::on(Machine::roomy(Target::Ia32));
    world.fixture.vmm.narrow_numbers(most);
    world.service.narrow_numbers(most);
    world
}

/// A client with a program.
fn runs(world: &mut World) -> ClientId {
    let client = world.client(AMPLE, None);
    load(world, client, &program()).unwrap();
    client
}

fn endpoint(world: &World) -> CPtr {
    let is_it =
        |at: &CPtr| matches!(world.fixture.kernel().cap(*at), Cap::Endpoint { badge: 0, .. });
    (0..8192).map(CPtr::new).find(is_it).expect("the service has one")
}

/// The slot `index` of the CNode that a client's threads have.
fn slot_of(world: &World, client: ClientId, index: u32) -> CapPath {
    let thread = world.thread(client).expect("it has a program");
    let tcb = world.fixture.vmm.thread(thread).unwrap().tcb;
    let kernel = world.fixture.kernel();
    let Cap::CNode { base: its, .. } = kernel.tcb(tcb).unwrap().cspace else { panic!("no CSpace") };
    let is_it = |at: &CPtr| match kernel.cap(*at) {
        Cap::CNode { base, guard_bits: 0, .. } => base == its,
        _ => false,
    };
    let root = (0..8192).map(CPtr::new).find(is_it).expect("the manager has it");
    CapPath { root, index: index as usize, depth: CNODE_BITS }
}

fn thread(slot: u32) -> Request {
    Request::Thread(NewThread { entry: 0x40_0020, argument: 5, stack_pages: 1, slot })
}

/// A further thread: the address of its IPC buffer, and what it is registered as.
fn made(world: &mut World, client: ClientId, slot: u32) -> (usize, ThreadId) {
    let before = threads(world);
    let Ok(Answer::Address(buffer)) = world.ask(client, thread(slot)) else { panic!("no thread") };
    let new = threads(world).into_iter().find(|id| !before.contains(id));
    (buffer, new.expect("it is registered"))
}

fn threads(world: &World) -> Vec<ThreadId> {
    let mut at = 0;
    let next = || {
        let thread = world.fixture.vmm.next_thread(at)?;
        at = thread.badge();
        Some(thread)
    };
    std::iter::from_fn(next).collect()
}

fn ended(world: &mut World, client: ClientId, buffer: usize) {
    let end = Request::EndThread { thread: buffer, own: false };
    assert_eq!(world.ask(client, end), Ok(Answer::Done));
}

/// A73, A74: 7 badges, 70 threads. Each leaves a message behind, sent by the copy of the capability
/// that its client has, and one by a copy that went elsewhere.
#[test]
fn a_message_of_a_thread_that_ended_is_not_of_the_one_with_its_badge() {
    const MAX: u32 = 7;
    let mut world = narrow(MAX);
    let endpoint = endpoint(&world);
    let (client, other) = (runs(&mut world), runs(&mut world));
    let (passed_on, passed) = (slot_of(&world, other, 9), slot_of(&world, client, 5));
    let mut ids: Vec<ThreadId> = Vec::new();
    for _ in 0..10 * MAX {
        let (buffer, id) = made(&mut world, client, 5);
        assert!((1..=MAX as usize).contains(&id.badge()) && !ids.contains(&id));
        // Nobody but this thread has sent with its badge, as far as the queue knows.
        let sent = ids.len();
        let fault = world.fixture.vmm.thread(id).unwrap().fault_endpoint;
        let at = world.fixture.vmm.allocator().path(fault);
        world.fixture.vmm.copy_cap(passed_on, fault, CapRights::WRITE).unwrap();
        assert!(at != passed);
        for through in [passed, passed_on] {
            assert!(world.fixture.kernel().send(through, sent));
        }
        ids.push(id);
        ended(&mut world, client, buffer);
        for through in [passed, passed_on] {
            assert_eq!(world.fixture.kernel().cap_at(through), Some(Cap::Null), "revoked");
        }
        for id in &ids {
            assert_eq!(world.fixture.vmm.thread(*id), Err(Error::NoSuchThread(*id)));
            assert_eq!(world.fixture.vmm.unregister_thread(*id), Err(Error::NoSuchThread(*id)));
        }
    }
    // Those of the first threads were cancelled when their badges served again.
    let mut received = 0;
    let next = |world: &World| world.fixture.kernel().receive(endpoint);
    let alive = [world.thread(client), world.thread(other)].map(Option::unwrap);
    while let Some((badge, tag)) = next(&world) {
        received += 1;
        assert_eq!(badge, ids[tag].badge());
        let taken_for = world.fixture.vmm.thread_with_badge(badge).map(|info| info.id);
        assert!(taken_for.is_err(), "{badge} is {taken_for:?}'s");
        assert!(alive.iter().all(|alive| alive.badge() != badge));
    }
    assert!((2..=2 * MAX as usize).contains(&received), "{received}: the others were cancelled");
}

/// A73: a badge that serves again while a message with it waits: the message does not arrive.
#[test]
fn what_waits_in_the_queue_is_cancelled_before_its_badge_serves_again() {
    let mut world = narrow(2);
    let endpoint = endpoint(&world);
    let client = world.client(AMPLE, None);
    load(&mut world, client, &program()).unwrap();
    let (buffer, first) = made(&mut world, client, 5);
    let through = slot_of(&world, client, 5);
    assert!(world.fixture.kernel().send(through, 1));
    ended(&mut world, client, buffer);
    let (_, second) = made(&mut world, client, 5);
    assert_eq!(second.badge(), first.badge(), "there is no other");
    assert!(world.fixture.kernel().send(through, 2));
    assert_eq!(world.fixture.kernel().receive(endpoint), Some((second.badge(), 2)));
    assert_eq!(world.fixture.kernel().receive(endpoint), None);
}

/// A73, A74: the same of clients and their capabilities to the service.
#[test]
fn a_message_of_a_client_that_ended_is_not_of_the_one_with_its_number() {
    const MAX: u32 = 4;
    let mut world = narrow(MAX);
    let endpoint = endpoint(&world);
    let stays = runs(&mut world);
    let (_, kept) = world.memory(stays, 2);
    assert!(world.touch(stays, kept, 7));
    let mut gone: Vec<ClientId> = Vec::new();
    for round in 0..6 * MAX as usize {
        let client = runs(&mut world);
        assert!(client.number() <= MAX && client.number() != stays.number());
        assert!(!gone.contains(&client), "an id comes once");
        let own = slot_of(&world, client, SERVICE_SLOT);
        // A copy that it passed on.
        let elsewhere = slot_of(&world, stays, 8);
        let badged = (0..8192).map(CPtr::new).find(|&at| {
            let cap = world.fixture.kernel().cap(at);
            matches!(cap, Cap::Endpoint { badge, .. } if badge == client.badge())
        });
        world.fixture.vmm.copy_cap(elsewhere, badged.unwrap(), CapRights::WRITE).unwrap();
        for through in [own, elsewhere] {
            assert!(world.fixture.kernel().send(through, round));
        }
        world.service.kill(client).unwrap();
        world.work();
        gone.push(client);
        assert_eq!(world.fixture.kernel().cap_at(elsewhere), Some(Cap::Null), "revoked");
        for client in &gone {
            assert_eq!(world.service.kill(*client), Err(ServiceError::NoSuchClient(*client)));
            assert!(world.service.name(*client).is_none());
            let space = client.space();
            assert_eq!(world.fixture.vmm.vspace(space), Err(Error::NoSuchSpace(space)));
        }
    }
    // It has the number before it has a program.
    let last = world.client(AMPLE, None);
    assert!(gone.iter().any(|client| client.number() == last.number()));
    while let Some((badge, _)) = { world.fixture.kernel().receive(endpoint) } {
        assert_eq!(world.service.client_of_badge(badge), None, "{badge:#x}");
        let outcome = world.send(badge, plain(1).encode().label(), plain(1).encode().words(), 0);
        assert!(outcome.answer.is_none() && outcome.event.is_none() && outcome.keep.is_none());
    }
    assert_eq!(world.fixture.read(stays.space(), kept as usize), 7);
    assert!(world.ask(stays, Request::Statistics).is_ok());
}

/// A75: as many as there are numbers: one more is refused by name, and the others go on; what is
/// given back serves.
#[test]
fn what_finds_no_number_is_refused_and_stops_nobody() {
    let mut world = narrow(3);
    let (one, other) = (runs(&mut world), runs(&mut world));
    let (_, first) = world.memory(one, 2);
    let refused = world.service.create_client(&mut world.fixture.vmm, "more", AMPLE, None);
    assert_eq!(refused, Err(ServiceError::Manager(Error::OutOfSpaceNumbers)));
    let (buffer, _) = made(&mut world, one, 5);
    assert_eq!(threads(&world).len(), 3, "all badges are in use");
    let endpoint = endpoint(&world);
    let own = world.fixture.own();
    let calls = world.fixture.vmm.kernel_calls();
    let refused = world.fixture.vmm.register_thread(own, CPtr::NULL, endpoint, "more");
    assert_eq!(refused, Err(Error::OutOfBadges));
    assert_eq!(world.fixture.vmm.kernel_calls(), calls);
    for client in [one, other] {
        assert_eq!(world.ask(client, thread(6)), Err(Refusal::OutOfMemory));
        assert!(world.ask(client, Request::Limits).is_ok());
    }
    assert!(world.touch(one, first, 1));
    ended(&mut world, one, buffer);
    let (_, id) = made(&mut world, other, 6);
    assert_eq!(world.fixture.vmm.thread(id).unwrap().space, other.space());
    world.service.kill(one).unwrap();
    world.work();
    assert_ne!(world.client(AMPLE, None), one);
}

/// A74: a handle in a message names one region, whichever begins there later.
#[test]
fn a_handle_of_a_region_never_comes_again() {
    let mut world = narrow(7);
    let client = world.client(AMPLE, None);
    let mut stale: Vec<RegionHandle> = Vec::new();
    for _ in 0..100 {
        let (handle, _) = world.region(client, plain(2));
        assert!(stale.iter().all(|old| old.start == handle.start), "always in one place");
        for old in &stale {
            assert_eq!(world.ask(client, Request::Release(*old)), Err(Refusal::NoSuchRegion));
        }
        // Another half is another region.
        let wide = RegionHandle { serial: handle.serial | 1 << 32, ..handle };
        assert_eq!(world.ask(client, Request::Release(wide)), Err(Refusal::NoSuchRegion));
        assert_eq!(world.ask(client, Request::Release(handle)), Ok(Answer::Done));
        stale.push(handle);
    }
}

/// A76: tickets go round while an offer stays, the oldest offer comes first, and one more than
/// there are numbers is refused.
#[test]
fn tickets_of_offers_go_round_past_those_that_are_open() {
    const MAX: u32 = 5;
    const { assert!(MAX < MAX_OFFERS) };
    let mut world = narrow(MAX);
    let (giver, taker) = (world.client(AMPLE, None), world.client(AMPLE, None));
    let (_, first) = world.memory(giver, MAX + 2);
    let offer = |page: u32| {
        let start = first + page as usize * PAGE;
        Request::Offer { to: taker.number(), start, pages: 1, rights: ALL }
    };
    let from = giver.number();
    let accept = |ticket| Request::Accept { from, ticket, address: 0, rights: ALL };
    assert!(world.touch(giver, first, 100));
    let Ok(Answer::Ticket(stays)) = world.ask(giver, offer(0)) else { panic!("no ticket") };
    for _ in 0..4 * MAX {
        let Ok(Answer::Ticket(ticket)) = world.ask(giver, offer(1)) else { panic!("no ticket") };
        assert!(ticket != stays && ticket <= MAX);
        assert_eq!(world.ask(giver, Request::Withdraw { ticket }), Ok(Answer::Done));
        assert_eq!(world.ask(taker, accept(ticket)), Err(Refusal::NoSuchOffer));
    }
    let mut open = vec![stays];
    for page in 1..MAX {
        assert!(world.touch(giver, first + page as usize * PAGE, 100 + u64::from(page)));
        let Ok(Answer::Ticket(ticket)) = world.ask(giver, offer(page)) else { panic!("no ticket") };
        assert!(!open.contains(&ticket));
        open.push(ticket);
    }
    assert_eq!(world.ask(giver, offer(MAX)), Err(Refusal::TooMuch { most: MAX }));
    // The tickets of the last round are in order but for the one that stayed.
    let mut seen = Vec::new();
    for _ in 0..MAX {
        let (_, at) = world.region(taker, accept(0));
        seen.push(world.fixture.read(taker.space(), at as usize));
    }
    seen.sort_unstable();
    assert_eq!(seen, (100..100 + u64::from(MAX)).collect::<Vec<_>>(), "each once");
}

/// A76: an offer is to a client, and not to whoever has its number later.
#[test]
fn an_offer_is_not_accepted_by_a_client_that_came_to_have_the_number() {
    let mut world = narrow(3);
    let (giver, taker) = (world.client(AMPLE, None), world.client(AMPLE, None));
    let (_, first) = world.memory(giver, 1);
    let to = taker.number();
    world.ask(giver, Request::Offer { to, start: first, pages: 1, rights: ALL }).unwrap();
    world.ask(giver, Request::OfferPaging { to, key: 1, pages: 1, rights: ALL }).unwrap();
    world.service.kill(taker).unwrap();
    world.work();
    let next = world.client(AMPLE, None);
    assert_eq!(next.number(), to, "there is no other");
    let from = giver.number();
    let accept = Request::Accept { from, ticket: 0, address: 0, rights: ALL };
    let page = Request::AcceptPaging { from, ticket: 0, address: 0, rights: ALL };
    for request in [accept, page] {
        assert_eq!(world.ask(next, request), Err(Refusal::NoSuchOffer));
    }
}

/// A76: tokens of paged regions go round, past those of regions that are there and of faults that
/// still wait for a region that is gone.
#[test]
fn tokens_of_paged_regions_go_round_past_faults_that_wait() {
    const MAX: u32 = 4;
    let mut world = narrow(MAX);
    let pager = world.client(AMPLE, None);
    let client = runs(&mut world);
    let thread = world.thread(client).unwrap();
    let paged = |world: &mut World, key| {
        let to = client.number();
        world.ask(pager, Request::OfferPaging { to, key, pages: 1, rights: ALL }).unwrap();
        let from = pager.number();
        let accept = Request::AcceptPaging { from, ticket: 0, address: 0, rights: ALL };
        world.ask(client, accept).map(|answer| match answer {
            Answer::Region { handle, first, .. } => (handle, first),
            other => panic!("{other:?}"),
        })
    };
    let (stays, _) = paged(&mut world, 1).unwrap();
    let (waited, first) = paged(&mut world, 2).unwrap();
    world.wait_for_page(thread, first, Access::Read).expect("it waits");
    assert_eq!(world.ask(client, Request::Release(waited)), Ok(Answer::Done));
    // The thread waits on, for a region that is gone.
    for key in 3..3 + 5 * MAX {
        let (region, at) = paged(&mut world, key).unwrap();
        assert_eq!(at, first, "in the same place");
        let request = world.fixture.vmm.request_of(thread).unwrap().expect("it waits");
        assert!(world.fixture.vmm.request_is_stale(&request), "not for this region's pages");
        assert_eq!(world.ask(client, Request::Release(region)), Ok(Answer::Done));
    }
    // Two are taken, by the region that stays and by the fault: two more are there.
    let more: Vec<_> = (0..2).map(|key| paged(&mut world, 90 + key).unwrap()).collect();
    assert_eq!(paged(&mut world, 99), Err(Refusal::TooMuch { most: MAX }));
    for (region, _) in more.into_iter().chain([(stays, 0)]) {
        assert_eq!(world.ask(client, Request::Release(region)), Ok(Answer::Done));
    }
    assert!(paged(&mut world, 100).is_ok(), "what was given back serves");
    assert!(world.fixture.vmm.allocate(Blueprint::Endpoint).is_ok());
}

/// A75, I17: an account that waits for its children's is not in the way of who has its number.
#[test]
fn an_account_that_waits_keeps_nobodys_number() {
    let mut world = narrow(4);
    let small = Quota { frames: 10, tables: 2, slots: 10, objects: 2 };
    let parent = world.client(AMPLE, None);
    let child = world.client(small, Some(parent));
    world.service.kill(parent).unwrap();
    world.work();
    let mut new = Vec::new();
    for _ in 0..8 {
        let client = world.client(AMPLE, None);
        assert!(world.ask(client, plain(1)).is_ok());
        if client.number() == parent.number() {
            let Ok(Answer::Limits(limits)) = world.ask(client, Request::Limits) else { panic!() };
            assert_eq!((limits.own, limits.parent), (client.number(), 0));
            assert_eq!(
                world.ask(client, Request::Kill { child: child.number() }),
                Err(Refusal::NoSuchClient),
                "that is another's child"
            );
            new.push(client);
        }
        world.service.kill(client).unwrap();
        world.work();
    }
    assert!(!new.is_empty(), "the number was another's meanwhile");
    world.service.kill(child).unwrap();
    world.work();
    assert_eq!(world.service.name(parent), None);
}
