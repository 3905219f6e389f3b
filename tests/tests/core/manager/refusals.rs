// SPDX-License-Identifier: BSD-2-Clause
//! Bad input: an error of its own for each, with the offending value; everything is as it was, no
//! kernel call was made, and everything still works.

use vmm::{
    AddressError, Blueprint, CPtr, Error, Name, Occupant, PageSize, Pages, Placement,
    RegionOptions, Rights, ShareOptions, SpaceId, ThreadOptions, TlsImage,
};
use vmm_tests::support::{
    already_mapped, beyond_ceiling, in_guard, no_room, not_mapped, outside_region, wrong_kind,
};

use super::{FREE, tagged};
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    ranges_that_are_no_ranges,
    ranges_that_leave_their_region,
    ranges_with_holes_and_without,
    rights_beyond_the_ceiling,
    ids_that_are_stale_foreign_or_of_another_kind,
    spaces_that_are_not_there_or_in_use,
    more_memory_than_there_is,
    more_memory_than_other_objects_leave,
    more_room_than_there_is,
    large_pages_that_cannot_be,
    large_pages_that_are_shared_are_not_cut,
    ids_that_were_given_back_before,
    memory_that_is_not_ours_to_share,
    thread_storage_that_cannot_be,
    what_the_region_is_called,
);

/// A11.
fn ranges_that_are_no_ranges(target: Target) {
    let mut host = Fixture::small(target);
    let (own, end) = (host.own(), target.user_end());
    let too_many = usize::MAX / PAGE;
    for (start, pages, error) in [
        (FREE + 1, 1, AddressError::Misaligned { address: FREE + 1, bits: 12 }),
        (FREE, 0, AddressError::Empty { address: FREE }),
        (FREE, too_many, AddressError::Wraps { address: FREE, pages: too_many }),
        (FREE, usize::MAX, AddressError::Wraps { address: FREE, pages: usize::MAX }),
        (end, 1, AddressError::OutsideUserSpace { address: end + PAGE, end }),
        (end - PAGE, 2, AddressError::OutsideUserSpace { address: end + PAGE, end }),
    ] {
        let error = Error::Address(error);
        host.refuses(error, |vmm| vmm.populate(own, Pages::at(start).count(pages)));
        host.refuses(error, |vmm| vmm.unmap(own, Pages::at(start).count(pages)));
        host.refuses(error, |vmm| vmm.protect(own, Pages::at(start).count(pages), Rights::READ));
        let options = ShareOptions::new();
        host.refuses(error, |vmm| vmm.share(own, Pages::at(start).count(pages), own, &options));
    }
    let misaligned = AddressError::Misaligned { address: FREE + PAGE, bits: 16 };
    let options = RegionOptions::new(1).at(FREE + PAGE).aligned(16);
    host.refuses(misaligned.into(), |vmm| vmm.map(own, &options));
    let empty = AddressError::Empty { address: FREE };
    host.refuses(empty.into(), |vmm| vmm.map(own, &RegionOptions::new(0).at(FREE)));
    let outside = AddressError::OutsideUserSpace { address: end + 8 * PAGE, end };
    host.refuses(outside.into(), |vmm| vmm.map(own, &RegionOptions::new(8).at(end)));
    let below = RegionOptions::new(1).at(0).guarded(1, 0);
    host.refuses(in_guard(0), |vmm| vmm.map(own, &below));
    host.refuses(AddressError::OutsideUserSpace { address: end, end }.into(), |vmm| {
        vmm.region_at(own, end)
    });
    tagged(&mut host, FREE, 2);
}

/// A11, I3.
fn ranges_that_leave_their_region(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 4);
    tagged(&mut host, FREE + 4 * PAGE, 4);
    host.vmm.map(own, &RegionOptions::new(2).at(FREE + 0x10_0000).guarded(1, 1)).expect("memory");
    let guarded = FREE + 0x10_0000;
    for (start, pages, error) in [
        (FREE - PAGE, 2, outside_region(FREE - PAGE)),
        (FREE + 2 * PAGE, 4, outside_region(FREE + 4 * PAGE)),
        (guarded - PAGE, 1, in_guard(guarded - PAGE)),
        (guarded, 3, in_guard(guarded + 2 * PAGE)),
        (guarded + 2 * PAGE, 1, in_guard(guarded + 2 * PAGE)),
    ] {
        host.refuses(error, |vmm| vmm.unmap(own, Pages::at(start).count(pages)));
        host.refuses(error, |vmm| vmm.populate(own, Pages::at(start).count(pages)));
        host.refuses(error, |vmm| vmm.protect(own, Pages::at(start).count(pages), Rights::READ));
        host.refuses(error, |vmm| {
            vmm.share(own, Pages::at(start).count(pages), own, &ShareOptions::new())
        });
    }
    host.vmm.unmap(own, Pages::at(FREE).count(4)).expect("everything still works");
}

