// SPDX-License-Identifier: BSD-2-Clause
//! When all memory is out, the smallest giving back still works, wherever a page came from.
//!
//! Checks A66, A80 and A81 of `MODEL.md`.

use untyped_alloc::Rights;
use vmm::{Blueprint, Error, PageSize, Pages, Placement, RegionOptions, ShareOptions, SpaceId};

use super::FREE;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    pages_shared_are_given_back_one_by_one_by_either_side,
    pages_cloned_are_given_back_one_by_one_by_either_side,
    owners_of_single_shared_pages_give_them_back,
    pages_at_an_address_are_given_back_one_by_one,
    pages_of_callers_are_given_back_one_by_one,
    whole_extents_are_protected_without_memory,
    cutting_a_large_page_says_what_it_takes,
    whole_large_pages_are_given_back_without_memory,
    a_clone_without_memory_or_slots_for_it_cuts_no_large_page,
);

/// Where the pages are that use up nodes.
const USER: usize = 0x6000_0000;

/// 16 MiB and little book-keeping.
fn machine(target: Target) -> Fixture<'static> {
    Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 24)]).pool(16).slots(13))
}

/// Maps memory until there is none, not for book-keeping either; and takes the nodes that are left
/// over, by giving single pages in the midst of others new rights until that is refused. Returns
/// how often it was not.
fn fill(host: &mut Fixture<'_>) -> usize {
    let own = host.own();
    host.vmm.map(own, &RegionOptions::new(1024).at(USER)).expect("memory");
    for pages in [64, 1] {
        while host.vmm.map(own, &RegionOptions::new(pages).page_size(PageSize::Small)).is_ok() {}
    }
    assert_eq!(host.vmm.stats().allocator.untyped_bytes / PAGE, 0, "no memory is left");
    let done = (0..511)
        .take_while(|index| {
            let at = USER + (2 * index + 1) * PAGE;
            host.vmm.protect(own, Pages::at(at), Rights::READ).is_ok()
        })
        .count();
    assert!(done < 511, "no nodes are left");
    host.check();
    done
}

/// Unmaps every second page of `pages`, each of them between two that stay.
fn give_back(host: &mut Fixture<'_>, space: SpaceId, at: usize, pages: std::ops::Range<usize>) {
    for page in pages.step_by(2) {
        let unmapped = host.vmm.unmap(space, Pages::at(at + page * PAGE));
        assert!(unmapped.is_ok(), "page {page}: {unmapped:?}");
    }
    host.check();
}

fn other_space(host: &mut Fixture<'_>) -> SpaceId {
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    other
}

/// The owner gives back every second page but the last, the other side those between: so each page
/// is still had by one of the two, and no memory comes back that nodes could be made of.
fn either_side(host: &mut Fixture<'_>, other: SpaceId) {
    let own = host.own();
    fill(host);
    let live = host.vmm.stats().allocator.live.frames[0];
    give_back(host, own, FREE, 1..255);
    give_back(host, other, FREE, 2..255);
    assert_eq!(host.vmm.stats().allocator.live.frames[0], live, "the case is about no memory");
    for page in 0..256 {
        for space in [own, other] {
            let decommitted = host.vmm.decommit(space, Pages::at(FREE + page * PAGE));
            assert!(decommitted.is_ok(), "page {page} of {space:?}: {decommitted:?}");
        }
    }
    host.check();
    assert!(host.vmm.stats().allocator.live.frames[0] < live, "now all came back");
}

/// A80.
fn pages_shared_are_given_back_one_by_one_by_either_side(target: Target) {
    let mut host = machine(target);
    let (own, other) = (host.own(), other_space(&mut host));
    host.vmm.map(own, &RegionOptions::new(256).at(FREE)).expect("memory");
    host.vmm
        .share(own, Pages::at(FREE).count(256), other, &ShareOptions::new().at(FREE))
        .expect("memory");
    either_side(&mut host, other);
}

/// A80.
fn pages_cloned_are_given_back_one_by_one_by_either_side(target: Target) {
    let mut host = machine(target);
    let (own, other) = (host.own(), other_space(&mut host));
    let region = host.vmm.map(own, &RegionOptions::new(256).at(FREE)).expect("memory");
    host.vmm.clone_region(region, other, Placement::at(FREE)).expect("memory");
    either_side(&mut host, other);
}

/// A80.
fn owners_of_single_shared_pages_give_them_back(target: Target) {
    let mut host = machine(target);
    let (own, other) = (host.own(), other_space(&mut host));
    host.vmm.map(own, &RegionOptions::new(256).at(FREE)).expect("memory");
    for page in (1..255).step_by(2) {
        let options = ShareOptions::new().rights(Rights::READ);
        host.vmm.share(own, Pages::at(FREE + page * PAGE), other, &options).expect("memory");
    }
    fill(&mut host);
    let live = host.vmm.stats().allocator.live.frames[0];
    give_back(&mut host, own, FREE, 1..255);
    assert_eq!(host.vmm.stats().allocator.live.frames[0], live, "the case is about no memory");
}

/// A80.
fn pages_at_an_address_are_given_back_one_by_one(target: Target) {
    let mut host = machine(target);
    let own = host.own();
    let paddr = 0x100_0000 + (14 << 20);
    let region = host.vmm.map_physical(own, paddr, &RegionOptions::new(256).at(FREE));
    let region = region.expect("nobody has it");
    fill(&mut host);
    give_back(&mut host, own, FREE, 1..255);
    host.vmm.release(region).expect("a region");
    host.check();
}

