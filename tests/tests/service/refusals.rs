// SPDX-License-Identifier: BSD-2-Clause
//! Every kernel call refused in turn, at every moment of clients' lives: all comes back.

use untyped_alloc::KernelError;
use vmm::{Access, PageFault, Resolution};
use vmm_service::protocol::{Answer, MAX_PAGES, NewThread, Request, Rights};
use vmm_service::{ClientId, Program};
use vmm_tests::model::CallKind;

use crate::programs::with_tls;
use crate::world::{AMPLE, PAGE, World, plain};

/// The lives of two clients, with a bit of everything. What is refused is not tried again.
fn two_lives(world: &mut World) {
    let mut clients: Vec<ClientId> = Vec::new();
    for _ in 0..2 {
        let vmm = &mut world.fixture.vmm;
        let Ok(client) = world.service.create_client(vmm, "test", AMPLE, None) else { continue };
        world.fixture.spaces.push(client.space());
        clients.push(client);
        let file = with_tls();
        let program = Program { file: &file, stack_pages: 1, writable_code: false };
        let _ = world.service.load(&mut world.fixture.vmm, client, &program);
        world.fixture.check();
    }
    if let [giver, taker] = clients[..] {
        passed_on(world, giver, taker);
        paged(world, giver, taker);
    }
    for client in clients {
        world.service.kill(client).unwrap();
    }
}

/// Memory made, cloned, passed on, given back.
fn passed_on(world: &mut World, giver: ClientId, taker: ClientId) {
    use Answer::Region;
    let Ok(Region { handle, first, .. }) = world.ask(giver, plain(3)) else { return };
    let _ = world.ask(giver, Request::Map { start: first, pages: 3 });
    let rights = Rights::READ_WRITE;
    let offer = Request::Offer { to: taker.number(), start: first, pages: 2, rights };
    let _ = world.ask(giver, offer);
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights };
    let _ = world.ask(taker, accept);
    let _ = world.ask(giver, Request::IpcBuffer { slot: 5 });
    let asked = NewThread { entry: 0, argument: 0, stack_pages: 2, slot: 6 };
    if let Ok(Answer::Address(thread)) = world.ask(giver, Request::Thread(asked)) {
        let _ = world.ask(giver, Request::Thread(NewThread { slot: 7, ..asked }));
        let _ = world.ask(giver, Request::EndThread { thread, own: false });
    }
    let _ = world.ask(giver, Request::Unmap { start: first, pages: 1 });
    let _ = world.ask(giver, Request::Release(handle));
    let Ok(Region { handle: region, first, .. }) = world.ask(taker, plain(2)) else { return };
    if world.ask(taker, Request::Map { start: first, pages: 2 }).is_ok() {
        let _ = world.ask(taker, Request::Clone { region, address: 0 });
        let _ = world.ask(taker, Request::Protect { start: first + PAGE, pages: 1, rights });
    }
}

/// Two pages of the one's supplied by the other, a third refused, a fourth waited for.
fn paged(world: &mut World, client: ClientId, pager: ClientId) {
    let rights = Rights::READ_WRITE;
    let offer = Request::OfferPaging { to: client.number(), key: 1, pages: 4, rights };
    let _ = world.ask(pager, offer);
    let accept = Request::AcceptPaging { from: pager.number(), ticket: 0, address: 0, rights };
    let Ok(Answer::Region { first: paged, .. }) = world.ask(client, accept) else { return };
    let Ok(Answer::Region { first, .. }) = world.ask(pager, plain(3)) else { return };
    let _ = world.ask(pager, Request::Map { start: first, pages: 3 });
    let Some(thread) = world.thread(client) else { return };
    for page in 0..4_u32 {
        let next = Request::NextFault { after: 0 }.encode();
        // In turn the pager waits first, or the thread.
        if page % 2 == 0 {
            world.send(pager.badge(), next.label(), next.words(), 0);
            dues(world);
        }
        let address = paged + page as usize * PAGE;
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        let vmm = &mut world.fixture.vmm;
        if let Ok(Resolution::AskPager { token, page }) = vmm.resolve_fault(client.space(), &fault)
        {
            let _ = world.service.ask_pager(vmm, thread, fault, token, page);
        }
        dues(world);
        // Tickets count up, and nothing but these faults has one.
        let (ticket, page) = (u64::from(page) + 1, first + page as usize * PAGE);
        match ticket {
            1 | 2 => drop(world.ask(pager, Request::Supply { ticket, page, give: ticket == 1 })),
            3 => drop(world.ask(pager, Request::Refuse { ticket })),
            _ => {}
        }
        dues(world);
    }
}

