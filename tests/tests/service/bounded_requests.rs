// SPDX-License-Identifier: BSD-2-Clause
//! Long work in pieces: A36, A37; and what a clone is of: A38.

use vmm::{Access, PageFault, Quota, Resolution};
use vmm_service::ClientId;
use vmm_service::protocol::{
    Answer, MAX_PAGES, Refusal, RegionHandle, Request, Reserve, Resource, Rights,
};

use crate::world::{AMPLE, PAGE, World, plain_reserve};

const ALL: Rights = Rights::READ_WRITE;
const LONG: u32 = 3 * MAX_PAGES - 5;

fn clone(region: RegionHandle) -> Request {
    Request::Clone { region, address: 0 }
}

/// What a piece says: the region and its first page; how much is done.
fn part(answer: Result<Answer, Refusal>) -> (RegionHandle, usize, u32) {
    match answer {
        Ok(Answer::Part { handle, first, done, .. }) => (handle, first, done),
        other => panic!("{other:?}"),
    }
}

fn used(world: &mut World, client: ClientId) -> (u32, u32) {
    match world.ask(client, Request::Limits) {
        Ok(Answer::Limits(limits)) => (limits.used.frames, limits.used.slots),
        other => panic!("{other:?}"),
    }
}

fn mapped(world: &World, client: ClientId) -> usize {
    world.fixture.mappings(client.space()).len()
}

/// A36. Between two pieces a fault of another client's is answered.
#[test]
fn a_region_of_any_length_is_cloned_in_pieces() {
    let (mut world, client, other) = World::two();
    let (region, first) = world.memory(client, LONG);
    for page in [0, MAX_PAGES - 1, MAX_PAGES, LONG - 1] {
        assert!(world.touch(client, first + page as usize * PAGE, u64::from(page) + 1));
    }
    let calls = world.fixture.vmm.kernel_calls();
    let (into, copy, mut done) = part(world.ask(client, clone(region)));
    assert_eq!(done, MAX_PAGES);
    while done < LONG {
        let demand = Reserve { around: 1, ..plain_reserve(1) };
        let (_, lazy) = world.region(other, Request::Reserve(demand));
        assert!(world.touch(other, lazy, 9));
        let more = Request::CloneMore { region, into, page: done };
        let Ok(Answer::Pages(some)) = world.ask(client, more) else { panic!("no piece") };
        assert_eq!(some, MAX_PAGES.min(LONG - done));
        done += some;
    }
    let calls = world.fixture.vmm.kernel_calls().since(&calls).total();
    assert!(calls < u64::from(LONG) * 4, "{calls} calls");
    for page in [0, MAX_PAGES - 1, MAX_PAGES, LONG - 1] {
        let (from, to) = (first + page as usize * PAGE, copy + page as usize * PAGE);
        assert_eq!(world.fixture.read(client.space(), to as usize), u64::from(page) + 1);
        assert!(world.touch(client, to, 77) && world.touch(client, from + 4, 66));
        assert_eq!(world.fixture.read(client.space(), to as usize), 77);
    }
    let nothing = Request::CloneMore { region, into, page: LONG };
    assert_eq!(world.ask(client, nothing), Ok(Answer::Pages(0)));
}

/// Holes cost nothing, however many there are.
#[test]
fn a_clone_passes_over_holes() {
    let (mut world, client, _) = World::two();
    let sparse = Request::Reserve(plain_reserve(5000));
    let (region, first) = world.region(client, sparse);
    for page in [0, 2000, 4999] {
        world.ask(client, Request::Map { start: first + page as usize * PAGE, pages: 1 }).unwrap();
    }
    let (_, copy, done) = part(world.ask(client, clone(region)));
    assert_eq!(done, 5000);
    assert_eq!(mapped(&world, client), 6);
    assert!(world.touch(client, copy + 4999 * PAGE, 1));
}

#[test]
fn what_cannot_be_cloned_on_is_refused() {
    let (mut world, client, other) = World::two();
    let (region, first) = world.memory(client, LONG);
    let (into, _, done) = part(world.ask(client, clone(region)));
    let more = |region, into, page| Request::CloneMore { region, into, page };
    let foreign = world.memory(other, LONG).0;
    for (from, to) in [(foreign, into), (region, foreign)] {
        assert_eq!(world.ask(client, more(from, to, done)), Err(Refusal::NoSuchRegion));
    }
    let again = world.ask(client, more(region, into, 0));
    let copied = match again {
        Err(Refusal::AlreadyMapped { address }) => address,
        other => panic!("{other:?}"),
    };
    assert!(copied != first);
    let beyond = world.ask(client, more(region, into, LONG + 1));
    assert!(matches!(beyond, Err(Refusal::BadAddress { .. })), "{beyond:?}");
    let short = world.region(client, Request::Reserve(plain_reserve(MAX_PAGES))).0;
    let outside = world.ask(client, more(region, short, done));
    assert!(matches!(outside, Err(Refusal::BadAddress { .. })), "{outside:?}");
    let read = Reserve { rights: Rights::READ, ceiling: Rights::READ, ..plain_reserve(LONG) };
    let read = world.region(client, Request::Reserve(read)).0;
    assert_eq!(world.ask(client, more(region, read, done)), Err(Refusal::BeyondRights));
    world.ask(client, Request::Unmap { start: first, pages: 1 }).unwrap();
    assert_eq!(world.ask(client, more(region, into, done)), Ok(Answer::Pages(MAX_PAGES)));
}

