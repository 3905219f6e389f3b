// SPDX-License-Identifier: BSD-2-Clause
//! Mapping, unmapping, protecting, releasing.

use std::collections::BTreeMap;
use vmm_tests::support::{in_guard, outside_region};

use vmm::{
    Backing, CachePolicy, Error, PageSize, Pages, RegionOptions, Rights, ShareOptions, SpaceId,
};
use vmm_tests::model::{AccessFault, CallKind};

use super::{FREE, tagged};
use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_each};

on_each!(
    every_space_has_memory_of_its_own,
    fresh_memory_is_clear,
    so_is_memory_that_was_another_s,
    populating_fills_what_was_reserved,
    unmapping_a_part_leaves_the_rest,
    decommitting_keeps_the_region_and_passes_over_holes,
    users_of_a_frame_are_under_copy_on_write_together,
    protecting_is_in_place_and_keeps_contents,
    protecting_again_costs_nothing,
    a_region_is_cached_as_asked,
    releasing_gives_everything_back,
    a_page_table_serves_again,
    empty_page_tables_are_given_back_in_the_end,
    a_large_page_is_one_entry,
    a_large_page_over_kept_tables_can_be_mapped,
    cutting_a_large_page_keeps_contents,
    large_pages_where_they_fit,
    a_large_page_that_was_used_is_clear_again,
    mapping_a_thousand_pages_costs_what_it_must,
);

/// A3.
fn fresh_memory_is_clear(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let at = FREE + (1 << target.large_bits()) - 3 * PAGE;
    host.vmm.map(own, &RegionOptions::new(7).at(at)).expect("memory");
    for (page, mapping) in host.mappings(own) {
        assert_eq!(host.read(own, page), 0);
        assert_eq!((mapping.rights, mapping.size_bits), (Rights::READ_WRITE, 12));
    }
    assert_eq!(host.mappings(own).len(), 7);
    host.check();
}

/// A3.
fn so_is_memory_that_was_another_s(target: Target) {
    // 20 pages, some of them for page tables: what the one gives back is all the other can get.
    let machine = Machine::with_ram(target, vec![(0x100_0000, 16), (0x80_0000, 14)]);
    let mut host = Fixture::new(machine);
    let own = host.own();
    tagged(&mut host, FREE, 10);
    host.vmm.unmap(own, Pages::at(FREE).count(9)).expect("mapped");
    host.vmm.populate(own, Pages::at(FREE).count(9)).expect("memory");
    assert!((0..9).all(|page| host.read(own, FREE + page * PAGE) == 0));
    assert_eq!(host.read(own, FREE + 9 * PAGE), 10, "and the neighbour is as it was");
    host.check();
}

fn every_space_has_memory_of_its_own(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let spaces: Vec<_> = (0..3).map(|_| host.vmm.create_space().expect("memory")).collect();
    for (n, &space) in spaces.iter().chain([&own]).enumerate() {
        host.vmm.map(space, &RegionOptions::new(4).at(FREE)).expect("memory");
        (0..4).for_each(|page| host.write(space, FREE + page * PAGE, n as u64 + 1));
    }
    host.assert_no_frame_twice(&[own, spaces[0], spaces[1], spaces[2]]);
    for (n, &space) in spaces.iter().chain([&own]).enumerate() {
        assert!((0..4).all(|page| host.read(space, FREE + page * PAGE) == n as u64 + 1));
    }
    host.check();
}

