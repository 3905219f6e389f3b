// SPDX-License-Identifier: BSD-2-Clause
//! A request that can be met is met the first time, whatever was there before and however long it
//! is.

use vmm::{Blame, Error, Pages, Placement, RegionOptions};
use vmm_tests::model::Arena;

use super::FREE;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    right_after_boot_any_size_is_mapped_at_once,
    beside_any_number_of_used_spans_too,
    sparse_regions_are_cloned_at_once,
    what_is_refused_for_want_of_memory_leaves_all_of_it,
    identifiers_for_spaces_run_out_and_come_back,
    a_page_that_is_shared_too_often_says_so,
);

/// 512 MiB as a boot leaves them: blocks of all sizes, few nodes, 65,536 slots.
fn like_a_boot(target: Target) -> Machine {
    let ram = (23..=27).map(|bits| (1 << bits, bits));
    let machine = Machine::with_ram(target, ram.collect()).slots(16);
    // As small as `BootPool` is on the real kernel.
    machine.pool(16)
}

/// Bytes that one page table covers, in pages.
fn span(target: Target) -> usize {
    (1 << target.large_bits()) / PAGE
}

fn right_after_boot_any_size_is_mapped_at_once(target: Target) {
    // All small ones, one page more and one less than each power of two, and what fits badly.
    let most = 64 << 20 >> 12;
    let powers = (4..=14).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]);
    let odd = (1..64).map(|part| part * most / 64 + 37 * part % 11);
    for pages in (1..=16).chain(powers).chain(odd).filter(|&pages| pages <= most) {
        let arena = Arena::new();
        let mut host = Fixture::boot(&arena, like_a_boot(target));
        let own = host.own();
        let mapped = host.vmm.map(own, &RegionOptions::new(pages));
        assert!(mapped.is_ok(), "{pages} pages right after boot: {mapped:?}");
        assert_eq!(host.vmm.space_stats(own).unwrap().mapped_pages, pages + own_pages(&host));
    }
}

/// Pages that the manager maps for its own book-keeping.
fn own_pages(host: &Fixture<'_>) -> usize {
    host.vmm.stats().bookkeeping_pages
}

fn beside_any_number_of_used_spans_too(target: Target) {
    let span = span(target);
    for spans in (60..80).chain(165..180).chain(268..280) {
        let arena = Arena::new();
        let mut host = Fixture::boot(&arena, like_a_boot(target));
        let own = host.own();
        for index in 0..spans {
            let one = RegionOptions::new(1).at(FREE + index * span * PAGE);
            host.vmm.map(own, &one).unwrap_or_else(|error| panic!("span {index}: {error}"));
        }
        let mapped = host.vmm.map(own, &RegionOptions::new(12 * span + 5));
        assert!(mapped.is_ok(), "beside {spans} spans: {mapped:?}");
    }
}

fn sparse_regions_are_cloned_at_once(target: Target) {
    let span = span(target);
    for spans in [2, 8, 9, 16, 17, 32, 33] {
        let arena = Arena::new();
        let mut host = Fixture::boot(&arena, like_a_boot(target));
        let own = host.own();
        let sparse = RegionOptions::new(spans * span).at(FREE);
        let region = host.vmm.reserve(own, &sparse).expect("room");
        for index in 0..spans {
            host.vmm.populate(own, Pages::at(FREE + index * span * PAGE)).expect("memory");
        }
        let other = host.vmm.create_space().expect("memory");
        let cloned = host.vmm.clone_region(region, other, Placement::at(FREE));
        assert!(cloned.is_ok(), "{spans} spans: {cloned:?}");
        assert_eq!(host.vmm.space_stats(other).unwrap().mapped_pages, spans);
    }
}

/// What cannot be met leaves what it found: the next request gets as much as before.
fn what_is_refused_for_want_of_memory_leaves_all_of_it(target: Target) {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, Machine::with_ram(target, vec![(1 << 24, 24)]).slots(13));
    let own = host.own();
    let more_than_all = RegionOptions::new((24 << 20) / PAGE);
    let refused = host.vmm.map(own, &more_than_all);
    assert!(matches!(refused, Err(Error::Allocator(_))), "{refused:?}");
    host.check();
    host.vmm.trim().expect("no call is refused");
    let half = host.vmm.map(own, &RegionOptions::new((8 << 20) / PAGE));
    assert!(half.is_ok(), "{half:?}");
    host.check();
}

/// What is used up blames a resource, and comes back with what used it.
fn identifiers_for_spaces_run_out_and_come_back(target: Target) {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, like_a_boot(target));
    let mut spaces = Vec::new();
    let refused = loop {
        match host.vmm.create_space() {
            Ok(space) => spaces.push(space),
            Err(error) => break error,
        }
        assert!(spaces.len() <= 8 * 1024, "there is no end");
    };
    assert_eq!((refused, refused.blame()), (Error::OutOfAsids, Blame::Resource));
    assert!(spaces.len() > 1024, "more than one pool was used");
    let last = spaces.pop().expect("many");
    host.vmm.destroy_space(last).expect("nothing is in it");
    host.vmm.create_space().expect("an identifier is free again");
    assert_eq!(host.vmm.create_space(), Err(Error::OutOfAsids));
}

/// 32,767 copies of one frame are counted; the next is refused as what it is.
fn a_page_that_is_shared_too_often_says_so(target: Target) {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, like_a_boot(target));
    let own = host.own();
    let page = host.vmm.map(own, &RegionOptions::new(1)).expect("memory").start().bits();
    let sharers = 32_767;
    let target_region = host.vmm.reserve(own, &RegionOptions::new(sharers + 1)).expect("room");
    for index in 0..sharers {
        let shared = host.vmm.share_into(own, Pages::at(page), target_region, index);
        shared.unwrap_or_else(|error| panic!("sharer {index}: {error}"));
    }
    let refused = host.vmm.share_into(own, Pages::at(page), target_region, sharers).unwrap_err();
    assert_eq!(refused, Error::SharedTooOften { address: page });
    assert_eq!(refused.blame(), Blame::Resource);
    // One less, and there is room for one.
    host.vmm.unmap(own, Pages::at(target_region.start().bits())).expect("it is mapped");
    host.vmm.share_into(own, Pages::at(page), target_region, sharers).expect("counted");
}