/// A11.
fn ranges_with_holes_and_without(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 6);
    host.vmm.unmap(own, Pages::at(FREE + 3 * PAGE)).expect("mapped");
    let hole = not_mapped(FREE + 3 * PAGE);
    host.refuses(hole, |vmm| vmm.unmap(own, Pages::at(FREE).count(6)));
    host.refuses(hole, |vmm| vmm.protect(own, Pages::at(FREE + 2 * PAGE).count(3), Rights::READ));
    host.refuses(hole, |vmm| vmm.share(own, Pages::at(FREE).count(6), own, &ShareOptions::new()));
    let taken = already_mapped(FREE + 4 * PAGE);
    host.refuses(taken, |vmm| vmm.populate(own, Pages::at(FREE + 3 * PAGE).count(2)));
    host.vmm.populate(own, Pages::at(FREE + 3 * PAGE)).expect("everything still works");
}

/// A4, A11, I2.
fn rights_beyond_the_ceiling(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let read_only = RegionOptions::new(2).at(FREE).rights(Rights::READ).ceiling(Rights::READ);
    host.vmm.map(own, &read_only).expect("memory");
    let ceiling = Rights::READ;
    let error = beyond_ceiling(Rights::READ_WRITE, ceiling);
    host.refuses(error, |vmm| vmm.protect(own, Pages::at(FREE), Rights::READ_WRITE));
    let more = ShareOptions::new().ceiling(Rights::READ_WRITE);
    host.refuses(error, |vmm| vmm.share(own, Pages::at(FREE), own, &more));
    host.refuses(error, |vmm| vmm.share(own, Pages::at(FREE), own, &ShareOptions::new()));
    let all = beyond_ceiling(Rights::all(), Rights::READ_WRITE_EXECUTE);
    host.refuses(all, |vmm| vmm.map(own, &RegionOptions::new(1).rights(Rights::all())));
    host.refuses(all, |vmm| vmm.map(own, &RegionOptions::new(1).ceiling(Rights::all())));
    // A107: what was not to be run cannot be made so, unless that was said.
    let plain = host.vmm.map(own, &RegionOptions::new(1)).expect("memory").start().bits();
    let run = beyond_ceiling(Rights::READ_EXECUTE, Rights::READ_WRITE);
    host.refuses(run, |vmm| vmm.protect(own, Pages::at(plain), Rights::EXECUTE));
    let later = RegionOptions::new(1).ceiling(Rights::READ_WRITE_EXECUTE);
    let later = host.vmm.map(own, &later).expect("memory").start().bits();
    host.vmm.protect(own, Pages::at(later), Rights::READ_EXECUTE).expect("that was said");
    host.vmm.protect(own, Pages::at(FREE), Rights::empty()).expect("fewer are fine");
}

/// A11.
fn ids_that_are_stale_foreign_or_of_another_kind(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let mut other = Fixture::small(target);
    tagged(&mut other, FREE + 0x10_0000, 1);
    let foreign = tagged(&mut other, FREE, 2);
    let stale = tagged(&mut host, FREE, 2);
    host.vmm.release(stale).expect("a region");
    for id in [stale, foreign] {
        let error = Error::NoSuchRegion(id);
        host.refuses(error, |vmm| vmm.release(id));
        host.refuses(error, |vmm| vmm.region_info(id));
        host.refuses(error, |vmm| vmm.split_region(id, 1));
        host.refuses(error, |vmm| vmm.merge_regions(id, id));
        host.refuses(error, |vmm| vmm.move_region(id, Placement::anywhere()));
        host.refuses(error, |vmm| vmm.clone_region(id, own, Placement::anywhere()));
        host.refuses(error, |vmm| vmm.map(own, &RegionOptions::new(1).inside(id)));
        host.refuses(error, |vmm| vmm.large_pages_in(id));
    }
    let image = host.vmm.region_at(own, target.image()).expect("a space").expect("the image").id;
    let error = wrong_kind(image);
    host.refuses(error, |vmm| vmm.release(image));
    host.refuses(error, |vmm| vmm.unmap(own, Pages::at(target.image())));
    host.refuses(error, |vmm| vmm.protect(own, Pages::at(target.image()), Rights::READ));
    host.refuses(error, |vmm| vmm.split_region(image, 1));
    let memory = tagged(&mut host, FREE, 2);
    let inside = RegionOptions::new(1).inside(memory);
    host.refuses(wrong_kind(memory), |vmm| vmm.map(own, &inside));
    let region = tagged(&mut host, FREE + 4 * PAGE, 2);
    let apart = outside_region(FREE + 4 * PAGE);
    host.refuses(apart, |vmm| vmm.merge_regions(memory, region));
    let whole = outside_region(FREE + 2 * PAGE);
    host.refuses(whole, |vmm| vmm.split_region(memory, 2));
    host.refuses(outside_region(FREE), |vmm| vmm.split_region(memory, 0));
    host.vmm.release(memory).expect("everything still works");
}