/// A6.
fn populating_fills_what_was_reserved(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(6).at(FREE).rights(Rights::READ);
    host.vmm.reserve(own, &options).expect("room");
    host.vmm.populate(own, Pages::at(FREE + PAGE).count(2)).expect("memory");
    host.vmm.populate(own, Pages::at(FREE + 4 * PAGE)).expect("memory");
    let mapped = host.mappings(own);
    assert_eq!(mapped.keys().map(|at| (at - FREE) / PAGE).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(mapped.values().all(|mapping| mapping.rights == Rights::READ));
    host.check();
}

/// A6, A7.
fn unmapping_a_part_leaves_the_rest(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let region = tagged(&mut host, FREE, 8);
    let free = host.vmm.stats().free_bytes();
    host.vmm.unmap(own, Pages::at(FREE + 2 * PAGE).count(3)).expect("mapped");
    assert_eq!(host.vmm.stats().free_bytes(), free + 3 * PAGE);
    for page in [0, 1, 5, 6, 7] {
        assert_eq!(host.read(own, FREE + page * PAGE), page as u64 + 1);
    }
    assert_eq!(host.mappings(own).len(), 5);
    assert_eq!(host.vmm.region_info(region).expect("the id is valid").range.pages(), 8);
    host.check();
}

/// A4, A7.
fn protecting_is_in_place_and_keeps_contents(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let region = tagged(&mut host, FREE, 5);
    let frames = host.mappings(own);
    host.vmm.protect(own, Pages::at(FREE + PAGE).count(2), Rights::READ).expect("mapped");
    for page in 0..5 {
        let at = FREE + page * PAGE;
        assert_eq!(host.read(own, at), page as u64 + 1);
        let vspace = host.vmm.vspace(own).expect("a space");
        let written = host.kernel().write(vspace, at, &[1]);
        match page {
            1 | 2 => {
                assert_eq!(written, Err(AccessFault::Rights { vaddr: at, rights: Rights::READ }))
            }
            _ => written.expect("its rights are as they were"),
        }
        assert_eq!(host.mappings(own)[&at].paddr, frames[&at].paddr);
    }
    assert!(host.vmm.region_info(region).is_ok(), "the id is valid");
    host.vmm.protect(own, Pages::at(FREE).count(5), Rights::READ_WRITE).expect("mapped");
    assert!(host.mappings(own).values().all(|mapping| mapping.rights == Rights::READ_WRITE));
    assert_eq!(host.vmm.space_stats(own).expect("a space").extents, 1, "the runs are joined again");
    host.check();
}

fn protecting_again_costs_nothing(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 5);
    let calls = host.kernel().total_calls();
    host.vmm.protect(own, Pages::at(FREE).count(5), Rights::READ_WRITE).expect("mapped");
    assert_eq!(host.kernel().total_calls(), calls);
}

fn a_region_is_cached_as_asked(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let policies = [CachePolicy::Uncached, CachePolicy::WriteThrough, CachePolicy::WriteCombining];
    for (page, cache) in policies.into_iter().enumerate() {
        let at = FREE + page * PAGE;
        host.vmm.map(own, &RegionOptions::new(1).at(at).cached(cache)).expect("memory");
        assert_eq!(host.mappings(own)[&at].cache, cache);
        host.vmm.protect(own, Pages::at(at), Rights::READ).expect("mapped");
        assert_eq!(host.mappings(own)[&at].cache, cache, "protecting keeps it");
    }
}

/// A6.
fn releasing_gives_everything_back(target: Target) {
    let mut host = Fixture::small(target);
    let before = Snapshot::settled(&mut host);
    let regions: Vec<_> = (0..5).map(|n| tagged(&mut host, FREE + n * 0x40_0000, 20)).collect();
    for region in regions {
        host.vmm.release(region).expect("a region");
        host.check();
    }
    before.assert_same(&Snapshot::settled(&mut host));
}

/// I5.
fn a_page_table_serves_again(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let region = tagged(&mut host, FREE, 3);
    host.vmm.release(region).expect("a region");
    let tables = host.kernel().calls(CallKind::TableMap);
    tagged(&mut host, FREE + 8 * PAGE, 3);
    assert_eq!(host.kernel().calls(CallKind::TableMap), tables, "the table was kept");
    assert_eq!(host.vmm.space_stats(own).expect("a space").empty_tables, 0);
    host.check();
}

/// I5.
fn empty_page_tables_are_given_back_in_the_end(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let before = host.vmm.space_stats(own).expect("a space").tables;
    let regions: Vec<_> =
        (0..25).map(|n| tagged(&mut host, FREE + (n << target.large_bits()), 1)).collect();
    regions.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
    let kept = host.vmm.space_stats(own).expect("a space").empty_tables;
    assert!((1..=16).contains(&kept), "{kept} are kept");
    host.vmm.trim().expect("trimming");
    assert_eq!(host.vmm.space_stats(own).expect("a space").tables, before);
    host.check();
}

