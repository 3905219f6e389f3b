// SPDX-License-Identifier: BSD-2-Clause
//! What each request does, and each of its refusals.

use vmm_service::protocol::{
    Answer, MAX_PAGES, MAX_REGIONS, Malformed, Options, Refusal, RegionHandle, Request, Reserve,
    Rights, Statistics,
};
use vmm_service::{CLIENT_BADGE, Event};

#[cfg(target_pointer_width = "64")]
use crate::support::{Machine, Target};
use crate::world::{AMPLE, PAGE, World, plain, plain_reserve};

#[test]
fn memory_is_mapped_as_it_was_asked_for() {
    let (mut world, client, _) = World::two();
    let guarded = Request::Reserve(Reserve { guards: (1, 2), ..plain_reserve(3) });
    let (handle, first) = world.region(client, guarded);
    assert_eq!(first, handle.start + PAGE);
    assert_eq!(world.ask(client, Request::Map { start: first, pages: 3 }), Ok(Answer::Pages(3)));
    assert!(world.touch(client, first + 2 * PAGE, 5));
    assert!(!world.touch(client, first + 3 * PAGE, 5));
    let beyond = Request::Map { start: first + 3 * PAGE, pages: 1 };
    let address = first + 3 * PAGE;
    assert_eq!(world.ask(client, beyond), Err(Refusal::BadAddress { address }));
    let again = Request::Map { start: first, pages: 1 };
    assert_eq!(world.ask(client, again), Err(Refusal::AlreadyMapped { address: first }));
}

#[test]
fn long_work_is_cut_into_pieces() {
    let (mut world, client, _) = World::two();
    let (handle, first) = world.region(client, plain(3 * MAX_PAGES));
    for piece in 0..3 {
        let start = first + (piece * MAX_PAGES) as usize * PAGE;
        let pages = (3 - piece) * MAX_PAGES;
        let request = Request::Map { start, pages };
        assert_eq!(world.ask(client, request), Ok(Answer::Pages(MAX_PAGES)));
    }
    let request = Request::Protect { start: first, pages: 3 * MAX_PAGES, rights: Rights::READ };
    assert_eq!(world.ask(client, request), Ok(Answer::Pages(MAX_PAGES)));
    let request = Request::Unmap { start: first, pages: 2 * MAX_PAGES };
    assert_eq!(world.ask(client, request), Ok(Answer::Pages(MAX_PAGES)));
    for _ in 0..2 {
        let released = world.ask(client, Request::Release(handle));
        assert_eq!(released, Ok(Answer::Pages(MAX_PAGES)));
    }
    assert_eq!(world.ask(client, Request::Release(handle)), Ok(Answer::Done));
    assert_eq!(world.ask(client, Request::Release(handle)), Err(Refusal::NoSuchRegion));
}

#[test]
fn rights_stay_under_the_ceiling() {
    let (mut world, client, _) = World::two();
    let read = Rights::READ;
    let reserve = Reserve { rights: read, ceiling: read, ..plain_reserve(1) };
    let (_, first) = world.region(client, Request::Reserve(reserve));
    world.ask(client, Request::Map { start: first, pages: 1 }).unwrap();
    assert!(!world.touch(client, first, 1));
    let request = Request::Protect { start: first, pages: 1, rights: Rights::READ_WRITE };
    assert_eq!(world.ask(client, request), Err(Refusal::BeyondRights));
    let more = Reserve { ceiling: read, ..plain_reserve(1) };
    assert_eq!(world.ask(client, Request::Reserve(more)), Err(Refusal::BeyondRights));
}

#[test]
fn a_query_tells_of_the_senders_own_space() {
    let (mut world, client, other) = World::two();
    let reserve = Reserve { around: 4, guards: (1, 0), ..plain_reserve(4) };
    let (handle, first) = world.region(client, Request::Reserve(reserve));
    let query = Request::Query { address: first, next: false };
    let Ok(Answer::Info(info)) = world.ask(client, query) else { panic!("no region") };
    assert_eq!((info.region, info.pages, info.guards), (handle, 5, (1, 0)));
    assert_eq!((info.around, info.page), (4, None));
    world.ask(client, Request::Map { start: first, pages: 1 }).unwrap();
    let Ok(Answer::Info(info)) = world.ask(client, query) else { panic!("no region") };
    assert_eq!(info.page, Some(Rights::READ_WRITE));
    assert_eq!(world.ask(other, query), Ok(Answer::Done));
    let next = Request::Query { address: PAGE, next: true };
    assert!(matches!(world.ask(client, next), Ok(Answer::Info(next)) if next.region == handle));
    assert_eq!(world.ask(other, next), Ok(Answer::Done));
}