/// A11.
fn spaces_that_are_not_there_or_in_use(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let none = SpaceId::from_parts(77, 77);
    let error = Error::NoSuchSpace(none);
    let options = RegionOptions::new(1);
    tagged(&mut host, FREE, 1);
    host.refuses(error, |vmm| vmm.map(none, &options));
    host.refuses(error, |vmm| vmm.reserve(none, &options));
    host.refuses(error, |vmm| vmm.create_reservation(none, &options));
    host.refuses(error, |vmm| vmm.populate(none, Pages::at(FREE)));
    host.refuses(error, |vmm| vmm.unmap(none, Pages::at(FREE)));
    host.refuses(error, |vmm| vmm.protect(none, Pages::at(FREE), Rights::READ));
    host.refuses(error, |vmm| vmm.share(own, Pages::at(FREE), none, &ShareOptions::new()));
    host.refuses(error, |vmm| vmm.destroy_space(none));
    host.refuses(error, |vmm| vmm.allocate_ipc_buffer(none));
    host.refuses(error, |vmm| vmm.allocate_stack(none, 1, ""));
    host.refuses(error, |vmm| vmm.space_stats(none));
    host.refuses(error, |vmm| vmm.vspace(none));
    host.refuses(Error::OwnSpace(own), |vmm| vmm.destroy_space(own));
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let buffer = host.vmm.allocate_ipc_buffer(space).expect("memory");
    host.refuses(Error::SpaceInUse { space, threads: 1 }, |vmm| vmm.destroy_space(space));
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    host.vmm.destroy_space(space).expect("everything still works");
    host.spaces.pop();
    host.refuses(Error::NoSuchSpace(space), |vmm| vmm.destroy_space(space));
}

/// A113.
fn more_memory_than_there_is(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 16)]));
    let own = host.own();
    let before = host.vmm.stats().free_bytes();
    let options = RegionOptions::new(17).at(FREE);
    let error = host.vmm.map(own, &options).expect_err("there are 16 pages");
    let free_bytes = match error {
        Error::Allocator(untyped_alloc::Error::OutOfMemory {
            size_bits: 12,
            bytes,
            free_bytes,
        }) => {
            assert_eq!(bytes, 17 * PAGE, "what was asked for");
            free_bytes
        }
        other => panic!("{other:?}"),
    };
    assert!((14 * PAGE..=16 * PAGE).contains(&free_bytes), "{free_bytes}");
    let told = format!("out of memory: 69632 bytes are wanted, and {free_bytes} are free");
    assert_eq!(error.to_string(), told);
    host.check();
    assert!(host.mappings(own).is_empty());
    host.vmm.trim().expect("trimming");
    assert_eq!(host.vmm.stats().free_bytes(), before);
    tagged(&mut host, FREE, 8);
}

