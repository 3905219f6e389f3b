// SPDX-License-Identifier: BSD-2-Clause
//! What each request is refused for: each reason of its own, with nothing changed.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, CNODE_SLOT, Kind, Malformed, MemoryOptions, Message,
    PROGRAM_SLOT, Refusal, Request, Resource, Rights, SPACE_SLOT, answer_or_refusal,
};
use vmm_service::objects::{Arrived, OBJECT_BADGE};

use crate::world::{A, AMPLE, B, C, D, World, account};

const INFO: Request = Request::Info {};

fn memory(pages: u32, slot: u32) -> Request {
    Request::CreateMemory { pages, options: MemoryOptions::WRITABLE, slot }
}

/// A150
#[test]
fn capabilities_that_are_wrong_are_refused_each_in_its_way() {
    let (mut world, program) = World::one();
    let payer = [ACCOUNT_SLOT];
    // None where one is due, an empty slot, and one behind an empty slot.
    world.refused(program, INFO, &[], Refusal::NoCapability { place: 0 });
    world.refused(program, INFO, &[A], Refusal::NoCapability { place: 0 });
    let restrict = Request::Restrict { rights: Rights::empty(), slot: A };
    let second = Refusal::NoCapability { place: 1 };
    world.refused(program, restrict, &[SPACE_SLOT, A, ACCOUNT_SLOT], second);
    // More than are due.
    let three = [ACCOUNT_SLOT, SPACE_SLOT, PROGRAM_SLOT];
    world.refused(program, INFO, &three, Refusal::TooManyCapabilities { wanted: 1 });
    // One of the kernel's, one of another endpoint.
    world.refused(program, INFO, &[CNODE_SLOT], Refusal::ForeignCapability { place: 0 });
    world.ask(program, Request::CreateEndpoint { object: A, slot: B }, &payer).unwrap();
    world.refused(program, INFO, &[B], Refusal::ForeignCapability { place: 0 });
    // One of another kind.
    let found = Kind::Endpoint;
    world.refused(program, memory(1, C), &[A], Refusal::WrongKind { place: 0, found });
    let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
    let found = Kind::Account;
    let wrong = Refusal::WrongKind { place: 1, found };
    world.refused(program, map, &[SPACE_SLOT, ACCOUNT_SLOT, ACCOUNT_SLOT], wrong);
    // One that lacks a right.
    let missing = Rights::DESTROY;
    world.refused(program, Request::Destroy {}, &payer, Refusal::NoRight { place: 0, missing });
    let missing = Rights::PHYSICAL;
    let physical =
        Request::CreatePhysical { address: 0, pages: 1, options: MemoryOptions::empty(), slot: C };
    world.refused(program, physical, &payer, Refusal::NoRight { place: 0, missing });
    // Rights that the holder does not have.
    let more = Request::Restrict { rights: Rights::USE | Rights::DESTROY, slot: C };
    let asked = Rights::DESTROY;
    let slots = [SPACE_SLOT, ACCOUNT_SLOT];
    world.refused(program, more, &slots, Refusal::BeyondRights { asked });
}

/// A150
#[test]
fn slots_that_are_wrong_are_refused_before_anything_is_made() {
    let (mut world, program) = World::one();
    world.memory(program, 1, A);
    let payer = [ACCOUNT_SLOT];
    for slot in [0, 512, u32::MAX] {
        world.refused(program, memory(1, slot), &payer, Refusal::BadSlot { slot });
        let request = Request::CreateEndpoint { object: B, slot };
        world.refused(program, request, &payer, Refusal::BadSlot { slot });
    }
    for slot in [A, ACCOUNT_SLOT] {
        let occupied = Refusal::SlotOccupied { slot };
        world.refused(program, memory(1, slot), &payer, occupied);
        world.refused(program, account(AMPLE, AccountOptions::OVERCOMMIT, slot), &payer, occupied);
        world.refused(program, Request::CreateSpace { slot }, &payer, occupied);
        for request in [
            Request::CreateEndpoint { object: slot, slot: B },
            Request::CreateEndpoint { object: B, slot },
            Request::CreateNotification { object: B, slot },
            Request::Clone { slot },
        ] {
            let clone = [A, ACCOUNT_SLOT];
            let slots = if matches!(request, Request::Clone { .. }) { &clone[..] } else { &payer };
            world.refused(program, request, slots, occupied);
        }
        world.refused(program, Request::Revoke { slot }, &[A], occupied);
    }
    let same = Request::CreateEndpoint { object: B, slot: B };
    world.refused(program, same, &payer, Refusal::SlotOccupied { slot: B });
}

