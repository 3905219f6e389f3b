// SPDX-License-Identifier: BSD-2-Clause
//! IPC buffers and stacks.

use vmm::{Blueprint, CachePolicy, Error, Pages, Placement, RegionOptions, Rights, TlsImage};
use vmm_tests::model::{AccessFault, Cap};
use vmm_tests::support::{in_guard, no_room, without_amounts, wrong_kind};

use crate::support::{Fixture, PAGE, Snapshot, Target, on_each};

on_each!(
    an_ipc_buffer_has_a_frame_of_its_own,
    with_an_unmapped_page_on_either_side,
    a_thread_is_given_the_capability_that_is_mapped,
    releasing_takes_the_buffer_from_the_thread,
    the_frame_of_a_released_buffer_is_clear_for_its_next_owner,
    a_buffer_is_not_touched_otherwise,
    packed_buffers_share_a_page_and_no_byte,
    a_stack_has_guards,
    buffers_follow_each_other_in_arenas,
    an_arena_goes_with_its_last_buffer,
    an_address_is_not_handed_out_twice,
    where_addresses_are_short_one_buffer_does,
    what_is_no_arena_gives_no_buffer,
    thread_local_storage_lies_where_any_linker_wants_it,
    a_buffer_takes_no_more_than_its_page_with_it,
    a_buffer_is_memory_like_any_other_that_can_be_written,
);

/// A12.
fn an_ipc_buffer_has_a_frame_of_its_own(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let buffers: Vec<_> =
        (0..6).map(|_| host.vmm.allocate_ipc_buffer(own).expect("memory")).collect();
    let mapped = host.mappings(own);
    let mut frames: Vec<usize> =
        buffers.iter().map(|buffer| mapped[&buffer.address()].paddr).collect();
    for buffer in &buffers {
        assert_eq!(buffer.address() % PAGE, 0);
        assert_eq!(mapped[&buffer.address()].rights, Rights::READ_WRITE);
        let Cap::Frame { base, device: false, .. } = host.kernel().cap(buffer.frame()) else {
            panic!("its capability is no frame of RAM");
        };
        assert_eq!(base, mapped[&buffer.address()].paddr);
    }
    frames.sort();
    frames.dedup();
    assert_eq!(frames.len(), 6, "six frames");
    host.check();
}

/// A5, A12.
fn with_an_unmapped_page_on_either_side(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    for _ in 0..3 {
        host.vmm.allocate_ipc_buffer(own).expect("memory");
        host.vmm.map(own, &RegionOptions::new(1)).expect("memory");
    }
    let buffer = host.vmm.allocate_ipc_buffer(own).expect("memory").address();
    let vspace = host.vmm.vspace(own).expect("a space");
    for vaddr in [buffer - 1, buffer - PAGE, buffer + PAGE, buffer + 2 * PAGE - 1] {
        let read = host.kernel().read(vspace, vaddr, &mut [0]);
        assert_eq!(read, Err(AccessFault::NotMapped { vaddr }));
    }
}

fn a_thread_is_given_the_capability_that_is_mapped(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let thread = host.vmm.allocate(Blueprint::Tcb).expect("memory");
    let buffer = host.vmm.allocate_ipc_buffer(own).expect("memory");
    host.vmm.set_ipc_buffer(thread.slot(), buffer).expect("a thread and a buffer");
    let view = host.kernel().tcb(thread.slot()).expect("a thread");
    assert_eq!(view.ipc_buffer, buffer.address());
    let paddr = host.mappings(own)[&buffer.address()].paddr;
    assert!(matches!(view.ipc_frame, Cap::Frame { base, .. } if base == paddr));
}

/// A12.
fn releasing_takes_the_buffer_from_the_thread(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let thread = host.vmm.allocate(Blueprint::Tcb).expect("memory");
    let before = Snapshot::settled(&mut host);
    let buffer = host.vmm.allocate_ipc_buffer(own).expect("memory");
    host.vmm.set_ipc_buffer(thread.slot(), buffer).expect("a thread and a buffer");
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    assert_eq!(host.kernel().tcb(thread.slot()).expect("a thread").ipc_frame, Cap::Null);
    before.assert_same(&Snapshot::settled(&mut host));
    let error = Error::NoSuchIpcBuffer { address: buffer.address() };
    host.refuses(error, |vmm| vmm.release_ipc_buffer(buffer));
    host.refuses(error, |vmm| vmm.set_ipc_buffer(thread.slot(), buffer));
}