/// A80.
fn pages_of_callers_are_given_back_one_by_one(target: Target) {
    let mut host = machine(target);
    let own = host.own();
    let frames = host.vmm.allocate_many(Blueprint::Frame { size_bits: 12 }, 256).expect("memory");
    let region = host.vmm.map_objects(own, frames, &RegionOptions::new(256).at(FREE));
    let region = region.expect("memory");
    fill(&mut host);
    give_back(&mut host, own, FREE, 1..255);
    host.vmm.release(region).expect("a region");
    host.vmm.free_many(frames).expect("mapped nowhere");
    host.check();
}

/// A81.
fn cutting_a_large_page_says_what_it_takes(target: Target) {
    let mut host = machine(target);
    let (own, bits) = (host.own(), target.large_bits());
    let pages = 1 << (bits - 12);
    let options = RegionOptions::new(pages).at(FREE).page_size(PageSize::Large { bits });
    let region = host.vmm.map(own, &options).expect("memory");
    host.write(own, FREE + 5 * PAGE, 77);
    fill(&mut host);
    // The small pages and one table.
    let bytes = (1 << bits) + PAGE;
    let needs = Error::OutOfMemoryToCut { address: FREE, bytes, free_bytes: 0 };
    for (first, count) in [(0, 1), (3, 1), (1, pages - 1), (0, pages - 1)] {
        let start = FREE + first * PAGE;
        assert_eq!(host.vmm.memory_to_cut(own, Pages::at(start).count(count)), Ok(bytes));
        host.refuses(needs, |vmm| vmm.unmap(own, Pages::at(start).count(count)));
        host.refuses(needs, |vmm| vmm.decommit(own, Pages::at(start).count(count)));
        host.refuses(needs, |vmm| vmm.protect(own, Pages::at(start).count(count), Rights::READ));
    }
    assert_eq!(host.vmm.memory_to_cut(own, Pages::at(FREE).count(pages)), Ok(0));
    // With as much as that to be had, the table of what had it included, it is done.
    let had = host.vmm.region_at(own, USER).expect("a space").expect("a region").id;
    host.vmm.release(had).expect("a region");
    assert!(host.vmm.stats().free_bytes() >= bytes);
    host.vmm.unmap(own, Pages::at(FREE)).expect("there is memory");
    assert_eq!(host.read(own, FREE + 5 * PAGE), 77, "what stays has its contents");
    host.check();
    host.vmm.release(region).expect("a region");
    host.check();
}

/// A66: the small pages could be had, and would be of no use.
fn a_clone_without_memory_or_slots_for_it_cuts_no_large_page(target: Target) {
    let mut host = machine(target);
    let (other, bits) = (other_space(&mut host), target.large_bits());
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(pages).at(FREE).page_size(PageSize::Large { bits });
    let region = host.vmm.map(other, &large).expect("memory");
    let ready = host.vmm.map(other, &RegionOptions::new(pages).at(USER)).expect("memory");
    let own = host.own();
    let some = host.vmm.map(own, &RegionOptions::new(64)).expect("memory");
    for pages in [64, 1] {
        let small = RegionOptions::new(pages).page_size(PageSize::Small);
        while host.vmm.map(own, &small).is_ok() {}
    }
    let mut slots = Vec::new();
    while let Ok(slot) = host.vmm.alloc_slots(1) {
        slots.push(slot);
    }
    host.vmm.release(ready).expect("a region");
    host.check();
    let (calls, anywhere) = (host.vmm.kernel_calls(), RegionOptions::new(1));
    let refused =
        host.vmm.clone_region(region, own, anywhere.placement()).expect_err("there are no slots");
    let Error::OutOfMemoryToCut { address: FREE, bytes, free_bytes } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(free_bytes, host.vmm.stats().allocator.free_bytes());
    assert!(bytes > free_bytes, "{bytes} bytes are missing");
    assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0, "before any kernel call");
    assert_eq!(host.vmm.large_pages_in(region), Ok(pages), "it is large still");
    host.check();
    // With slots and page tables for it, it is cut and cloned.
    host.vmm.release(some).expect("a region");
    slots.into_iter().for_each(|slot| host.vmm.free_slots(slot, 1).expect("it was taken"));
    host.vmm.clone_region(region, own, anywhere.placement()).expect("there is memory");
    assert_eq!(host.vmm.large_pages_in(region), Ok(0));
    host.check();
}

/// A81: all of a large page is given back without memory.
fn whole_large_pages_are_given_back_without_memory(target: Target) {
    let mut host = machine(target);
    let (own, bits) = (host.own(), target.large_bits());
    let pages = 1 << (bits - 12);
    let options = RegionOptions::new(pages).at(FREE).page_size(PageSize::Large { bits });
    host.vmm.map(own, &options).expect("memory");
    fill(&mut host);
    let free = host.vmm.stats().allocator.free_bytes();
    host.vmm.unmap(own, Pages::at(FREE).count(pages)).expect("it takes nothing");
    assert!(host.vmm.stats().allocator.free_bytes() >= free + (1 << bits) - 2 * PAGE);
    host.check();
}

/// A80: what takes no node is not refused for want of one.
fn whole_extents_are_protected_without_memory(target: Target) {
    let mut host = machine(target);
    let own = host.own();
    let refused = 2 * fill(&mut host) + 1;
    let rights = |host: &Fixture<'_>, page: usize| {
        host.vmm.mapping_at(own, USER + page * PAGE).expect("an address").expect("mapped").rights
    };
    assert_eq!(rights(&host, refused), Rights::READ_WRITE, "what was refused is as it was");
    host.vmm.protect(own, Pages::at(USER).count(1024), Rights::READ).expect("it takes no node");
    assert!((0..1024).all(|page| rights(&host, page) == Rights::READ));
    host.check();
    host.vmm.unmap(own, Pages::at(USER + 101 * PAGE)).expect("giving back works");
    host.check();
}
