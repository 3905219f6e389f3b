// SPDX-License-Identifier: BSD-2-Clause
//! Pages that one client supplies to another: A30 to A33.

use vmm::{Access, CPtr, Error, Quota, ThreadId};
use vmm_service::protocol::{
    Answer, MAX_OFFERS, PagedFault, Refusal, RegionHandle, Request, Rights,
};
use vmm_service::{ClientId, Deferred, Program};

use crate::programs::program;
use crate::world::{AMPLE, PAGE, World};

const ALL: Rights = Rights::READ_WRITE;
const KEY: u32 = 0xfeed;

/// A pager, and a client with a thread that has a region paged by it.
struct Scene {
    world: World,
    pager: ClientId,
    client: ClientId,
    thread: ThreadId,
    region: RegionHandle,
    first: usize,
}

fn runs(world: &mut World, limits: Quota) -> (ClientId, ThreadId) {
    let client = world.client(limits, None);
    let file = program();
    let program = Program { file: &file, stack_pages: 1, writable_code: false };
    world.service.load(&mut world.fixture.vmm, client, &program).unwrap();
    (client, world.thread(client).unwrap())
}

impl Scene {
    fn new() -> Scene {
        Scene::with(AMPLE, ALL)
    }

    fn with(limits: Quota, rights: Rights) -> Scene {
        let mut world = World::new();
        let pager = world.client(AMPLE, None);
        let (client, thread) = runs(&mut world, limits);
        let offer = Request::OfferPaging { to: client.number(), key: KEY, pages: 4, rights };
        let Ok(Answer::Ticket(ticket)) = world.ask(pager, offer) else { panic!("no ticket") };
        let accept = Request::AcceptPaging { from: pager.number(), ticket, address: 0, rights };
        let (region, first) = world.region(client, accept);
        Scene { world, pager, client, thread, region, first }
    }

    /// The thread touches a page of the region, and waits.
    fn touch(&mut self, page: u32) -> CPtr {
        let address = self.first + page as usize * PAGE + 12;
        self.world.wait_for_page(self.thread, address, Access::Write).expect("there is a pager")
    }