/// A3, A12.
fn the_frame_of_a_released_buffer_is_clear_for_its_next_owner(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    // One frame of the batch stays in use, so that the batch is not given back.
    let buffers: Vec<_> =
        (0..4).map(|_| host.vmm.allocate_ipc_buffer(own).expect("memory")).collect();
    buffers.iter().for_each(|buffer| host.write(own, buffer.address(), 9));
    for buffer in &buffers[1..] {
        host.vmm.release_ipc_buffer(*buffer).expect("a buffer");
    }
    let region = host.vmm.map(own, &RegionOptions::new(40)).expect("memory").start().bits();
    assert!((0..40).all(|page| host.read(own, region + page * PAGE) == 0));
    assert_eq!(host.read(own, buffers[0].address()), 9);
    host.check();
}

fn a_buffer_is_not_touched_otherwise(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let buffer = host.vmm.allocate_ipc_buffer(own).expect("memory");
    let (region, at) = (buffer.region(), buffer.address());
    let error = wrong_kind(region);
    host.refuses(error, |vmm| vmm.release(region));
    host.refuses(error, |vmm| vmm.unmap(own, Pages::at(at)));
    host.refuses(error, |vmm| vmm.protect(own, Pages::at(at), Rights::READ));
    host.refuses(error, |vmm| vmm.populate(own, Pages::at(at)));
    host.refuses(error, |vmm| vmm.split_region(region, 1));
    host.refuses(error, |vmm| vmm.move_region(region, Placement::anywhere()));
}

fn packed_buffers_share_a_page_and_no_byte(target: Target) {
    let bytes = target.ipc_buffer_bytes();
    let in_a_page = PAGE / bytes;
    let mut host = Fixture::small(target);
    let own = host.own();
    let before = Snapshot::settled(&mut host);
    let buffers: Vec<_> = (0..in_a_page + 1)
        .map(|_| host.vmm.allocate_packed_ipc_buffer(own).expect("memory"))
        .collect();
    let mut addresses: Vec<usize> = buffers.iter().map(|buffer| buffer.address()).collect();
    assert_eq!(host.mappings(own).len(), 2, "one is in a second page");
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), in_a_page + 1);
    assert!(addresses.iter().all(|address| address % bytes == 0));
    host.check();
    for buffer in buffers {
        host.vmm.release_ipc_buffer(buffer).expect("a buffer");
        let again = host.vmm.release_ipc_buffer(buffer);
        assert_eq!(again, Err(Error::NoSuchIpcBuffer { address: buffer.address() }));
        host.check();
    }
    before.assert_same(&Snapshot::settled(&mut host));
}

/// A5.
fn a_stack_has_guards(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let before = Snapshot::settled(&mut host);
    let stack = host.vmm.allocate_stack(own, 3, "stack").expect("memory");
    assert_eq!(stack.top() - stack.bottom(), 3 * PAGE);
    let mapped: Vec<usize> = host.mappings(own).into_keys().collect();
    assert_eq!(mapped, (stack.bottom()..stack.top()).step_by(PAGE).collect::<Vec<_>>());
    for guard in [stack.bottom() - PAGE, stack.top()] {
        let region = host.vmm.region_at(own, guard).expect("a space").expect("a region");
        assert_eq!(region.id, stack.region());
        let error = in_guard(guard);
        host.refuses(error, |vmm| vmm.populate(own, Pages::at(guard)));
    }
    host.vmm.release(stack.region()).expect("a stack");
    before.assert_same(&Snapshot::settled(&mut host));
}

/// Buffers of an arena: 1 MiB of addresses, a guard below each and one above the last.
const ARENA: usize = 127;

