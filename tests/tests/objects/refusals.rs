// SPDX-License-Identifier: BSD-2-Clause
//! What each request is refused for: each reason of its own, with nothing changed.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, CNODE_SLOT, Kind, Malformed, MemoryOptions,
    Message, Name, PROGRAM_SLOT, ProgramOptions, Refusal, Request, Resource, Rights, SPACE_SLOT,
    Supply, answer_or_refusal,
};
use vmm_service::objects::{Arrived, OBJECT_BADGE};

use crate::support::Target;
use crate::world::{A, AMPLE, B, C, D, PAGE, World, account};

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

/// A355: memory at a physical address is mapped where it is and is nobody's: what is no address,
/// what no memory is at, and what somebody has is refused.
#[test]
fn physical_memory_that_is_not_there_or_not_free_is_refused() {
    let mut world = World::new();
    let program = world.driver(AMPLE);
    let (payer, device) = ([ACCOUNT_SLOT], world.fixture.machine.device());
    let physical = |address, pages, slot| {
        let options = MemoryOptions::empty();
        Request::CreatePhysical { address, pages, options, slot }
    };
    let none = |address| Refusal::NoSuchPhysical { address };
    let last = usize::MAX - PAGE + 1;
    world.refused(program, physical(last, 2, A), &payer, none(last));
    world.memory(program, 1, D);
    let start = world.map(program, D, 1, Rights::READ);
    assert!(world.touch(program, start, Access::Read));
    let taken = world.fixture.vmm.physical_address(program.id.space(), start).unwrap();
    let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
    let slots = |slot| [SPACE_SLOT, slot, ACCOUNT_SLOT];
    // Behind the devices, and in somebody's page.
    for address in [0xff00_0000, taken] {
        world.ask(program, physical(address, 1, A), &payer).unwrap();
        world.refused(program, map, &slots(A), none(address));
        world.finish(program, Request::Destroy {}, &[A]);
    }
    for (slot, first) in [(A, 0), (B, 1)] {
        world.ask(program, physical(device + first * PAGE, 2, slot), &payer).unwrap();
    }
    let Ok(Answer::Mapped { address }) = world.ask(program, map, &slots(A)) else {
        panic!("it is free")
    };
    // It has all of its memory from then on, mapped or not.
    world.refused(program, map, &slots(B), none(device + PAGE));
    world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
    world.refused(program, map, &slots(B), none(device + PAGE));
    world.finish(program, Request::Destroy {}, &[A]);
    assert!(world.ask(program, map, &slots(B)).is_ok());
}

/// A150: sixteen accounts lie below each other, and no more.
#[test]
fn accounts_that_are_too_deep_are_refused() {
    let mut world = World::new();
    let program = world.program(AMPLE.with(Resource::Spaces, 40));
    let (mut payer, mut slot) = (ACCOUNT_SLOT, A);
    let deeper = |slot| account(Amounts::MAX, AccountOptions::OVERCOMMIT, slot);
    // The program's own is the first.
    for _ in 1..16 {
        assert_eq!(world.ask(program, deeper(slot), &[payer]), Ok(Answer::Done {}));
        (payer, slot) = (slot, slot + 1);
    }
    world.refused(program, deeper(slot), &[payer], Refusal::TooDeep { most: 16 });
    // The last one is as any: memory is paid from it.
    assert_eq!(world.ask(program, memory(1, slot), &[payer]), Ok(Answer::Done {}));
}

/// A150: a program is loaded from small pages that are there, and pages come from such: paged
/// memory is neither, nor has anybody the right to it that a source is to be had by.
#[test]
fn files_and_sources_are_no_paged_or_large_memory() {
    let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, 1]);
    let mut world = World::of(Target::Ia32, all);
    let maker = world.program(AMPLE.with(Resource::LargePages, 1));
    let payer = [ACCOUNT_SLOT];
    let paged = |slot| Request::CreatePaged { pages: 4, most: 4, slot };
    world.ask(maker, paged(A), &payer).unwrap();
    world.ask(maker, paged(B), &payer).unwrap();
    let options = MemoryOptions::LARGE | MemoryOptions::WRITABLE;
    world.ask(maker, Request::CreateMemory { pages: 1024, options, slot: C }, &payer).unwrap();
    let (options, name) = (ProgramOptions::empty(), Name::new("child"));
    let amounts = Amounts([60, 30, 150, 8, 3, 20, 40, 0]);
    let child = Request::CreateProgram { amounts, options, name, slot: D, space: 0, account: 0 };
    world.ask(maker, child, &payer).unwrap();
    let load = Request::Load {};
    world.refused(maker, load, &[D, A], Refusal::Paged { place: 1 });
    world.refused(maker, load, &[D, C], Refusal::Large { place: 1 });
    let missing = Refusal::NoRight { place: 1, missing: Rights::USE };
    for how in Supply::ALL {
        let supply = Request::Supply { first: 0, pages: 1, from: 0, how, write: true, wait: 0 };
        world.refused(maker, supply, &[A, B], missing);
        world.refused(maker, supply, &[A, C], Refusal::Large { place: 1 });
    }
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
