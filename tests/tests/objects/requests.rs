// SPDX-License-Identifier: BSD-2-Clause
//! What each request does.

use vmm::Access;
use vmm_service::objects::Objects;
use vmm_service::objects::protocol::{
    self, ACCOUNT_SLOT, Answer, Kind, MemoryOptions, Refusal, Request, Resource, Rights, SPACE_SLOT,
};

use crate::support::{Fixture, Machine, Target};
use crate::world::{A, AMPLE, B, C, D, PAGE, World};

/// A140
#[test]
fn memory_is_made_mapped_touched_and_destroyed() {
    let (mut world, program) = World::one();
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    world.memory(program, 3, A);
    let start = world.map(program, A, 3, Rights::READ_WRITE);
    let space = program.id.space();
    for page in 0..3 {
        assert!(world.touch(program, start + page * PAGE, Access::Write));
        assert_eq!(world.fixture.read(space, start + page * PAGE), 0, "a new page is zero");
        world.fixture.write(space, start + page * PAGE, page as u64 + 1);
    }
    assert!(!world.touch(program, start + 3 * PAGE, Access::Read));
    // The same memory in another place.
    let again = world.map(program, A, 3, Rights::READ);
    for page in 0..3 {
        assert!(world.touch(program, again + page * PAGE, Access::Read));
        assert!(!world.touch(program, again + page * PAGE, Access::Write));
        assert_eq!(world.fixture.read(space, again + page * PAGE), page as u64 + 1);
    }
    world.refused(program, Request::Destroy {}, &[A], Refusal::InUse { times: 2 });
    for address in [start, again] {
        world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
        assert!(!world.touch(program, address, Access::Read));
    }
    // Nowhere mapped, it keeps what was written.
    let third = world.map(program, A, 3, Rights::READ);
    assert!(world.touch(program, third + PAGE, Access::Read));
    assert_eq!(world.fixture.read(space, third + PAGE), 2);
    world.finish(program, Request::Unmap { address: third }, &[SPACE_SLOT]);
    world.finish(program, Request::Destroy {}, &[A]);
    assert!(world.is_empty(program, A), "its capability is gone");
    let after = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    assert_eq!(after, before);
}

/// A141
#[test]
fn a_restricted_capability_has_fewer_rights_and_is_revoked_with_all_copies() {
    let (mut world, giver) = World::one();
    let taker = world.program(AMPLE);
    world.memory(giver, 2, A);
    let restrict = |rights, slot| Request::Restrict { rights, slot };
    world.ask(giver, restrict(Rights::READ | Rights::REVOKE, B), &[A, ACCOUNT_SLOT]).unwrap();
    world.copy((giver, B), (taker, A));
    world.copy((giver, B), (giver, C));
    let info = world.ask(taker, Request::Info {}, &[A]).unwrap();
    let Answer::Memory { rights, pages: 2, .. } = info else { panic!("{info:?}") };
    assert_eq!(rights, Rights::READ | Rights::REVOKE);
    let map = |rights| Request::Map { address: 0, first: 0, pages: 2, rights };
    let slots = [SPACE_SLOT, A, ACCOUNT_SLOT];
    let beyond = Refusal::BeyondRights { asked: Rights::WRITE };
    world.refused(taker, map(Rights::READ_WRITE), &slots, beyond);
    let start = world.map(taker, A, 2, Rights::READ);
    assert!(world.touch(taker, start, Access::Read));
    // One that was derived from the derived.
    world.ask(taker, restrict(Rights::READ, B), &[A, ACCOUNT_SLOT]).unwrap();
    let further = world.map(taker, B, 1, Rights::READ);
    assert!(world.touch(taker, further, Access::Read));
    // What its holder deletes is gone from its slot; what was mapped by it is not.
    world.delete(taker, B);
    assert!(world.touch(taker, further, Access::Read));
    // The giver takes all of it back; its own capability stays, in another slot.
    world.finish(giver, Request::Revoke { slot: D }, &[A]);
    for (program, slot) in [(giver, A), (giver, B), (giver, C), (taker, A), (taker, B)] {
        assert!(world.is_empty(program, slot), "{slot}");
    }
    assert!(!world.touch(taker, start, Access::Read), "what was mapped by it is gone");
    assert!(!world.touch(taker, further, Access::Read));
    assert!(matches!(
        world.ask(giver, Request::Info {}, &[D]),
        Ok(Answer::Memory { mappings: 0, committed: 1, .. })
    ));
}