fn buffers_follow_each_other_in_arenas(target: Target) {
    let mut host = Fixture::roomy(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let buffers: Vec<_> = (0..2 * ARENA + 1)
        .map(|_| {
            let buffer = host.vmm.allocate_ipc_buffer(space).expect("memory");
            host.vmm.validate().expect("I15, and all others");
            buffer
        })
        .collect();
    assert_eq!(host.vmm.usage(space).expect("a space").frames, buffers.len());
    let mapped = host.mappings(space);
    assert_eq!(mapped.len(), buffers.len());
    host.assert_no_frame_twice(&[space]);
    for arena in buffers.chunks(ARENA) {
        for (index, buffer) in arena.iter().enumerate() {
            assert_eq!(buffer.region(), arena[0].region());
            assert_eq!(buffer.address(), arena[0].address() + 2 * index * PAGE);
            assert_eq!(mapped[&buffer.address()].rights, Rights::READ_WRITE);
            for guard in [buffer.address() - PAGE, buffer.address() + PAGE] {
                assert!(!mapped.contains_key(&guard), "{guard:#x} is no guard");
            }
        }
    }
    assert_ne!(buffers[0].region(), buffers[ARENA].region());
    host.check();
}

fn an_arena_goes_with_its_last_buffer(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    // A batch of frames that stays, so that no other is made.
    host.vmm.map(own, &RegionOptions::new(1)).expect("memory");
    let before = Snapshot::settled(&mut host);
    let mut buffers: Vec<_> =
        (0..ARENA + 3).map(|_| host.vmm.allocate_ipc_buffer(own).expect("memory")).collect();
    // From the middle outwards, so that runs are cut and come to nothing.
    while !buffers.is_empty() {
        let buffer = buffers.remove(buffers.len() / 2);
        host.vmm.release_ipc_buffer(buffer).expect("a buffer");
        host.vmm.validate().expect("I15, and all others");
        let error = Error::NoSuchIpcBuffer { address: buffer.address() };
        host.refuses(error, |vmm| vmm.release_ipc_buffer(buffer));
        let left = buffers.iter().any(|other| other.region() == buffer.region());
        assert_eq!(host.vmm.region_info(buffer.region()).is_ok(), left);
    }
    before.assert_same(&Snapshot::settled(&mut host));
}

fn an_address_is_not_handed_out_twice(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let thread = host.vmm.allocate(Blueprint::Tcb).expect("memory");
    let stays = host.vmm.allocate_ipc_buffer(own).expect("memory");
    let mut old = Vec::new();
    for _ in 0..2 * ARENA {
        let buffer = host.vmm.allocate_ipc_buffer(own).expect("memory");
        assert!(!old.contains(&buffer.address()), "{:#x} was somebody's", buffer.address());
        if buffer.region() == stays.region() {
            old.push(buffer.address());
        }
        host.vmm.release_ipc_buffer(buffer).expect("a buffer");
        let error = Error::NoSuchIpcBuffer { address: buffer.address() };
        host.refuses(error, |vmm| vmm.set_ipc_buffer(thread.slot(), buffer));
    }
    assert_eq!(old.len(), ARENA - 1);
    host.vmm.release_ipc_buffer(stays).expect("a buffer");
    host.check();
}

fn where_addresses_are_short_one_buffer_does(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    // All holes are filled but for three pages.
    let hole = host.vmm.reserve(own, &RegionOptions::new(3)).expect("room");
    let mut pages = host.vmm.geometry().user_end / PAGE;
    while pages != 0 {
        if host.vmm.reserve(own, &RegionOptions::new(pages)).is_err() {
            pages /= 2;
        }
    }
    host.vmm.release(hole).expect("it is reserved");
    let buffer = host.vmm.allocate_ipc_buffer(own).expect("three pages");
    assert_eq!(buffer.address(), hole.start().bits() + PAGE);
    assert_eq!(host.vmm.region_info(buffer.region()).expect("a region").range.pages(), 3);
    let none = host.vmm.allocate_ipc_buffer(own);
    assert_eq!(none.map_err(without_amounts), Err(no_room(3, 12)));
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    let again = host.vmm.allocate_ipc_buffer(own).expect("three pages");
    assert_eq!(again.address(), buffer.address());
    host.check();
}

fn what_is_no_arena_gives_no_buffer(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let first = host.vmm.allocate_ipc_buffer(own).expect("memory");
    // The guard between two buffers belongs to neither, and to no caller.
    let second = host.vmm.allocate_ipc_buffer(own).expect("memory");
    let guard = first.address() + PAGE;
    let error = wrong_kind(first.region());
    host.refuses(error, |vmm| vmm.populate(own, Pages::at(guard)));
    host.refuses(error, |vmm| vmm.ipc_buffer_in(first.region(), first.address()));
    assert_eq!(host.vmm.mapping_at(own, guard), Ok(None));
    let found = host.vmm.mapping_at(own, second.address() + 5).expect("an address");
    assert_eq!(found.map(|page| page.page), Some(second.address()));
    assert_eq!(found.map(|page| page.frame), Some(second.frame()));
}

/// Where the first variable lies, seen from the thread pointer, how many bytes there are of all
/// variables, and how many of its own address at the thread pointer.
fn tls_block(target: Target, image: &TlsImage<'_>) -> (isize, usize, usize) {
    let TlsImage { memory_bytes, align, address, .. } = *image;
    match target.tls_words() {
        None => {
            let below = (memory_bytes..).find(|below| (address + below) % align == 0);
            let below = below.expect("one of the next");
            (-(below as isize), below, target.word_bytes())
        }
        Some(words) => {
            let least = words * target.word_bytes();
            let above = (least..).find(|above| above % align == address % align);
            (above.expect("one of the next") as isize, memory_bytes, 0)
        }
    }
}

/// A43, A225: the thread pointer is aligned, the first variable is at its address in the program
/// modulo the alignment, no place nearer to the thread pointer would do, and all else is zero.
fn thread_local_storage_lies_where_any_linker_wants_it(target: Target) {
    let mut host = Fixture::small(target);
    let word = target.word_bytes();
    let spaces = [host.own(), host.vmm.create_space().expect("a space")];
    for align in [1, 2, 4, 32, 4096] {
        for address in [0x804_9000, 0x804_9001, 0x804_9014, 0x804_9fff] {
            for memory_bytes in [3, 20, 4095, 4097] {
                let init = &b"variables"[..memory_bytes.min(9)];
                let image = TlsImage { init, memory_bytes, align, address };
                let (from, bytes, own) = tls_block(target, &image);
                for space in spaces {
                    let tls = host.vmm.allocate_tls(space, &image, "tls").expect("memory");
                    let pointer = tls.thread_pointer();
                    assert_eq!((pointer % align, pointer % word), (0, 0), "{image:?}");
                    let vspace = host.vmm.vspace(space).expect("a space");
                    let mut found = vec![1; bytes];
                    let first = pointer.wrapping_add_signed(from);
                    host.kernel().read(vspace, first, &mut found).expect("mapped");
                    let rest = &found[init.len()..];
                    assert_eq!(&found[..init.len()], init, "{image:?}");
                    assert!(rest.iter().all(|&byte| byte == 0), "{image:?}");
                    let mut at_pointer = [1; 8];
                    host.kernel().read(vspace, pointer, &mut at_pointer[..own]).expect("mapped");
                    assert_eq!(at_pointer[..own], pointer.to_le_bytes()[..own], "{image:?}");
                    let region = host.vmm.region_at(space, pointer).expect("a space");
                    host.vmm.release(region.expect("a region").id).expect("a region");
                }
            }
        }
    }
    host.check();
}

/// A60.
fn a_buffer_takes_no_more_than_its_page_with_it(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let at = 0x4000_0000;
    let memory = host.vmm.map(own, &RegionOptions::new(3).at(at).guarded(1, 1)).expect("memory");
    let more = Error::NotOnePage { region: memory, pages: 3 };
    for page in 0..3 {
        host.refuses(more, |vmm| vmm.ipc_buffer_in(memory, at + page * PAGE));
    }
    for pages in [1, 2] {
        let stack = host.vmm.allocate_stack(own, pages, "thread").expect("memory");
        let wrong = wrong_kind(stack.region());
        host.refuses(wrong, |vmm| vmm.ipc_buffer_in(stack.region(), stack.bottom()));
    }
    // What is mapped of it counts for nothing.
    host.vmm.unmap(own, Pages::at(at).count(2)).expect("mapped");
    host.refuses(more, |vmm| vmm.ipc_buffer_in(memory, at + 2 * PAGE));
    // Of one page, the guards not counted.
    let upper = host.vmm.split_region(memory, 2).expect("two and one");
    let buffer = host.vmm.ipc_buffer_in(upper, at + 2 * PAGE + 1024).expect("one page");
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    assert_eq!(host.vmm.region_at(own, at + 2 * PAGE), Ok(None), "it went with the buffer");
    let lower = host.vmm.region_info(memory).expect("it is there still");
    assert_eq!(lower.range.pages(), 3, "a guard and two pages");
    host.check();
}

/// A60: the kernel writes messages into it by a mapping of its own, which is cached.
fn a_buffer_is_memory_like_any_other_that_can_be_written(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let one = RegionOptions::new(1);
    let mut at = 0x4000_0000;
    for cache in [CachePolicy::Uncached, CachePolicy::WriteThrough, CachePolicy::WriteCombining] {
        let region = host.vmm.map(own, &one.at(at).cached(cache)).expect("memory");
        host.refuses(Error::BadIpcBuffer { address: at }, |vmm| vmm.ipc_buffer_in(region, at));
        at += PAGE;
    }
    for rights in [Rights::READ, Rights::empty()] {
        let region = host.vmm.map(own, &one.at(at).rights(rights)).expect("memory");
        host.refuses(Error::BadIpcBuffer { address: at }, |vmm| vmm.ipc_buffer_in(region, at));
        at += PAGE;
    }
    let region = host.vmm.map(own, &one.at(at)).expect("memory");
    let aligned = target.ipc_buffer_bytes();
    for byte in [1, 4, 256, 511, aligned / 2, aligned - 1, aligned + 1] {
        let address = at + byte;
        host.refuses(Error::BadIpcBuffer { address }, |vmm| vmm.ipc_buffer_in(region, address));
    }
    let buffer = host.vmm.ipc_buffer_in(region, at + aligned).expect("memory like any other");
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    host.check();
}
