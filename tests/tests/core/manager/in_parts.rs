// SPDX-License-Identifier: BSD-2-Clause
//! Requests that stop after a number of pages, so that others are served between.
//!
//! Checks A36 and A41 of `MODEL.md`; `service/server_interface.rs` has more of them.

use untyped_alloc::{KernelError, Rights};
use vmm::{Error, Occupant, PageSize, Pages, RegionOptions};
use vmm_tests::model::CallKind;

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    decommitting_stops_after_as_many_pages_as_were_asked_for,
    a_large_page_is_decommitted_whole_and_the_next_is_not,
    cloning_stops_after_as_many_pages_as_were_asked_for,
    large_pages_are_cut_to_be_cloned,
    protecting_that_is_refused_says_how_many_pages_are_done,
    a_large_page_that_nobody_may_read_is_cut_too,
    a_large_page_is_zeroed_where_there_is_room_for_all_of_it,
    a_space_goes_by_the_batch,
    pages_at_physical_addresses_lie_one_behind_the_other,
    what_lies_in_the_way_is_found_before_a_page_is_made,
);

/// A36, A41: pages that are mapped count, holes do not.
fn decommitting_stops_after_as_many_pages_as_were_asked_for(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 9);
    host.vmm.unmap(own, Pages::at(FREE + PAGE).count(2)).expect("mapped");
    let left = |host: &Fixture<'_>| -> Vec<usize> {
        host.mappings(own).into_keys().map(|at| (at - FREE) / PAGE).collect()
    };
    assert_eq!(host.vmm.decommit_some(own, Pages::at(FREE).count(9), 0), Ok(0));
    assert_eq!(left(&host), [0, 3, 4, 5, 6, 7, 8]);
    assert_eq!(host.vmm.decommit_some(own, Pages::at(FREE).count(9), 3), Ok(3));
    assert_eq!(left(&host), [5, 6, 7, 8]);
    assert_eq!(
        host.vmm.decommit_some(own, Pages::at(FREE + 6 * PAGE).count(2), 9),
        Ok(2),
        "in the range alone"
    );
    assert_eq!(left(&host), [5, 8]);
    assert_eq!(
        host.vmm.decommit_some(own, Pages::at(FREE).count(9), 9),
        Ok(2),
        "fewer, as there are no more"
    );
    assert_eq!(left(&host), []);
    host.check();
}

/// A36, A41.
fn a_large_page_is_decommitted_whole_and_the_next_is_not(target: Target) {
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    for (most, gone) in [(1, 1), (pages - 1, 1), (pages, 1), (pages + 1, 2), (2 * pages, 2)] {
        let mut host = Fixture::roomy(target);
        let own = host.own();
        let large = RegionOptions::new(3 * pages).page_size(PageSize::Large { bits });
        let region = host.vmm.map(own, &large.at(FREE)).expect("memory");
        let done = host.vmm.decommit_some(own, Pages::at(FREE).count(3 * pages), most);
        assert_eq!(done, Ok(gone * pages), "at the most {most} pages");
        assert_eq!(host.mappings(own).len(), 3 - gone);
        assert_eq!(host.vmm.large_pages_in(region), Ok((3 - gone) * pages));
        host.check();
    }
}

/// A36: holes are passed over, and count as done.
fn cloning_stops_after_as_many_pages_as_were_asked_for(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    // Pages 3, 4, 5 and 8 of ten are mapped.
    let region = tagged(&mut host, FREE, 10);
    for (page, pages) in [(0, 3), (6, 2), (9, 1)] {
        host.vmm.unmap(own, Pages::at(FREE + page * PAGE).count(pages)).expect("mapped");
    }
    let options = RegionOptions::new(1).at(FREE);
    let clone = host.vmm.reserve_like(region, space, options.placement()).expect("room");
    let mut done = 0;
    for (most, until, there) in [
        (0, 3, vec![]),
        (2, 5, vec![3, 4]),
        (0, 5, vec![3, 4]),
        (2, 10, vec![3, 4, 5, 8]),
        (1, 10, vec![3, 4, 5, 8]),
        (9, 10, vec![3, 4, 5, 8]),
    ] {
        done += host.vmm.clone_pages(region, done, clone, most).expect("memory");
        let cloned: Vec<usize> =
            host.mappings(space).into_keys().map(|at| (at - FREE) / PAGE).collect();
        assert_eq!(cloned, there, "at the most {most}");
        assert!(done <= until && done > *there.last().unwrap_or(&0), "{done} pages are done");
        host.check();
    }
    assert_eq!(done, 10, "all of it");
    for page in [3, 4, 5, 8] {
        assert_eq!(host.read(space, FREE + page * PAGE), page as u64 + 1);
    }
}