/// A142
#[test]
fn a_clone_shows_what_there_was_and_keeps_what_is_written_to_itself() {
    let (mut world, program) = World::one();
    let space = program.id.space();
    world.memory(program, 4, A);
    let start = world.map(program, A, 4, Rights::READ_WRITE);
    assert!(world.touch(program, start + PAGE, Access::Write));
    world.fixture.write(space, start + PAGE, 7);
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.ask(program, Request::Clone { slot: B }, &[A, ACCOUNT_SLOT]).unwrap();
    let origin = world.map(program, A, 4, Rights::READ_WRITE);
    let clone = world.map(program, B, 4, Rights::READ_WRITE);
    for at in [origin, clone] {
        assert!(world.touch(program, at + PAGE, Access::Read));
        assert_eq!(world.fixture.read(space, at + PAGE), 7);
    }
    assert!(world.touch(program, clone + PAGE, Access::Write));
    world.fixture.write(space, clone + PAGE, 8);
    assert_eq!(world.fixture.read(space, origin + PAGE), 7);
    assert!(world.touch(program, origin, Access::Write));
    assert!(world.touch(program, clone, Access::Read));
    assert_eq!(world.fixture.read(space, clone), 0);
}

/// A143
#[test]
fn spaces_endpoints_and_notifications_are_made_and_end_with_all_copies() {
    let (mut world, program) = World::one();
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    let payer = [ACCOUNT_SLOT];
    for (kind, request) in [
        (Kind::Endpoint, Request::CreateEndpoint { object: A, slot: B }),
        (Kind::Notification, Request::CreateNotification { object: A, slot: B }),
    ] {
        world.ask(program, request, &payer).unwrap();
        world.copy((program, B), (program, C));
        let info = world.ask(program, Request::Info {}, &[A]).unwrap();
        assert!(matches!(info, Answer::Object { kind: found, .. } if found == kind));
        world.refused(program, Request::Info {}, &[B], Refusal::ForeignCapability { place: 0 });
        world.finish(program, Request::Destroy {}, &[A]);
        for slot in [A, B, C] {
            assert!(world.is_empty(program, slot), "{kind:?} {slot}");
        }
    }
    world.ask(program, Request::CreateSpace { slot: A }, &payer).unwrap();
    world.memory(program, 2, B);
    let map = Request::Map { address: 0x10_0000, first: 1, pages: 1, rights: Rights::READ };
    let mapped = world.ask(program, map, &[A, B, ACCOUNT_SLOT]);
    assert_eq!(mapped, Ok(Answer::Mapped { address: 0x10_0000 }));
    world.refused(program, Request::Destroy {}, &[A], Refusal::InUse { times: 1 });
    world.finish(program, Request::Unmap { address: 0x10_0000 }, &[A]);
    world.finish(program, Request::Destroy {}, &[A]);
    world.finish(program, Request::Destroy {}, &[B]);
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
}

/// A144
#[test]
fn what_a_program_had_comes_back_when_it_ends() {
    let (mut world, other) = World::one();
    let mut before = None;
    for _ in 0..3 {
        let program = world.program(AMPLE);
        world.memory(program, 200, A);
        let start = world.map(program, A, 200, Rights::READ_WRITE);
        for page in 0..150 {
            assert!(world.touch(program, start + page * PAGE, Access::Write));
        }
        world.copy((program, A), (other, A));
        let map = world.map(other, A, 5, Rights::READ);
        assert!(world.touch(other, map, Access::Read));
        world
            .ask(program, Request::CreateEndpoint { object: B, slot: C }, &[ACCOUNT_SLOT])
            .unwrap();
        world.objects.kill(program.id).unwrap();
        world.reap();
        assert!(world.is_empty(other, A));
        assert!(!world.touch(other, map, Access::Read));
        // The first round leaves records for the next ones.
        let after = world.figures();
        assert_eq!(before.get_or_insert(after.clone()), &after);
    }
}