#[test]
fn a_region_of_anothers_is_not_to_be_named() {
    let (mut world, client, other) = World::two();
    let (handle, first) = world.memory(other, 2);
    assert!(world.touch(other, first, 7));
    for request in [
        Request::Release(handle),
        Request::Clone { region: handle, address: 0 },
        Request::Release(RegionHandle { start: 1, ..handle }),
        Request::Release(RegionHandle { start: usize::MAX, ..handle }),
    ] {
        assert_eq!(world.ask(client, request), Err(Refusal::NoSuchRegion));
    }
    let start = first;
    for request in [
        Request::Map { start, pages: 1 },
        Request::Unmap { start, pages: 1 },
        Request::Protect { start, pages: 1, rights: Rights::READ },
        Request::Offer { to: other.number(), start, pages: 1, rights: Rights::READ },
    ] {
        assert_eq!(world.ask(client, request), Err(Refusal::BadAddress { address: first }));
    }
    assert_eq!(world.fixture.read(other.space(), first as usize), 7);
}

#[test]
fn a_clone_sees_no_writes_and_neither_does_its_original() {
    let (mut world, client, _) = World::two();
    let (region, first) = world.memory(client, 2);
    assert!(world.touch(client, first, 1) && world.touch(client, first + PAGE, 2));
    let (_, copy) = world.region(client, Request::Clone { region, address: 0 });
    assert!(world.touch(client, copy, 3) && world.touch(client, first + PAGE, 4));
    let pages = [first, copy, first + PAGE, copy + PAGE];
    let found = pages.map(|page| world.fixture.read(client.space(), page as usize));
    assert_eq!(found, [1, 3, 4, 2]);
}

#[test]
fn a_stack_grows_as_it_is_touched() {
    let (mut world, client, _) = World::two();
    let options = Options::STACK;
    let stack = Reserve { options, around: 1, guards: (1, 0), ..plain_reserve(8) };
    let (_, first) = world.region(client, Request::Reserve(stack));
    assert!(world.touch(client, first + 7 * PAGE, 1));
    assert!(world.touch(client, first, 1));
    assert!(!world.touch(client, first - PAGE, 1));
}

#[test]
fn an_ipc_buffer_comes_with_no_slot_of_a_client_without_a_program() {
    let (mut world, client, _) = World::two();
    assert_eq!(world.ask(client, Request::IpcBuffer { slot: 3 }), Err(Refusal::BadSlot));
    let Ok(Answer::Address(address)) = world.ask(client, Request::IpcBuffer { slot: 0 }) else {
        panic!("no buffer");
    };
    assert!(world.touch(client, address, 1));
    let unmap = Request::Unmap { start: address, pages: 1 };
    assert_eq!(world.ask(client, unmap), Err(Refusal::WrongKind));
    let release = Request::ReleaseIpcBuffer { address };
    assert_eq!(world.ask(client, release), Ok(Answer::Done));
    assert_eq!(world.ask(client, release), Err(Refusal::NoSuchRegion));
    let (_, first) = world.memory(client, 1);
    let memory = Request::ReleaseIpcBuffer { address: first };
    assert_eq!(world.ask(client, memory), Err(Refusal::WrongKind));
}

#[test]
fn statistics_count_what_there_is() {
    let (mut world, client, _) = World::two();
    world.memory(client, 3);
    let Ok(Answer::Statistics(found)) = world.ask(client, Request::Statistics) else {
        panic!("no statistics");
    };
    let Statistics { mapped_pages, regions, tables, .. } = found;
    assert_eq!((mapped_pages, regions, tables), (3, 2, 1)); // the null page is a region
}