fn large(target: Target, count: usize) -> RegionOptions {
    let bits = target.large_bits();
    RegionOptions::new(count << (bits - 12)).at(FREE).page_size(PageSize::Large { bits })
}

fn a_large_page_is_one_entry(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, bits) = (host.own(), target.large_bits());
    let region = host.vmm.map(own, &large(target, 2)).expect("memory");
    let mapped = host.mappings(own);
    let pages: Vec<_> = mapped.iter().map(|(at, mapping)| (*at, mapping.size_bits)).collect();
    assert_eq!(pages, [(FREE, bits), (FREE + (1 << bits), bits)]);
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 << (bits - 12)), "all its pages are large");
    assert_eq!(host.kernel().calls(CallKind::PageMap), 2);
    host.check();
    host.vmm.release(region).expect("a region");
    host.check();
}

fn a_large_page_over_kept_tables_can_be_mapped(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    for large in 0..3 {
        let region = tagged(&mut host, FREE + (large << target.large_bits()) + PAGE, 1);
        host.vmm.release(region).expect("a region");
    }
    assert!(host.vmm.stats().kept_tables > 0);
    host.vmm.map(own, &large(target, 3)).expect("empty tables make way");
    assert_eq!(host.mappings(own).len(), 3);
    host.check();
}

/// A7.
fn cutting_a_large_page_keeps_contents(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, pages) = (host.own(), 1usize << (target.large_bits() - 12));
    host.vmm.map(own, &large(target, 1)).expect("memory");
    for page in [0, 1, 2, 3, pages - 1] {
        host.write(own, FREE + page * PAGE, page as u64 + 7);
    }
    host.vmm.unmap(own, Pages::at(FREE + 2 * PAGE)).expect("mapped");
    let mapped = host.mappings(own);
    assert_eq!(mapped.len(), pages - 1);
    assert!(!mapped.contains_key(&(FREE + 2 * PAGE)));
    for page in [0, 1, 3, pages - 1] {
        assert_eq!(host.read(own, FREE + page * PAGE), page as u64 + 7);
    }
    host.vmm.protect(own, Pages::at(FREE + 3 * PAGE), Rights::READ).expect("mapped");
    assert_eq!(host.mappings(own)[&(FREE + 3 * PAGE)].rights, Rights::READ);
    host.check();
}

/// A3.
fn a_large_page_that_was_used_is_clear_again(target: Target) {
    // One block of two large pages' size: the one that is released is the one that is taken.
    let ram = vec![(0x100_0000, target.large_bits() + 1), (0x80_0000, 16)];
    let mut host = Fixture::new(Machine::with_ram(target, ram));
    let (own, pages) = (host.own(), 1usize << (target.large_bits() - 12));
    for round in 0..3 {
        let region = host.vmm.map(own, &large(target, 2)).expect("memory");
        for page in [0, 1, pages - 1, pages, 2 * pages - 1] {
            assert_eq!(host.read(own, FREE + page * PAGE), 0, "round {round}");
            host.write(own, FREE + page * PAGE, 7);
        }
        host.vmm.release(region).expect("a region");
        host.check();
    }
}

fn large_pages_where_they_fit(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, bits) = (host.own(), target.large_bits());
    let at = FREE + (1 << bits) - 2 * PAGE;
    let pages = (1 << (bits - 12)) + 5;
    let options = RegionOptions::new(pages).at(at).page_size(PageSize::Auto);
    let region = host.vmm.map(own, &options).expect("memory");
    assert_eq!(host.vmm.large_pages_in(region), Ok(1 << (bits - 12)));
    let mapped = host.mappings(own);
    assert_eq!(mapped.len(), 1 + 5, "one large page, two small ones before it and three after");
    assert_eq!(mapped[&(FREE + (1 << bits))].size_bits, bits);
    host.check();
}

fn mapping_a_thousand_pages_costs_what_it_must(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    host.vmm.map(own, &RegionOptions::new(1024).at(FREE)).expect("memory");
    let kernel = host.kernel();
    assert_eq!(kernel.calls(CallKind::PageMap), 1024);
    let others = kernel.total_calls() - 1024 - kernel.calls(CallKind::TableMap);
    assert!(others <= 12, "{others} calls for frames and tables");
}