/// A37: a piece that fails leaves the ones before it; releasing the clone leaves what was before.
#[test]
fn a_clone_that_fails_half_way_is_given_up_whole() {
    let mut world = World::new();
    let quota = Quota { frames: LONG as usize + 100, ..AMPLE };
    let client = world.client(quota, None);
    let (region, first) = world.memory(client, LONG);
    let before = (used(&mut world, client), world.free_bytes());
    let (into, _, done) = part(world.ask(client, clone(region)));
    let refused = world.ask(client, Request::CloneMore { region, into, page: done });
    let resource = Resource::Frames;
    let (limit, used_by_then) = (LONG + 100, LONG + MAX_PAGES);
    assert_eq!(refused, Err(Refusal::OutOfQuota { resource, limit, used: used_by_then }));
    assert_eq!(mapped(&world, client), (LONG + MAX_PAGES) as usize);
    loop {
        match world.ask(client, Request::Release(into)) {
            Ok(Answer::Done) => break,
            Ok(Answer::Pages(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((used(&mut world, client), world.free_bytes()), before);
    assert!(world.touch(client, first, 5), "it can be written again");
}

/// A36, for memory that is passed on.
#[test]
fn an_offer_of_any_length_is_accepted_in_pieces() {
    let (mut world, giver, taker) = World::two();
    let (_, start) = world.memory(giver, LONG);
    assert!(world.touch(giver, start + (LONG as usize - 1) * PAGE, 3));
    let offer = Request::Offer { to: taker.number(), start, pages: LONG, rights: ALL };
    world.ask(giver, offer).unwrap();
    let from = giver.number();
    let accept = Request::Accept { from, ticket: 0, address: 0, rights: ALL };
    let (region, first, mut done) = part(world.ask(taker, accept));
    let more = Request::AcceptMore { from, region };
    assert_eq!(world.ask(giver, more), Err(Refusal::NoSuchRegion));
    while done < LONG {
        let Ok(Answer::Pages(some)) = world.ask(taker, more) else { panic!("no piece") };
        assert_eq!(some, MAX_PAGES.min(LONG - done));
        done += some;
    }
    assert_eq!(world.ask(taker, more), Err(Refusal::NoSuchOffer), "it is over");
    assert_eq!(world.ask(taker, accept), Err(Refusal::NoSuchOffer));
    let last = first + (LONG as usize - 1) * PAGE;
    assert_eq!(world.fixture.read(taker.space(), last as usize), 3);
}

/// A37: whatever ends it half way, the taker has the pieces it has, and can give them back.
#[test]
fn an_offer_that_ends_half_way_leaves_what_was_accepted() {
    for how in 0..4 {
        let mut world = World::new();
        let before = world.free_bytes();
        let (giver, taker) = (world.client(AMPLE, None), world.client(AMPLE, None));
        let (handle, start) = world.memory(giver, LONG);
        let offer = Request::Offer { to: taker.number(), start, pages: LONG, rights: ALL };
        world.ask(giver, offer).unwrap();
        let from = giver.number();
        let accept = Request::Accept { from, ticket: 0, address: 0, rights: ALL };
        let (region, first, done) = part(world.ask(taker, accept));
        match how {
            0 => drop(world.ask(giver, Request::Withdraw { ticket: 1 }).unwrap()),
            1 => world.service.kill(giver).unwrap(),
            2 => {
                let unmap = Request::Unmap { start: start + done as usize * PAGE, pages: 1 };
                world.ask(giver, unmap).unwrap();
            }
            _ => while world.ask(giver, Request::Release(handle)).unwrap() != Answer::Done {},
        }
        let more = Request::AcceptMore { from, region };
        assert_eq!(world.ask(taker, more), Err(Refusal::NoSuchOffer), "{how}");
        assert_eq!(mapped(&world, taker), MAX_PAGES as usize);
        assert!(world.touch(taker, first, 1));
        let _ = world.service.kill(giver);
        world.service.kill(taker).unwrap();
        world.work();
        assert_eq!(world.free_bytes(), before);
    }
}

/// An offer that was begun can be begun again, into another region.
#[test]
fn an_offer_is_accepted_anew_when_it_was_not_to_the_end() {
    let (mut world, giver, taker) = World::two();
    let (_, start) = world.memory(giver, LONG);
    let offer = Request::Offer { to: taker.number(), start, pages: LONG, rights: ALL };
    world.ask(giver, offer).unwrap();
    let from = giver.number();
    let accept = Request::Accept { from, ticket: 0, address: 0, rights: ALL };
    let (region, ..) = part(world.ask(taker, accept));
    while world.ask(taker, Request::Release(region)).unwrap() != Answer::Done {}
    let (later, ..) = part(world.ask(taker, accept));
    let more = |region| Request::AcceptMore { from, region };
    assert_eq!(world.ask(taker, more(region)), Err(Refusal::NoSuchRegion));
    assert_eq!(world.ask(taker, more(later)), Ok(Answer::Pages(MAX_PAGES)));
}

/// A38.
#[test]
fn shared_memory_is_not_cloned_and_says_where() {
    let (mut world, giver, taker) = World::two();
    let (handle, start) = world.memory(giver, 4);
    let shared = start + 2 * PAGE;
    let offer = Request::Offer { to: taker.number(), start: shared, pages: 1, rights: ALL };
    world.ask(giver, offer).unwrap();
    let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights: ALL };
    let (region, first) = world.region(taker, accept);
    let before = used(&mut world, giver);
    let refused = Err(Refusal::Shared { address: shared });
    assert_eq!(world.ask(giver, clone(handle)), refused);
    assert_eq!(world.ask(taker, clone(region)), Err(Refusal::Shared { address: first }));
    assert_eq!(used(&mut world, giver), before);
    // Alone again, it can be.
    world.ask(taker, Request::Release(region)).unwrap();
    part(world.ask(giver, clone(handle)));
}

/// A39: whoever keeps memory from being free has it in its account, whoever's it was.
#[test]
fn nobody_has_more_than_its_quota_by_sharing_and_dying() {
    let mut world = World::new();
    let quota = Quota { frames: 10, ..AMPLE };
    let keeper = world.client(quota, None);
    for round in 0..3 {
        let giver = world.client(quota, None);
        let (_, start) = world.memory(giver, 4);
        let offer = Request::Offer { to: keeper.number(), start, pages: 4, rights: ALL };
        world.ask(giver, offer).unwrap();
        let accept = Request::Accept { from: giver.number(), ticket: 0, address: 0, rights: ALL };
        let resource = Resource::Frames;
        match round {
            0 | 1 => {
                world.region(keeper, accept);
            }
            _ => {
                let refused = Refusal::OutOfQuota { resource, limit: 10, used: 8 };
                assert_eq!(world.ask(keeper, accept), Err(refused));
            }
        }
        world.service.kill(giver).unwrap();
        world.work();
    }
    assert_eq!(used(&mut world, keeper), (8, 8));
    let (_, start) = world.region(keeper, Request::Reserve(plain_reserve(3)));
    let refused = world.ask(keeper, Request::Map { start, pages: 3 });
    let resource = Resource::Frames;
    assert_eq!(refused, Err(Refusal::OutOfQuota { resource, limit: 10, used: 8 }));
    assert_eq!(world.ask(keeper, Request::Map { start, pages: 2 }), Ok(Answer::Pages(2)));
}

/// A39: a clone is paid for when it is made, and so no write to it fails.
#[test]
fn the_first_write_to_a_clone_is_within_the_quota() {
    let mut world = World::new();
    let client = world.client(Quota { frames: 8, ..AMPLE }, None);
    let (region, first) = world.memory(client, 4);
    let (_, copy, _) = part(world.ask(client, clone(region)));
    assert_eq!(used(&mut world, client), (8, 4));
    let refused = world.ask(client, clone(region));
    assert!(matches!(refused, Err(Refusal::OutOfQuota { resource: Resource::Frames, .. })));
    for page in 0..4 {
        let address = if page % 2 == 0 { first } else { copy } + page as usize * PAGE;
        assert!(world.touch(client, address, 1));
        let other = if page % 2 == 0 { copy } else { first } + page as usize * PAGE;
        assert!(world.touch(client, other, 2));
        let frames = used(&mut world, client).0;
        assert_eq!(frames, 8);
    }
    let fault = PageFault { address: copy as usize, access: Access::Write, present: true, ip: 0 };
    let again = world.fixture.vmm.resolve_fault(client.space(), &fault);
    assert!(matches!(again, Ok(Resolution::Resolved(_))));
}