/// Regions are the service's memory: a client cannot use that up.
#[test]
fn a_client_has_only_so_many_regions() {
    let (mut world, client, other) = World::two();
    let refused = Err(Refusal::TooMuch { most: MAX_REGIONS });
    for _ in 1..MAX_REGIONS {
        world.ask(client, plain(1)).unwrap();
    }
    assert_eq!(world.ask(client, plain(1)), refused);
    world.ask(other, plain(1)).unwrap();
}

#[test]
fn a_message_with_a_capability_is_refused() {
    let (mut world, client, _) = World::two();
    let message = Request::Limits.encode();
    let outcome = world.send(client.badge(), message.label(), message.words(), 1);
    let answer = outcome.answer.unwrap();
    let refused = Err(Refusal::Malformed(Malformed::Capability));
    assert_eq!(Answer::parse(answer.label(), answer.words()), Ok(refused));
}

#[test]
fn nobody_is_not_answered() {
    let (mut world, client, _) = World::two();
    let message = Request::Limits.encode();
    for badge in [0, 1, client.number() as usize, CLIENT_BADGE, CLIENT_BADGE | 1, usize::MAX] {
        let outcome = world.send(badge, message.label(), message.words(), 0);
        assert!(outcome.answer.is_none() && outcome.event.is_none());
    }
}

#[test]
fn a_client_that_exits_is_not_answered_any_more() {
    let mut world = World::new();
    let before = world.free_bytes();
    let client = world.client(AMPLE, None);
    world.memory(client, 100);
    let message = Request::Exit { code: 3 }.encode();
    let outcome = world.send(client.badge(), message.label(), message.words(), 0);
    assert!(outcome.answer.is_none());
    assert_eq!(outcome.event, Some(Event::Exited(client, 3)));
    assert!(world.send(client.badge(), message.label(), message.words(), 0).event.is_none());
    assert!(world.work() >= 2, "100 pages in one piece");
    assert_eq!(world.free_bytes(), before);
}

/// A42. Its heap grows over the line between two page tables and shrinks, again and again: the
/// short way for consecutive pages once broke the list of empty tables by that, and with it the
/// server.
#[test]
fn a_heap_that_grows_and_shrinks_over_a_line_harms_nobody() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let line = 0x4040_0000;
    let start = line - 4 * PAGE;
    world.region(
        client,
        Request::Reserve(Reserve { address: start, around: 1, ..plain_reserve(8) }),
    );
    for _ in 0..4 {
        for page in 0..6 {
            assert!(world.touch(client, start + page as usize * PAGE, 7));
            world.fixture.check();
        }
        for (start, pages) in [(line, 2), (start, 4)] {
            let unmapped = world.ask(client, Request::Unmap { start, pages });
            assert_eq!(unmapped, Ok(Answer::Pages(pages)));
            world.fixture.check();
        }
    }
}

/// A169: what the kernel does not tell of a touch cannot be answered.
#[cfg(target_pointer_width = "64")]
#[test]
fn memory_that_touches_map_lies_where_the_kernel_tells_their_address() {
    let mut world = World::on(Machine::roomy(Target::X86_64));
    let client = world.client(AMPLE, None);
    let (end, high) = (Target::X86_64.fault_end(), 0x5000_0000_0000);
    let reserve =
        |address, around| Request::Reserve(Reserve { address, around, ..plain_reserve(4) });
    for (address, first_bad) in [(high, high), (end - 3 * PAGE, end)] {
        let refused = world.ask(client, reserve(address, 1));
        assert_eq!(refused, Err(Refusal::BadAddress { address: first_bad }));
    }
    // Mapped by request it may lie there, but a clone of it would be copied by faults.
    let (above, _) = world.region(client, reserve(high, 0));
    let map = Request::Map { start: high, pages: 1 };
    assert_eq!(world.ask(client, map), Ok(Answer::Pages(1)));
    let clone = world.ask(client, Request::Clone { region: above, address: 0 });
    assert_eq!(clone, Err(Refusal::BadAddress { address: high }));
    let (_, lazy) = world.region(client, reserve(0, 1));
    assert!(lazy + 4 * PAGE <= end, "{lazy:#x}");
    assert!(world.touch(client, lazy, 3));
}