/// A150
#[test]
fn lengths_and_places_that_are_wrong_are_refused() {
    let (mut world, program) = World::one();
    let payer = [ACCOUNT_SLOT];
    world.refused(program, memory(0, A), &payer, Refusal::BadLength { pages: 0 });
    let Err(Refusal::OutOfAccount { resource, wanted: 401, left }) =
        world.ask(program, memory(401, A), &payer)
    else {
        panic!("more pages than the account has")
    };
    assert!(resource == Resource::Pages && left < 400);
    world.memory(program, 4, A);
    let slots = [SPACE_SLOT, A, ACCOUNT_SLOT];
    let map = |address, first, pages| Request::Map { address, first, pages, rights: Rights::READ };
    world.refused(program, map(0, 0, 0), &slots, Refusal::BadLength { pages: 0 });
    for (first, pages) in [(0, 5), (4, 1), (1, 4), (u32::MAX, 2), (2, u32::MAX)] {
        world.refused(program, map(0, first, pages), &slots, Refusal::BeyondEnd { pages: 4 });
    }
    let address = 0x1234_5678;
    world.refused(program, map(address, 0, 1), &slots, Refusal::BadAddress { address });
    let address = 0xffff_f000;
    world.refused(program, map(address, 0, 1), &slots, Refusal::BadAddress { address });
    // Where its own code lies.
    let address = 0x40_0000;
    world.refused(program, map(address, 0, 1), &slots, Refusal::Overlap { address });
    let none = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::empty() };
    world.refused(program, none, &slots, Refusal::NotReadable {});
    let space = [SPACE_SLOT];
    world.refused(program, Request::Unmap { address }, &space, Refusal::NoMapping { address });
    let populate = Request::Populate { address, pages: 1 };
    world.refused(program, populate, &space, Refusal::NoMapping { address });
}

/// A151
#[test]
fn what_is_gone_has_no_name_any_more() {
    let (mut world, program) = World::one();
    world.memory(program, 2, A);
    let [Arrived::Own(stale)] = world.arrive(program, &[A])[..] else { panic!() };
    world.finish(program, Request::Destroy {}, &[A]);
    world.refused(program, INFO, &[A], Refusal::NoCapability { place: 0 });
    // What the kernel never delivers: a badge of nothing, one of a thread's faults, 0.
    let [Arrived::Own(sender)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    for badge in [stale, 0, 1, OBJECT_BADGE, usize::MAX] {
        let outcome = world.send(sender, &INFO.encode(), &[Arrived::Own(badge)]);
        let answer = outcome.answer.unwrap();
        let answer = answer_or_refusal(answer.label(), answer.words()).unwrap();
        assert_eq!(answer, Err(Refusal::ForeignCapability { place: 0 }), "{badge:#x}");
    }
    // Only programs are answered: not who sends by a capability to anything else.
    let [Arrived::Own(account)] = world.arrive(program, &[ACCOUNT_SLOT])[..] else { panic!() };
    for badge in [account, stale, 0] {
        assert!(world.send(badge, &INFO.encode(), &[]).answer.is_none());
    }
    let malformed = world.send(sender, &Message::new(0, &[]), &[]).answer.unwrap();
    let malformed = answer_or_refusal(malformed.label(), malformed.words()).unwrap();
    assert_eq!(malformed, Err(Refusal::Malformed { what: Malformed::Version }));
}

/// A152: with few badges and numbers, those that come back serve again, and a request beyond them
/// is refused.
#[test]
fn badges_and_numbers_are_given_out_again() {
    let (mut world, program) = World::one();
    world.objects.narrow_numbers(13);
    for round in 0..40 {
        world.memory(program, 1, A);
        let start = world.map(program, A, 1, Rights::READ);
        let restrict = Request::Restrict { rights: Rights::READ, slot: B };
        world.ask(program, restrict, &[A, ACCOUNT_SLOT]).unwrap();
        if round % 2 == 0 {
            world.finish(program, Request::Revoke { slot: C }, &[A]);
            world.finish(program, Request::Destroy {}, &[C]);
        } else {
            world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
            world.finish(program, Request::Destroy {}, &[A]);
        }
    }
    // Four capabilities are the program's own; of thirteen objects there are five.
    for slot in D..D + 9 {
        let restrict = Request::Restrict { rights: Rights::empty(), slot };
        world.ask(program, restrict, &[SPACE_SLOT, ACCOUNT_SLOT]).unwrap();
    }
    let slots = [SPACE_SLOT, ACCOUNT_SLOT];
    let restrict = Request::Restrict { rights: Rights::empty(), slot: A };
    world.refused(program, restrict, &slots, Refusal::OutOfMemory {});
}