/// What is due, as a server would do it: what is refused is tried again.
fn dues(world: &mut World) {
    let mut refused = 0;
    while refused < 3 {
        match world.service.next_deferred(&mut world.fixture.vmm) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) => refused += 1,
        }
        world.fixture.check();
    }
    panic!("one call is refused, not three");
}

/// Takes clients apart although some calls are refused, as a server would: by trying again.
fn work(world: &mut World) {
    for _ in 0..100 {
        match world.service.reap_step(&mut world.fixture.vmm) {
            Ok(false) => {
                dues(world);
                return;
            }
            Ok(true) | Err(_) => world.fixture.check(),
        }
    }
    panic!("the end of clients never comes");
}

/// A region of more than one piece, cloned and passed on.
fn long_lives(world: &mut World) {
    const LONG: u32 = MAX_PAGES + 2;
    let vmm = &mut world.fixture.vmm;
    let made = [(); 2].map(|()| world.service.create_client(vmm, "test", AMPLE, None));
    let clients: Vec<ClientId> = made.into_iter().flatten().collect();
    world.fixture.spaces.extend(clients.iter().map(|client| client.space()));
    if let [giver, taker] = clients[..] {
        long_work(world, giver, taker, LONG);
    }
    for client in clients {
        world.service.kill(client).unwrap();
    }
}

fn long_work(world: &mut World, giver: ClientId, taker: ClientId, pages: u32) {
    let Ok(Answer::Region { handle, first, .. }) = world.ask(giver, plain(pages)) else { return };
    let rest = first + MAX_PAGES as usize * PAGE;
    let _ = world.ask(giver, Request::Map { start: first, pages: MAX_PAGES });
    let _ = world.ask(giver, Request::Map { start: rest, pages: pages - MAX_PAGES });
    let clone = world.ask(giver, Request::Clone { region: handle, address: 0 });
    if let Ok(Answer::Part { handle: into, done, .. }) = clone {
        let _ = world.ask(giver, Request::CloneMore { region: handle, into, page: done });
        let _ = world.ask(giver, Request::Release(into));
    }
    let rights = Rights::READ;
    let offer = Request::Offer { to: taker.number(), start: first, pages, rights };
    let _ = world.ask(giver, offer);
    let from = giver.number();
    let accepted = world.ask(taker, Request::Accept { from, ticket: 0, address: 0, rights });
    if let Ok(Answer::Part { handle: region, .. }) = accepted {
        let _ = world.ask(taker, Request::AcceptMore { from, region });
    }
}

/// Runs the lives with the n-th call refused that `arm` is about, for all n.
fn each_refused(lives: impl Fn(&mut World), arm: impl Fn(&mut World, usize)) {
    for nth in 1..2000 {
        let mut world = World::new();
        let before = world.free_bytes();
        arm(&mut world, nth);
        lives(&mut world);
        work(&mut world);
        let unharmed = world.fixture.kernel().disarm();
        work(&mut world);
        world.fixture.spaces.truncate(1);
        world.fixture.check();
        assert_eq!(world.free_bytes(), before, "after refusing call {nth}");
        if unharmed {
            assert!(nth > 1, "nothing was called");
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn whatever_call_is_refused_all_comes_back() {
    each_refused(two_lives, |world, nth| {
        world.fixture.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
    });
}

#[test]
fn whatever_delete_is_refused_all_comes_back() {
    each_refused(two_lives, |world, nth| {
        let kind = CallKind::CNodeDelete;
        world.fixture.kernel().fail_nth_of(kind, nth, KernelError::IllegalOperation);
    });
}

#[test]
fn whatever_call_of_long_work_is_refused_all_comes_back() {
    each_refused(long_lives, |world, nth| {
        world.fixture.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
    });
}