/// A113: also where that is found out when some of it was there already.
fn more_memory_than_other_objects_leave(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 20)]));
    let own = host.own();
    let objects: Vec<_> =
        (0..200).map(|_| host.vmm.allocate(Blueprint::Tcb).expect("memory")).collect();
    let free = host.vmm.stats().allocator.free_bytes();
    let error = host.vmm.map(own, &RegionOptions::new(250).at(FREE)).expect_err("too much");
    let Error::Allocator(untyped_alloc::Error::OutOfMemory { bytes, free_bytes, .. }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(bytes, 250 * PAGE, "what was asked for");
    // Some pages of it went for page tables and nodes.
    assert!((free / 2..=free).contains(&free_bytes), "{free_bytes} of {free}");
    assert!(host.mappings(own).is_empty());
    // With contents as without.
    let region = host.vmm.reserve(own, &RegionOptions::new(250).at(FREE)).expect("room");
    let error = host.vmm.populate_from(own, FREE, &vec![1; 250 * PAGE]).expect_err("too much");
    let Error::Allocator(untyped_alloc::Error::OutOfMemory { bytes, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(bytes, 250 * PAGE, "what was asked for");
    assert!(host.mappings(own).is_empty());
    host.vmm.release(region).expect("a region");
    objects.into_iter().for_each(|object| host.vmm.free(object).expect("an object"));
    host.check();
}

fn more_room_than_there_is(target: Target) {
    let mut host = Fixture::small(target);
    let (own, all) = (host.own(), target.user_end() / PAGE);
    for pages in [all, all + 1, usize::MAX] {
        let error = no_room(pages, if pages == all { 12 } else { 0 });
        host.refuses(error, |vmm| vmm.reserve(own, &RegionOptions::new(pages)));
    }
    let error = no_room(1, 60);
    host.refuses(error, |vmm| vmm.reserve(own, &RegionOptions::new(1).aligned(60)));
    let error = no_room(2, 12);
    let (from, to) = (FREE, FREE - PAGE);
    let backwards = RegionOptions::new(2).within(from..to);
    host.refuses(error, |vmm| vmm.reserve(own, &backwards));
}

fn large_pages_that_cannot_be(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, bits) = (host.own(), target.large_bits());
    let pages = 1 << (bits - 12);
    let odd = PageSize::Large { bits: 15 };
    let options = RegionOptions::new(pages).at(FREE).page_size(odd);
    host.refuses(Error::NoSuchFrameSize { bits: 15 }, |vmm| vmm.map(own, &options));
    let large = PageSize::Large { bits };
    let address = FREE + PAGE;
    let options = RegionOptions::new(pages).at(address).page_size(large);
    let error = Error::Address(AddressError::Misaligned { address, bits });
    host.refuses(error, |vmm| vmm.map(own, &options));
    let address = FREE + 3 * PAGE;
    let options = RegionOptions::new(3).at(FREE).page_size(large);
    let error = Error::Address(AddressError::Misaligned { address, bits });
    host.refuses(error, |vmm| vmm.map(own, &options));
    host.vmm.map(own, &RegionOptions::new(pages).at(FREE).page_size(large)).expect("memory");
    let error = Error::LargePage { address: FREE };
    let options = ShareOptions::new();
    host.refuses(error, |vmm| vmm.share(own, Pages::at(FREE + PAGE).count(3), own, &options));
}

/// A11: nor is another, that the same range cuts.
fn large_pages_that_are_shared_are_not_cut(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, bits) = (host.own(), target.large_bits());
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(2 * pages).at(FREE).page_size(PageSize::Large { bits });
    host.vmm.map(own, &large).expect("memory");
    let (second, options) = (FREE + (1 << bits), ShareOptions::new().aligned(bits));
    let view = host.vmm.share(own, Pages::at(second).count(pages), own, &options).expect("room");
    let shared = Error::Shared { address: second };
    let cuts_both = FREE + PAGE;
    host.refuses(shared, |vmm| vmm.unmap(own, Pages::at(cuts_both).count(pages)));
    host.refuses(shared, |vmm| vmm.protect(own, Pages::at(cuts_both).count(pages), Rights::READ));
    host.refuses(shared, |vmm| vmm.unmap(own, Pages::at(second + PAGE)));
    let copy = Error::Shared { address: view.start().bits() };
    host.refuses(copy, |vmm| vmm.unmap(own, Pages::at(view.start().bits() + PAGE)));
    host.vmm.release(view).expect("a region");
    host.vmm.unmap(own, Pages::at(cuts_both).count(pages)).expect("nobody shares it any more");
    host.check();
}

/// A11, A24: twice is once too often.
fn ids_that_were_given_back_before(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let region = tagged(&mut host, FREE, 1);
    let object = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let options =
        ThreadOptions { stack_pages: 1, guard_pages: 1, growing: None, tls: None, name: "thread" };
    let thread = host.vmm.allocate_thread_memory(own, &options).expect("memory");
    host.vmm.release(region).expect("once");
    host.vmm.free(object).expect("once");
    host.vmm.release_thread_memory(thread).expect("once");
    host.refuses(Error::NoSuchRegion(region), |vmm| vmm.release(region));
    host.refuses(Error::NoSuchRegion(region), |vmm| vmm.restore_write_access(region));
    let twice = host.vmm.free(object).expect_err("twice");
    assert_eq!(twice.blame(), vmm::Blame::Caller, "{twice:?}");
    let stack = thread.stack.region();
    host.refuses(Error::NoSuchRegion(stack), |vmm| vmm.release_thread_memory(thread));
    tagged(&mut host, FREE, 1);
}