/// A7, A9: no frame is larger than what the first write copies.
fn large_pages_are_cut_to_be_cloned(target: Target) {
    let mut host = Fixture::roomy(target);
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let (one, other) = (host.vmm.create_space(), host.vmm.create_space());
    let (one, other) = (one.expect("memory"), other.expect("memory"));
    host.spaces.extend([one, other]);
    let large = RegionOptions::new(2 * pages).page_size(PageSize::Large { bits });
    let region = host.vmm.map(one, &large.at(FREE)).expect("memory");
    for page in 0..2 * pages {
        host.write(one, FREE + page * PAGE, page as u64 + 1);
    }
    let options = RegionOptions::new(1).at(FREE);
    let clone = host.vmm.clone_region(region, other, options.placement()).expect("memory");
    for (space, region) in [(one, region), (other, clone)] {
        assert_eq!(host.vmm.large_pages_in(region), Ok(0));
        assert_eq!(host.mappings(space).len(), 2 * pages);
        for page in (0..2 * pages).step_by(97) {
            assert_eq!(host.read(space, FREE + page * PAGE), page as u64 + 1);
        }
    }
    host.check();
    host.vmm.write(other, FREE + pages * PAGE, &[0; PAGE]).expect("memory");
    let first = |space| [pages - 1, pages].map(|page| host.read(space, FREE + page * PAGE));
    assert_eq!(first(one), [pages as u64, pages as u64 + 1]);
    assert_eq!(first(other), [pages as u64, 0]);
    host.check();
}