/// A145
#[test]
fn pages_are_mapped_before_they_are_touched() {
    let (mut world, program) = World::one();
    world.memory(program, 100, A);
    let start = world.map(program, A, 100, Rights::READ_WRITE);
    let populate = |page: usize, pages| Request::Populate { address: start + page * PAGE, pages };
    let pages = |pages| Ok(Answer::Pages { pages });
    assert_eq!(world.ask(program, populate(0, 100), &[SPACE_SLOT]), pages(64));
    assert_eq!(world.ask(program, populate(64, 36), &[SPACE_SLOT]), pages(36));
    let info = world.ask(program, Request::Info {}, &[A]).unwrap();
    assert!(matches!(info, Answer::Memory { committed: 100, mappings: 1, .. }), "{info:?}");
    assert!(world.fixture.mappings(program.id.space()).contains_key(&(start + 99 * PAGE)));
    // What is there already is no error.
    assert_eq!(world.ask(program, populate(10, 1), &[SPACE_SLOT]), pages(1));
}

/// Memory that may not be written is not written by anybody.
#[test]
fn memory_without_the_option_is_never_writable() {
    let (mut world, program) = World::one();
    let request = Request::CreateMemory { pages: 1, options: MemoryOptions::empty(), slot: A };
    world.ask(program, request, &[ACCOUNT_SLOT]).unwrap();
    let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ_WRITE };
    let beyond = Refusal::BeyondRights { asked: Rights::WRITE };
    world.refused(program, map, &[SPACE_SLOT, A, ACCOUNT_SLOT], beyond);
    let start = world.map(program, A, 1, Rights::READ);
    assert!(world.touch(program, start, Access::Read));
    assert!(!world.touch(program, start, Access::Write));
    assert_eq!(world.used(program, ACCOUNT_SLOT).of(Resource::Spaces), 1);
}

/// A163: where one call may clear but little, all that is promised can be touched still.
#[test]
fn what_is_promised_is_cleared_when_it_is_touched() {
    let (mut world, program) = World::one();
    world.fixture.vmm.limit_clearing(PAGE);
    world.memory(program, 300, A);
    let start = world.map(program, A, 300, Rights::READ_WRITE);
    let own = world.fixture.own();
    let direct = world.fixture.vmm.map(own, &vmm::RegionOptions::new(300));
    assert!(matches!(
        direct,
        Err(vmm::Error::Allocator(vmm::AllocatorError::NeedsClearing { .. }))
    ));
    for page in 0..300 {
        assert!(world.touch(program, start + page * PAGE, Access::Write), "page {page}");
    }
}

/// A352: a service starts, with all its records, where one call may clear but a page and nothing
/// was cleared before.
#[test]
fn a_service_starts_on_memory_that_was_never_cleared() {
    let machine = Machine { most_cleared: PAGE, ..Machine::roomy(Target::Ia32) };
    let mut fixture = Fixture::new(machine);
    // What is cleared is so in words.
    fixture.kernel().bound_calls(None);
    let endpoint = fixture.vmm.allocate(vmm::Blueprint::Endpoint).unwrap().slot();
    let amounts = protocol::Amounts([1000, 100, 1000, 50, 20, 400, 1000, 1]);
    let objects = Objects::new(&mut fixture.vmm, endpoint, amounts).unwrap();
    objects.validate(&fixture.vmm).unwrap();
    objects.close(&mut fixture.vmm).unwrap();
    fixture.check();
}

/// A169: a mapping's pages come when they are touched, so it lies where touches are told.
#[cfg(target_pointer_width = "64")]
#[test]
fn mappings_lie_where_the_kernel_tells_the_address_of_a_touch() {
    let mut world = World::on(Target::X86_64);
    let program = world.program(AMPLE);
    let memory = Request::CreateMemory { pages: 4, options: MemoryOptions::WRITABLE, slot: A };
    world.ask(program, memory, &[ACCOUNT_SLOT]).unwrap();
    let rights = Rights::READ_WRITE;
    let slots = [SPACE_SLOT, A, ACCOUNT_SLOT];
    let (end, high) = (Target::X86_64.fault_end(), 0x5000_0000_0000);
    for (address, first_bad) in [(high, high), (end, end), (end - 3 * PAGE, end)] {
        let map = Request::Map { address, first: 0, pages: 4, rights };
        world.refused(program, map, &slots, Refusal::BadAddress { address: first_bad });
    }
    let map = Request::Map { address: end - 4 * PAGE, first: 0, pages: 4, rights };
    assert_eq!(world.ask(program, map, &slots), Ok(Answer::Mapped { address: end - 4 * PAGE }));
    assert!(world.touch(program, end - 1, Access::Write));
    // Anywhere is below, too.
    let start = world.map(program, A, 4, rights);
    assert!(start + 4 * PAGE <= end && world.touch(program, start, Access::Write), "{start:#x}");
}