/// A10.
fn memory_that_is_not_ours_to_share(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let frame = Blueprint::Frame { size_bits: 12 };
    let frames = host.vmm.allocate_many(frame, 2).expect("memory");
    host.vmm.map_objects(own, frames, &RegionOptions::new(2).at(FREE)).expect("frames");
    let device = host.machine.device();
    let options = RegionOptions::new(1).at(FREE + 8 * PAGE);
    let there = host.vmm.map_physical(own, device, &options).expect("a device");
    let options = RegionOptions::new(1);
    host.refuses(Error::NotManaged { address: FREE }, |vmm| {
        vmm.share(own, Pages::at(FREE).count(2), own, &ShareOptions::new())
    });
    host.check();
    let error = untyped_alloc::Error::Misaligned { paddr: device + 1, size_bits: 12 };
    host.refuses(error.into(), |vmm| vmm.map_physical(own, device + 1, &options));
    let error = untyped_alloc::Error::NoUntypedAt(0x5000_0000);
    host.refuses(error.into(), |vmm| vmm.map_physical(own, 0x5000_0000, &options));
    let by = Occupant::Region { region: there, paddr: device };
    let error = Error::PhysicalInUse { paddr: device, by };
    host.refuses(error, |vmm| vmm.map_physical(own, device, &options));
}

fn thread_storage_that_cannot_be(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let nothing = CPtr::NULL;
    assert_eq!(nothing.bits(), 0);
    for (bytes, align, init) in [(8, 3, &b""[..]), (8, 8192, b""), (2, 4, b"four")] {
        let tls = Some(TlsImage { init, memory_bytes: bytes, align, address: 0 });
        let options =
            ThreadOptions { stack_pages: 1, guard_pages: 1, growing: None, tls, name: "thread" };
        let error = Error::BadTls { bytes, align };
        host.refuses(error, |vmm| vmm.allocate_thread_memory(own, &options));
    }
}

/// A113.
fn what_the_region_is_called(target: Target) {
    let mut host = Fixture::small(target);
    let (own, name) = (host.own(), Name::new("heap"));
    let heap = RegionOptions::new(4).at(FREE).guarded(1, 1).ceiling(Rights::READ).named("heap");
    let heap = host.vmm.map(own, &heap.rights(Rights::READ)).expect("memory");
    host.vmm.unmap(own, Pages::at(FREE + PAGE)).expect("mapped");
    let other = tagged(&mut host, FREE + 8 * PAGE, 2);
    let (vmm, page) = (&mut host.vmm, |number: usize| Pages::at(FREE + number * PAGE));

    let guard = Error::Guard { address: FREE - PAGE, name };
    assert_eq!(vmm.populate(own, Pages::at(FREE - PAGE)), Err(guard));
    let mapped = Error::AlreadyMapped { address: FREE + 2 * PAGE, name };
    assert_eq!(vmm.populate(own, page(1).count(2)), Err(mapped));
    let hole = Error::NotMapped { address: FREE + PAGE, name };
    assert_eq!(vmm.unmap(own, page(0).count(3)), Err(hole));
    assert_eq!(vmm.read(own, FREE + PAGE, &mut [0]), Err(hole));
    let (asked, ceiling) = (Rights::READ_WRITE, Rights::READ);
    let beyond = Error::RightsExceedCeiling { asked, ceiling, name };
    assert_eq!(vmm.protect(own, page(0), asked), Err(beyond));
    let outside = Error::OutsideRegion { address: FREE + 5 * PAGE, name };
    assert_eq!(vmm.decommit_some(own, page(4).count(2), 1), Err(outside));
    let inside = RegionOptions::new(1).inside(heap);
    assert_eq!(vmm.map(own, &inside), Err(Error::WrongKind { region: heap, name }));

    // What has no name, and what is no region.
    let none = Name::default();
    let past = Error::OutsideRegion { address: FREE + 10 * PAGE, name: none };
    assert_eq!(vmm.unmap(own, Pages::at(FREE + 9 * PAGE).count(2)), Err(past));
    let nowhere = Error::OutsideRegion { address: FREE + 64 * PAGE, name: none };
    assert_eq!(vmm.unmap(own, page(64)), Err(nowhere));
    vmm.release(other).expect("a region");
    host.check();
}