/// A14: in pages of the smallest size, whatever the size of those that are mapped.
fn protecting_that_is_refused_says_how_many_pages_are_done(target: Target) {
    for (size, per_page) in [
        (PageSize::Small, 1),
        (PageSize::Large { bits: target.large_bits() }, 1 << (target.large_bits() - 12)),
    ] {
        for nth in 1..=3 {
            let mut host = Fixture::roomy(target);
            let space = host.vmm.create_space().expect("memory");
            host.spaces.push(space);
            let pages = 3 * per_page;
            let options = RegionOptions::new(pages).at(FREE).page_size(size);
            host.vmm.map(space, &options).expect("memory");
            host.kernel().fail_nth_of(CallKind::PageRemap, nth, KernelError::RevokeFirst);
            let refused = host.vmm.protect(space, Pages::at(FREE).count(pages), Rights::READ);
            let Err(Error::Kernel { done, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(done, (nth - 1) * per_page);
            let read = |rights: Rights| rights == Rights::READ;
            let changed = host.mappings(space).values().filter(|m| read(m.rights)).count();
            assert_eq!(changed, nth - 1, "as many have the new rights");
            host.check();
            host.vmm
                .protect(space, Pages::at(FREE).count(pages), Rights::READ)
                .expect("no call is refused");
            assert!(host.mappings(space).values().all(|mapping| read(mapping.rights)));
            host.check();
        }
    }
}

/// A7: the manager reads it whatever its rights.
fn a_large_page_that_nobody_may_read_is_cut_too(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(pages).page_size(PageSize::Large { bits });
    host.vmm.map(own, &large.at(FREE)).expect("memory");
    (0..pages).for_each(|page| host.write(own, FREE + page * PAGE, page as u64 + 1));
    host.vmm.protect(own, Pages::at(FREE).count(pages), Rights::empty()).expect("mapped");
    host.vmm.unmap(own, Pages::at(FREE)).expect("mapped");
    host.check();
    host.vmm.protect(own, Pages::at(FREE + PAGE).count(pages - 1), Rights::READ).expect("mapped");
    assert!((1..pages).all(|page| host.read(own, FREE + page * PAGE) == page as u64 + 1));
}

/// A3: not in a smaller hole that begins where one could.
fn a_large_page_is_zeroed_where_there_is_room_for_all_of_it(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    // A hole of two pages, of which the first is aligned.
    tagged(&mut host, FREE - PAGE, 1);
    tagged(&mut host, FREE + 2 * PAGE, 3);
    let large = RegionOptions::new(pages).page_size(PageSize::Large { bits });
    let at = FREE + (8 << bits);
    // As many as there are, so that used ones serve again.
    let mut had = Vec::new();
    while let Ok(region) = host.vmm.map(own, &large.at(at + (had.len() << bits))) {
        host.write(own, region.start().bits() + PAGE, 7);
        had.push(region);
    }
    had.drain(..).for_each(|region| host.vmm.release(region).expect("a region"));
    while let Ok(region) = host.vmm.map(own, &large.at(at + (had.len() << bits))) {
        assert_eq!(host.read(own, region.start().bits() + PAGE), 0);
        had.push(region);
    }
    assert!(!had.is_empty(), "what was used can be had");
    assert_eq!([0, 1, 2].map(|page| host.read(own, FREE + (2 + page) * PAGE)), [1, 2, 3]);
    host.check();
}

/// Frames that came together are destroyed by one call, and a space that is used is not destroyed.
fn a_space_goes_by_the_batch(target: Target) {
    let mut host = Fixture::small(target);
    let space = host.vmm.create_space().expect("memory");
    host.vmm.map(space, &RegionOptions::new(128).at(FREE)).expect("memory");
    let buffer = host.vmm.allocate_ipc_buffer(space).expect("memory");
    let endpoint = host.vmm.allocate_for(space, vmm::Blueprint::Endpoint).expect("memory");
    let used = |threads| Error::SpaceInUse { space, threads };
    host.refuses(used(2), |vmm| vmm.destroy_space(space));
    host.vmm.free_for(space, endpoint).expect("an object");
    host.refuses(used(1), |vmm| vmm.destroy_space(space));
    host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    let calls = host.vmm.kernel_calls();
    host.vmm.destroy_space(space).expect("nobody uses it");
    let calls = host.vmm.kernel_calls().since(&calls).total();
    assert!(calls < 20, "{calls} calls for 128 pages");
    host.check();
}

/// A28: a piece in which a page is in use is refused as a whole, not after smaller ones were made.
fn what_lies_in_the_way_is_found_before_a_page_is_made(target: Target) {
    let base = 0x108_0000;
    for (taken, pages) in [(5, 8), (7, 8), (17, 32), (31, 32)] {
        let mut host = Fixture::small(target);
        let own = host.own();
        // The tables are there before.
        for at in [FREE + 32 * PAGE, FREE + (1 << 24) + PAGE] {
            host.vmm.map(own, &RegionOptions::new(1).at(at)).expect("memory");
        }
        let one = RegionOptions::new(1).at(FREE + (1 << 24));
        let there = host.vmm.map_physical(own, base + taken * PAGE, &one).expect("it is free");
        let paddr = base + taken * PAGE;
        let by = Occupant::Region { region: there, paddr };
        let in_use = Error::PhysicalInUse { paddr, by };
        let options = RegionOptions::new(pages).at(FREE);
        host.refuses(in_use, |vmm| vmm.map_physical(own, base, &options));
    }
}

/// A28: however few of them can be had at once.
fn pages_at_physical_addresses_lie_one_behind_the_other(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let device = host.machine.device();
    for (first, pages) in [(1, 13), (3, 5), (0, 16), (6, 7)] {
        let options = RegionOptions::new(pages).at(FREE);
        let paddr = device + first * PAGE;
        let region = host.vmm.map_physical(own, paddr, &options).expect("it is free");
        let found: Vec<usize> = host.mappings(own).values().map(|page| page.paddr).collect();
        let expected: Vec<usize> = (0..pages).map(|page| paddr + page * PAGE).collect();
        assert_eq!(found, expected);
        host.check();
        host.vmm.release(region).expect("a region");
    }
    // What is in use is named, wherever it lies; beside it all can be had.
    let one = RegionOptions::new(1).at(FREE + (1 << 24));
    let there = host.vmm.map_physical(own, device + 6 * PAGE, &one).expect("it is free");
    let paddr = device + 6 * PAGE;
    let by = Occupant::Region { region: there, paddr };
    let in_use = Error::PhysicalInUse { paddr, by };
    for (first, pages) in [(0, 16), (1, 13), (6, 1), (4, 3), (6, 2)] {
        let options = RegionOptions::new(pages).at(FREE);
        let refused = host.vmm.map_physical(own, device + first * PAGE, &options);
        assert_eq!(refused, Err(in_use), "{pages} pages from {first}");
        host.check();
    }
    for (first, pages) in [(0, 6), (7, 9)] {
        let options = RegionOptions::new(pages).at(FREE + first * PAGE);
        host.vmm.map_physical(own, device + first * PAGE, &options).expect("it is free");
    }
    host.check();
}