/// A108: nobody touches pages in the store, so that clones, and what is cloned, lie anywhere there.
#[cfg(target_pointer_width = "64")]
#[test]
fn memory_that_is_stored_above_4_gib_is_cloned_and_grows() {
    let all = protocol::Amounts([4 << 20, 40_000, 20_000, 500, 200, 4000, 10_000, 0]);
    let mut machine = Machine::roomy(Target::X86_64);
    machine.config.ram.push((1 << 34, 34));
    let mut world = World::booted(machine, all);
    let ample = AMPLE.with(Resource::Pages, 3 << 20).with(Resource::Tables, 20_000);
    let program = world.program(ample);
    let space = program.id.space();
    // All there is below.
    world.memory(program, 1 << 20, D);
    world.memory(program, 4, A);
    let start = world.map(program, A, 4, Rights::READ_WRITE);
    assert!(world.touch(program, start + PAGE, Access::Write));
    world.fixture.write(space, start + PAGE, 7);
    let stored = world.fixture.vmm.physical_address(space, start + PAGE).unwrap();
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    for (from, to) in [(A, B), (B, C)] {
        world.ask(program, Request::Clone { slot: to }, &[from, ACCOUNT_SLOT]).unwrap();
    }
    // It grows where it lies, or moves with what is under copy-on-write.
    world.finish(program, Request::Resize { pages: 200 }, &[B, ACCOUNT_SLOT]);
    world.check();
    let starts = [A, B, C].map(|memory| world.map(program, memory, 4, Rights::READ_WRITE));
    for (index, start) in starts.into_iter().enumerate() {
        assert!(world.touch(program, start + PAGE, Access::Read));
        assert_eq!(world.fixture.read(space, start + PAGE), 7);
        assert!(world.touch(program, start + PAGE, Access::Write));
        world.fixture.write(space, start + PAGE, 20 + index as u64);
    }
    for (index, start) in starts.into_iter().enumerate() {
        assert_eq!(world.fixture.read(space, start + PAGE), 20 + index as u64);
    }
    let pages =
        starts.map(|start| world.fixture.vmm.physical_address(space, start + PAGE).unwrap());
    assert!(pages[0] != pages[1] && pages[1] != pages[2] && pages[0] != pages[2]);
    assert!(pages.contains(&stored), "one of them has the page that was there");
    world.check();
}

/// A140: nothing of a memory object is left where its pages were, no record of its addresses either.
#[test]
fn a_memory_object_that_ends_leaves_its_addresses() {
    let (mut world, program) = World::one();
    world.memory(program, 3, A);
    let mut once = |pages| {
        world.memory(program, pages, B);
        world.finish(program, Request::Destroy {}, &[B]);
        world.fixture.vmm.stats().bookkeeping_bytes_used
    };
    let after = once(70);
    for pages in [1, 70, 1] {
        assert_eq!(once(pages), after);
    }
}

/// A147: a program's account pays a slot for each frame and kernel object that it has from the start,
/// one for a right to answer it, and one for each of its capabilities.
#[test]
fn a_program_pays_for_all_slots_that_it_has_from_the_start() {
    let (mut world, program) = World::one();
    let usage = world.fixture.vmm.usage(program.id.space()).unwrap();
    let [_, capabilities, ..] = world.objects.counts();
    let slots = usage.frames + usage.objects + 1 + capabilities;
    let used = world.used(program, ACCOUNT_SLOT).of(Resource::Slots);
    assert_eq!(used as usize, slots);
}