/// A41: holes are no error, the region stays, and what is touched or mapped again is clear.
fn decommitting_keeps_the_region_and_passes_over_holes(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let lazy = RegionOptions::new(8).at(FREE).guarded(1, 1);
    let region = host.vmm.reserve(own, &lazy.backed(Backing::OnDemand { around: 1 })).unwrap();
    for page in [0, 1, 3, 6] {
        host.vmm.populate(own, Pages::at(FREE + page * PAGE)).expect("memory");
        host.write(own, FREE + page * PAGE, 7);
    }
    let before = host.vmm.usage(own).unwrap().frames;
    host.vmm.decommit(own, Pages::at(FREE + PAGE).count(5)).expect("holes are no error");
    host.check();
    assert_eq!(host.vmm.usage(own).unwrap().frames, before - 2);
    let mapped: Vec<usize> = host.mappings(own).keys().copied().collect();
    assert_eq!(mapped, [FREE, FREE + 6 * PAGE]);
    assert_eq!((host.read(own, FREE), host.read(own, FREE + 6 * PAGE)), (7, 7));
    assert_eq!(host.vmm.region_info(region).unwrap().range.pages(), 10, "all addresses are kept");
    host.vmm.populate(own, Pages::at(FREE + PAGE)).expect("memory");
    assert_eq!(host.read(own, FREE + PAGE), 0, "it is clear again");
    host.vmm.decommit(own, Pages::at(FREE).count(8)).expect("all of it");
    host.vmm
        .decommit(own, Pages::at(FREE).count(8))
        .expect("nothing is mapped, and that is no error");
    // The range must be one of pages that the caller has.
    let guard = FREE + 8 * PAGE;
    host.refuses(in_guard(guard), |vmm| vmm.decommit(own, Pages::at(FREE + 7 * PAGE).count(2)));
    let beyond = FREE + 9 * PAGE;
    host.refuses(outside_region(beyond), |vmm| vmm.decommit(own, Pages::at(beyond)));
    host.vmm.release(region).expect("no call is refused");
    host.refuses(outside_region(FREE), |vmm| vmm.decommit(own, Pages::at(FREE)));
}

/// For each frame that is mapped in these spaces, whether each of its users is under copy-on-write.
fn users(host: &Fixture<'_>, spaces: &[SpaceId]) -> BTreeMap<usize, Vec<bool>> {
    let mut users = BTreeMap::<usize, Vec<bool>>::new();
    for &space in spaces {
        for (address, mapping) in host.mappings(space) {
            let known = host.vmm.mapping_at(space, address).unwrap().expect("it is mapped");
            users.entry(mapping.paddr).or_default().push(known.copy_on_write);
        }
    }
    users
}

/// I16, after shares of clones and clones of shares; and a share ends copy-on-write for its pages.
fn users_of_a_frame_are_under_copy_on_write_together(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let (a, b) = (host.vmm.create_space().unwrap(), host.vmm.create_space().unwrap());
    let origin = tagged(&mut host, FREE, 6);
    let anywhere = RegionOptions::new(1);
    let clone = host.vmm.clone_region(origin, a, anywhere.placement()).expect("memory");
    let again = host.vmm.clone_region(clone, b, anywhere.placement()).expect("memory");
    let all = [own, a, b];
    let together = |host: &Fixture<'_>| {
        for (frame, users) in users(host, &all) {
            assert!(users.iter().all(|cow| *cow == users[0]), "{frame:#x}: {users:?}");
        }
    };
    together(&host);
    assert!(users(&host, &all).values().any(|users| users == &[true; 3]));
    // Sharing two pages of the clone gives them frames of their own first.
    let first = clone.start().bits() + PAGE;
    host.vmm.share(a, Pages::at(first).count(2), own, &ShareOptions::new()).expect("memory");
    together(&host);
    assert!(users(&host, &all).values().any(|users| users == &[false; 2]), "shared, both write");
    let shared = host.vmm.clone_region(clone, b, anywhere.placement());
    assert_eq!(shared, Err(Error::Shared { address: first }), "what is shared is not cloned");
    together(&host);
    host.vmm.write(b, again.start().bits(), &[1]).expect("memory");
    host.vmm.release(origin).expect("no call is refused");
    host.vmm.restore_write_access(again).expect("no call is refused");
    together(&host);
    host.check();
}
