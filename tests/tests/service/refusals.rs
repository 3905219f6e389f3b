//! Every kernel call refused in turn, at every moment of clients' lives: all comes back.

use untyped_alloc::KernelError;
use vmm::service::protocol::{Request, Rights};
use vmm::service::{ClientId, Program};
use vmm_tests::model::CallKind;

use crate::programs::program;
use crate::world::{AMPLE, PAGE, World, plain};

/// The lives of two clients, with a bit of everything. What is refused is not tried again.
fn two_lives(world: &mut World) {
    let mut clients: Vec<ClientId> = Vec::new();
    for _ in 0..2 {
        let vmm = &mut world.fixture.vmm;
        let Ok(client) = world.service.create_client(vmm, "test", AMPLE, None) else { continue };
        world.fixture.spaces.push(client.space());
        clients.push(client);
        let file = program();
        let program = Program { file: &file, stack_pages: 1 };
        let _ = world.service.load(&mut world.fixture.vmm, client, &program);
        world.fixture.check();
    }
    if let [giver, taker] = clients[..] {
        passed_on(world, giver, taker);
    }
    for client in clients {
        world.service.kill(client).unwrap();
    }
}

/// Memory made, cloned, passed on, given back.
fn passed_on(world: &mut World, giver: ClientId, taker: ClientId) {
    use vmm::service::protocol::Answer::Region;
    let Ok(Region { handle, first, .. }) = world.ask(giver, plain(3)) else { return };
    let _ = world.ask(giver, Request::Map { start: first, pages: 3 });
    let rights = Rights::READ_WRITE;
    let offer = Request::Offer { to: taker.number(), start: first, pages: 2, rights };
    let _ = world.ask(giver, offer);
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights };
    let _ = world.ask(taker, accept);
    let _ = world.ask(giver, Request::IpcBuffer { slot: 5 });
    let _ = world.ask(giver, Request::Unmap { start: first, pages: 1 });
    let _ = world.ask(giver, Request::Release(handle));
    let Ok(Region { handle: region, first, .. }) = world.ask(taker, plain(2)) else { return };
    if world.ask(taker, Request::Map { start: first, pages: 2 }).is_ok() {
        let _ = world.ask(taker, Request::Clone { region, address: 0 });
        let _ = world.ask(taker, Request::Protect { start: first + PAGE, pages: 1, rights });
    }
}

/// Takes clients apart although some calls are refused, as a server would: by trying again.
fn work(world: &mut World) {
    for _ in 0..100 {
        match world.service.work(&mut world.fixture.vmm) {
            Ok(false) => return,
            Ok(true) | Err(_) => world.fixture.check(),
        }
    }
    panic!("the end of clients never comes");
}

/// Runs the lives with the n-th call refused that `arm` is about, for all n.
fn each_refused(arm: impl Fn(&mut World, usize)) {
    for nth in 1..2000 {
        let mut world = World::new();
        let before = world.free_bytes();
        arm(&mut world, nth);
        two_lives(&mut world);
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
    each_refused(|world, nth| {
        world.fixture.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
    });
}

#[test]
fn whatever_delete_is_refused_all_comes_back() {
    each_refused(|world, nth| {
        let kind = CallKind::CNodeDelete;
        world.fixture.kernel().fail_nth_of(kind, nth, KernelError::IllegalOperation);
    });
}
