// SPDX-License-Identifier: BSD-2-Clause
//! Limits: enforced, split, given back.

use vmm::Quota;
use vmm_service::protocol::{Amounts, Answer, Refusal, Request, Resource, Rights};

use crate::world::{AMPLE, PAGE, World, plain};

const SMALL: Quota = Quota { frames: 10, tables: 2, slots: 3, objects: 1 };

fn limit_of_frames(world: &mut World, client: vmm_service::ClientId) -> u32 {
    match world.ask(client, Request::Limits) {
        Ok(Answer::Limits(limits)) => limits.limits.frames,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_at_its_limit_of_pages_is_told_so() {
    let mut world = World::new();
    let client = world.client(SMALL, None);
    let (_, start) = world.region(client, plain(11));
    let eleven = world.ask(client, Request::Map { start, pages: 11 });
    let resource = Resource::Frames;
    assert_eq!(eleven, Err(Refusal::OutOfQuota { resource, limit: 10, used: 0 }));
    world.ask(client, Request::Map { start, pages: 10 }).unwrap();
    let one = world.ask(client, Request::Map { start: start + 10 * PAGE, pages: 1 });
    assert_eq!(one, Err(Refusal::OutOfQuota { resource, limit: 10, used: 10 }));
    let Ok(Answer::Limits(limits)) = world.ask(client, Request::Limits) else { panic!() };
    assert_eq!((limits.used.frames, limits.used.tables), (10, 1));
}

#[test]
fn a_client_at_its_limit_of_page_tables_is_told_so() {
    let mut world = World::new();
    let client = world.client(SMALL, None);
    let (_, start) = world.region(client, plain(5000));
    for table in 0..3 {
        let request = Request::Map { start: start + table as usize * (PAGE << 10), pages: 1 };
        let answer = world.ask(client, request);
        let refused = Refusal::OutOfQuota { resource: Resource::Tables, limit: 2, used: 2 };
        assert_eq!(answer, if table < 2 { Ok(Answer::Pages(1)) } else { Err(refused) });
    }
}

#[test]
fn a_client_at_its_limit_of_slots_is_told_so() {
    let mut world = World::new();
    let (giver, client) = (world.client(AMPLE, None), world.client(SMALL, None));
    let (_, start) = world.memory(giver, 4);
    let rights = Rights::READ;
    let offer = Request::Offer { to: client.number(), start, pages: 4, rights };
    world.ask(giver, offer).unwrap();
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights };
    let refused = Refusal::OutOfQuota { resource: Resource::Slots, limit: 3, used: 0 };
    assert_eq!(world.ask(client, accept), Err(refused));
}

#[test]
fn a_fault_beyond_the_limit_is_not_resolved() {
    let mut world = World::new();
    let client = world.client(SMALL, None);
    world.memory(client, 10);
    let reserve = vmm_service::protocol::Reserve { around: 1, ..crate::world::plain_reserve(1) };
    let (_, first) = world.region(client, Request::Reserve(reserve));
    assert!(!world.touch(client, first, 1));
}

#[test]
fn a_parent_splits_what_it_may_have() {
    let mut world = World::new();
    let parent = world.client(AMPLE, None);
    let child = world.client(SMALL, Some(parent));
    assert_eq!(limit_of_frames(&mut world, parent), 990);
    let five = Amounts { frames: 5, ..Amounts::default() };
    let split = |back, amounts| Request::Split { child: child.number(), back, amounts };
    world.ask(parent, split(false, five)).unwrap();
    assert_eq!(limit_of_frames(&mut world, child), 15);
    assert_eq!(limit_of_frames(&mut world, parent), 985);
    world.memory(child, 12);
    let resource = Resource::Frames;
    let used = world.ask(parent, split(true, five));
    assert_eq!(used, Err(Refusal::OutOfQuota { resource, limit: 15, used: 12 }));
    let three = Amounts { frames: 3, ..Amounts::default() };
    world.ask(parent, split(true, three)).unwrap();
    let more = Amounts { frames: 989, ..Amounts::default() };
    let refused = world.ask(parent, split(false, more));
    assert_eq!(refused, Err(Refusal::OutOfQuota { resource, limit: 988, used: 0 }));
}

#[test]
fn only_a_parent_splits_with_or_ends_its_child() {
    let (mut world, parent, other) = World::two();
    let child = world.client(SMALL, Some(parent)).number();
    let split = Request::Split { child, back: true, amounts: Amounts::default() };
    assert_eq!(world.ask(other, split), Err(Refusal::NoSuchClient));
    assert_eq!(world.ask(other, Request::Kill { child }), Err(Refusal::NoSuchClient));
    let own = Request::Kill { child: parent.number() };
    assert_eq!(world.ask(parent, own), Err(Refusal::NoSuchClient));
    assert_eq!(world.ask(parent, Request::Kill { child }), Ok(Answer::Done));
    assert_eq!(world.ask(parent, Request::Kill { child }), Err(Refusal::NoSuchClient));
    world.work();
    assert_eq!(limit_of_frames(&mut world, parent), 1000);
}

/// The account of a client that ended takes back what its children were given.
#[test]
fn limits_come_back_over_the_account_of_a_parent_that_ended() {
    let mut world = World::new();
    let head = world.client(AMPLE, None);
    let parent = world.client(Quota { objects: 4, ..AMPLE_HALF }, Some(head));
    let child = world.client(SMALL, Some(parent));
    assert_eq!(limit_of_frames(&mut world, head), 500);
    world.service.kill(parent).unwrap();
    world.work();
    assert_eq!(limit_of_frames(&mut world, head), 500);
    assert_eq!(limit_of_frames(&mut world, child), 10);
    world.service.kill(child).unwrap();
    world.work();
    assert_eq!(limit_of_frames(&mut world, head), 1000);
}

const AMPLE_HALF: Quota = Quota { frames: 500, tables: 50, slots: 500, objects: 5 };

#[test]
fn a_child_cannot_be_given_what_its_parent_has_not() {
    let mut world = World::new();
    let parent = world.client(SMALL, None);
    let more = Quota { objects: 2, ..SMALL };
    let made = world.service.create_client(&mut world.fixture.vmm, "child", more, Some(parent));
    assert!(matches!(made, Err(vmm_service::Error::Manager(vmm::Error::OutOfQuota { .. }))));
    world.fixture.check();
}