    /// The fault that the pager is told of, which is there.
    fn fault(&mut self) -> PagedFault {
        match self.world.ask(self.pager, Request::NextFault { after: 0 }) {
            Ok(Answer::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for the next fault; returns the slot by which it is answered later.
    fn wait(&mut self) -> CPtr {
        let message = Request::NextFault { after: 0 }.encode();
        let badge = self.pager.badge();
        let outcome = self.world.send(badge, message.label(), message.words(), 0);
        assert!(outcome.answer.is_none() && outcome.event.is_none());
        outcome.keep.expect("it waits")
    }

    fn answered(&mut self) -> Option<(CPtr, Option<Answer>)> {
        match self.world.dues()[..] {
            [] => None,
            [Deferred::Answer { slot, message }] => {
                let answer = message.map(|message| {
                    Answer::parse(message.label(), message.words()).unwrap().unwrap()
                });
                Some((slot, answer))
            }
            ref other => panic!("{other:?}"),
        }
    }

    /// Ends both; all memory must be there again.
    fn end(mut self, before: (usize, usize)) {
        for client in [self.client, self.pager] {
            let _ = self.world.service.kill(client);
        }
        self.world.work();
        assert_eq!(self.world.free_bytes(), before);
    }
}

/// A30, in both ways to supply.
#[test]
fn a_thread_gets_the_page_that_its_pager_supplies() {
    let before = World::new().free_bytes();
    let mut scene = Scene::new();
    for give in [true, false] {
        let (_, page) = scene.world.memory(scene.pager, 1);
        assert!(scene.world.touch(scene.pager, page, 7));
        let number = if give { 2 } else { 3 };
        let kept = scene.touch(number);
        assert!(scene.answered().is_none());
        let fault = scene.fault();
        let client = scene.client.number();
        assert_eq!((fault.client, fault.key, fault.page, fault.write), (client, KEY, number, true));
        let supply = Request::Supply { ticket: fault.ticket, page, give };
        assert_eq!(scene.world.ask(scene.pager, supply), Ok(Answer::Done));
        assert_eq!(scene.answered(), Some((kept, None)));
        let at = scene.first + number as usize * PAGE;
        assert_eq!(scene.world.fixture.read(scene.client.space(), at as usize), 7);
        assert!(scene.world.touch(scene.client, at, 8));
        // What was given away is the other's alone; what is shared shows what it writes.
        assert_eq!(scene.world.touch(scene.pager, page, 9), !give);
        let expected = if give { 8 } else { 9 };
        assert_eq!(scene.world.fixture.read(scene.client.space(), at as usize), expected);
        assert_eq!(scene.world.ask(scene.pager, supply), Err(Refusal::NoSuchFault)); // once
    }
    scene.end(before);
}

#[test]
fn a_pager_that_waits_is_told_when_there_is_a_fault() {
    let before = World::new().free_bytes();
    let mut scene = Scene::new();
    let kept = scene.wait();
    assert!(scene.answered().is_none());
    let second = scene.world.ask(scene.pager, Request::NextFault { after: 0 });
    assert_eq!(second, Err(Refusal::TooMuch { most: 1 }));
    scene.touch(1);
    let Some((slot, Some(Answer::Fault(fault)))) = scene.answered() else { panic!("not told") };
    assert_eq!((slot, fault.page), (kept, 1));
    scene.end(before);
}

/// Or it would wait for ever.
#[test]
fn a_pager_that_waits_is_told_when_there_is_nothing_more_to_page() {
    for ends in [false, true] {
        let before = World::new().free_bytes();
        let mut scene = Scene::new();
        let other = scene.world.client(AMPLE, None);
        let to = other.number();
        let offer = Request::OfferPaging { to, key: 1, pages: 1, rights: ALL };
        let Ok(Answer::Ticket(ticket)) = scene.world.ask(scene.pager, offer) else { panic!() };
        let kept = scene.wait();
        match ends {
            false => drop(scene.world.ask(scene.client, Request::Release(scene.region)).unwrap()),
            true => {
                scene.world.service.kill(scene.client).unwrap();
                while scene.world.service.reap_step(&mut scene.world.fixture.vmm).unwrap() {}
            }
        }
        // There is still an offer.
        assert!(scene.answered().is_none());
        match ends {
            false => {
                scene.world.ask(scene.pager, Request::Withdraw { ticket }).unwrap();
            }
            true => {
                scene.world.service.kill(other).unwrap();
                while scene.world.service.reap_step(&mut scene.world.fixture.vmm).unwrap() {}
            }
        }
        assert_eq!(scene.answered(), Some((kept, Some(Answer::Done))));
        let nothing = scene.world.ask(scene.pager, Request::NextFault { after: 0 });
        assert_eq!(nothing, Ok(Answer::Done));
        let _ = scene.world.service.kill(other);
        scene.end(before);
    }
}

/// A31.
#[test]
fn nobody_pages_for_who_did_not_agree() {
    let mut scene = Scene::new();
    let (third, _) = runs(&mut scene.world, AMPLE);
    let offer = |to: u32| Request::OfferPaging { to, key: 0, pages: 1, rights: Rights::READ };
    for nobody in [0, scene.pager.number(), 99] {
        let refused = scene.world.ask(scene.pager, offer(nobody));
        assert_eq!(refused, Err(Refusal::NoSuchClient));
    }
    let Ok(Answer::Ticket(ticket)) = scene.world.ask(scene.pager, offer(third.number())) else {
        panic!("no ticket");
    };
    let from = scene.pager.number();
    let accept = |rights| Request::AcceptPaging { from, ticket, address: 0, rights };
    assert_eq!(scene.world.ask(scene.client, accept(ALL)), Err(Refusal::NoSuchOffer));
    assert_eq!(scene.world.ask(third, accept(ALL)), Err(Refusal::BeyondRights));
    // An offer to page is none of memory, nor the other way round.
    let memory = Request::Accept { from, ticket, address: 0, rights: Rights::READ };
    assert_eq!(scene.world.ask(third, memory), Err(Refusal::NoSuchOffer));
    let (_, start) = scene.world.memory(scene.pager, 1);
    let offered = Request::Offer { to: scene.client.number(), start, pages: 1, rights: ALL };
    scene.world.ask(scene.pager, offered).unwrap();
    let paging = Request::AcceptPaging { from, ticket: 0, address: 0, rights: ALL };
    assert_eq!(scene.world.ask(scene.client, paging), Err(Refusal::NoSuchOffer));
    scene.world.region(third, accept(Rights::READ));
    assert_eq!(scene.world.ask(third, accept(Rights::READ)), Err(Refusal::NoSuchOffer));
    for _ in 1..MAX_OFFERS {
        scene.world.ask(scene.pager, offer(third.number())).unwrap();
    }
    let refused = Err(Refusal::TooMuch { most: MAX_OFFERS });
    assert_eq!(scene.world.ask(scene.pager, offer(third.number())), refused);
}

/// A32: tickets of others, stale ones, pages that are not the pager's own.
#[test]
fn a_pager_names_its_own_tickets_and_pages_only() {
    let mut scene = Scene::new();
    let (other, _) = runs(&mut scene.world, AMPLE);
    scene.touch(0);
    let ticket = scene.fault().ticket;
    let (_, page) = scene.world.memory(scene.pager, 1);
    let (_, others) = scene.world.memory(other, 2);
    let supply = |ticket, page, give| Request::Supply { ticket, page, give };
    for give in [false, true] {
        for client in [other, scene.client] {
            let foreign = scene.world.ask(client, supply(ticket, others, give));
            assert_eq!(foreign, Err(Refusal::NoSuchFault));
        }
        let wrong = scene.world.ask(scene.pager, supply(ticket + 1, page, give));
        assert_eq!(wrong, Err(Refusal::NoSuchFault));
        for address in [others + PAGE, page + 4, 0xc000_0000, usize::MAX] {
            let refused = scene.world.ask(scene.pager, supply(ticket, address, give));
            assert!(matches!(refused, Err(Refusal::BadAddress { .. })), "{address:#x} {refused:?}");
        }
    }
    assert_eq!(scene.world.ask(other, Request::Refuse { ticket }), Err(Refusal::NoSuchFault));
    assert!(scene.answered().is_none(), "it still waits");
    let read = Request::Protect { start: page, pages: 1, rights: Rights::READ };
    scene.world.ask(scene.pager, read).unwrap();
    assert_eq!(scene.world.ask(scene.pager, supply(ticket, page, true)), Ok(Answer::Done));
    assert!(scene.answered().is_some());
}

#[test]
fn a_page_with_fewer_rights_than_the_region_is_refused() {
    let mut scene = Scene::new();
    scene.touch(0);
    let ticket = scene.fault().ticket;
    let reserve = vmm_service::protocol::Reserve {
        rights: Rights::READ,
        ceiling: Rights::READ,
        ..crate::world::plain_reserve(1)
    };
    let (_, page) = scene.world.region(scene.pager, Request::Reserve(reserve));
    scene.world.ask(scene.pager, Request::Map { start: page, pages: 1 }).unwrap();
    let supply = Request::Supply { ticket, page, give: true };
    assert_eq!(scene.world.ask(scene.pager, supply), Err(Refusal::BeyondRights));
}

/// A33: refused by the pager, or beyond what the receiver may have; the thread is the policy's.
#[test]
fn a_page_that_is_refused_is_a_fault_that_is_not_resolved() {
    let before = World::new().free_bytes();
    let mut scene = Scene::new();
    scene.touch(0);
    let ticket = scene.fault().ticket;
    assert_eq!(scene.world.ask(scene.pager, Request::Refuse { ticket }), Ok(Answer::Done));
    let [Deferred::Unresolved { thread, fault, error: None }] = scene.world.dues()[..] else {
        panic!("nobody is told");
    };
    assert_eq!((thread, fault.address), (scene.thread, scene.first + 12));
    let again = scene.world.ask(scene.pager, Request::Refuse { ticket });
    assert_eq!(again, Err(Refusal::NoSuchFault));
    scene.end(before);
}

#[test]
fn a_page_beyond_the_receivers_quota_stays_with_its_pager() {
    let before = World::new().free_bytes();
    let quota = Quota { frames: 8, slots: 0, ..AMPLE };
    let mut scene = Scene::with(quota, ALL);
    let (_, page) = scene.world.memory(scene.pager, 1);
    scene.touch(0);
    let ticket = scene.fault().ticket;
    let supply = Request::Supply { ticket, page, give: false };
    assert_eq!(scene.world.ask(scene.pager, supply), Err(Refusal::NotTaken));
    let [Deferred::Unresolved { error: Some(Error::OutOfQuota { space, .. }), .. }] =
        scene.world.dues()[..]
    else {
        panic!("nobody is told");
    };
    assert_eq!(space, scene.client.space());
    assert!(scene.world.touch(scene.pager, page, 1));
    scene.end(before);
}

/// A33. Whoever is ended for it is the server's to say; asked or not, nothing is left behind.
#[test]
fn the_end_of_a_pager_ends_what_waits_for_it_and_nothing_else() {
    for asked in [true, false] {
        let before = World::new().free_bytes();
        let mut scene = Scene::new();
        let bystander = scene.world.client(AMPLE, None);
        let (_, kept) = scene.world.memory(bystander, 2);
        assert!(scene.world.touch(bystander, kept, 5));
        scene.touch(0);
        scene.world.service.kill(scene.pager).unwrap();
        if asked {
            let dues = scene.world.dues();
            let [Deferred::Unresolved { thread, error: None, .. }] = dues[..] else {
                panic!("{dues:?}")
            };
            assert_eq!(thread, scene.thread);
            let address = scene.first + PAGE;
            let later = scene.world.wait_for_page(scene.thread, address, Access::Read);
            assert_eq!(later, None, "there is nobody to ask any more");
        }
        while scene.world.service.reap_step(&mut scene.world.fixture.vmm).unwrap() {}
        assert_eq!(scene.world.service.client_in(scene.client.space()).is_some(), asked);
        assert_eq!(scene.world.fixture.read(bystander.space(), kept as usize), 5);
        scene.world.service.kill(bystander).unwrap();
        scene.end(before);
    }
}

#[test]
fn the_end_of_a_client_that_waits_leaves_its_pager_as_it_was() {
    let before = World::new().free_bytes();
    let mut scene = Scene::new();
    let (_, page) = scene.world.memory(scene.pager, 1);
    scene.touch(0);
    let ticket = scene.fault().ticket;
    scene.world.service.kill(scene.client).unwrap();
    while scene.world.service.reap_step(&mut scene.world.fixture.vmm).unwrap() {}
    let supply = Request::Supply { ticket, page, give: true };
    assert_eq!(scene.world.ask(scene.pager, supply), Err(Refusal::NoSuchFault));
    assert!(scene.answered().is_none());
    assert!(scene.world.touch(scene.pager, page, 1));
    scene.end(before);
}

/// What lies at the address now is not what the pager was asked for.
#[test]
fn a_region_that_is_gone_gets_no_page() {
    let before = World::new().free_bytes();
    let mut scene = Scene::new();
    let kept = scene.touch(0);
    let ticket = scene.fault().ticket;
    scene.world.ask(scene.client, Request::Release(scene.region)).unwrap();
    let offer = Request::OfferPaging { to: scene.client.number(), key: 2, pages: 4, rights: ALL };
    scene.world.ask(scene.pager, offer).unwrap();
    let (from, address) = (scene.pager.number(), scene.first);
    let accept = Request::AcceptPaging { from, ticket: 0, address, rights: ALL };
    assert_eq!(scene.world.region(scene.client, accept).1, scene.first);
    let (_, page) = scene.world.memory(scene.pager, 1);
    let supply = Request::Supply { ticket, page, give: true };
    assert_eq!(scene.world.ask(scene.pager, supply), Err(Refusal::NoSuchFault));
    assert_eq!(scene.answered(), Some((kept, None)), "it touches again");
    assert!(scene.world.touch(scene.pager, page, 1));
    // Told of it when the pager waits: the thread goes on, and the pager waits still.
    let kept = scene.touch(1);
    let info = Request::Query { address: scene.first, next: false };
    let Ok(Answer::Info(info)) = scene.world.ask(scene.client, info) else { panic!("no region") };
    scene.world.ask(scene.client, Request::Release(info.region)).unwrap();
    scene.world.ask(scene.pager, offer).unwrap();
    scene.wait();
    assert_eq!(scene.answered(), Some((kept, None)));
    scene.end(before);
}

/// What a clone would show later is nobody's to promise.
#[test]
fn a_paged_region_is_not_cloned() {
    let mut scene = Scene::new();
    let clone = Request::Clone { region: scene.region, address: 0 };
    assert_eq!(scene.world.ask(scene.client, clone), Err(Refusal::WrongKind));
}
