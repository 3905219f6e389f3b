// SPDX-License-Identifier: BSD-2-Clause
//! When memory is short: what is free can be had, and what cannot be had costs nothing.
//!
//! Checks A67–A72 of `MODEL.md`.

use vmm::{Error, PageSize, Pages, Quota, RegionId, RegionOptions, Resource};
use vmm_tests::support::{out_of_memory, without_amounts};

use super::FREE;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    freed_large_pages_serve_small_ones,
    ready_large_pages_serve_one_small_page,
    ready_small_frames_serve_large_pages,
    kept_tables_count_against_no_quota,
    kept_tables_are_given_back_when_memory_is_out,
    more_than_there_is_is_refused_before_anything_is_done,
    book_keeping_comes_from_frames_that_are_ready,
);

/// 56 MiB as a boot leaves them: blocks of 8 to 32 MiB, and little book-keeping.
fn like_a_boot(target: Target) -> Machine {
    Machine::with_ram(target, (23..=25).map(|bits| (1 << bits, bits)).collect()).pool(16)
}

/// Maps single regions of `pages` until no more are to be had.
fn map_all(host: &mut Fixture<'_>, pages: usize, size: PageSize) -> Vec<RegionId> {
    let (own, mut had) = (host.own(), Vec::new());
    while let Ok(region) = host.vmm.map(own, &RegionOptions::new(pages).page_size(size)) {
        had.push(region);
    }
    had
}

/// Bytes that are free, without those that serve for book-keeping.
fn free_bytes(host: &Fixture<'_>) -> usize {
    host.vmm.stats().allocator.free_bytes()
}

/// A67: every one of four large pages stays, the memory of the others serves small ones.
fn freed_large_pages_serve_small_ones(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, bits) = (host.own(), target.large_bits());
    let per_large = 1 << (bits - 12);
    // A part of one goes for book-keeping.
    let large = (56 << 20 >> bits) - 1;
    let options = RegionOptions::new(large * per_large).at(FREE);
    host.vmm.map(own, &options.page_size(PageSize::Large { bits })).expect("memory");
    for index in (0..large).filter(|index| index % 4 != 0) {
        host.vmm.unmap(own, Pages::at(FREE + (index << bits)).count(per_large)).expect("mapped");
    }
    host.check();
    let free = free_bytes(&host) / PAGE;
    let had = 64 * map_all(&mut host, 64, PageSize::Small).len();
    assert!(had > free * 95 / 100, "{had} pages to be had of {free} that are free");
    host.check();
}

/// A67: what `Auto` took and gave back as large pages serves the last small one.
fn ready_large_pages_serve_one_small_page(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, bits) = (host.own(), target.large_bits());
    let per_large = 1 << (bits - 12);
    let mut starts = Vec::new();
    let options = RegionOptions::new(3 * per_large).aligned(bits).page_size(PageSize::Auto);
    while let Ok(region) = host.vmm.map(own, &options) {
        starts.push(region.start().bits());
    }
    map_all(&mut host, 1, PageSize::Auto);
    for (round, &start) in starts[..2].iter().enumerate() {
        // All is used. Two large pages are given back.
        host.vmm.unmap(own, Pages::at(start).count(2 * per_large)).expect("mapped");
        host.vmm.map(own, &RegionOptions::new(1)).expect("one small page");
        let had = map_all(&mut host, 64, PageSize::Small).len() * 64 * PAGE;
        // In pieces of 64 pages, and less a table for each span.
        assert!(had > (2 << bits) * 90 / 100, "{had} bytes had, round {round}");
        host.check();
    }
}

/// A67: what a request in vain took of all memory serves a large page that is preferred.
fn ready_small_frames_serve_large_pages(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, bits) = (host.own(), target.large_bits());
    let per_large = 1 << (bits - 12);
    // Its tables and its book-keeping are too much.
    let most = host.vmm.allocator().most_frame_bytes() / PAGE;
    let vain = host.vmm.map(own, &RegionOptions::new(most - 2).at(FREE));
    assert_eq!(vain.expect_err("there is not so much").blame(), vmm::Blame::Resource);
    let large = host.vmm.allocator().has_frames(bits);
    assert!(!large, "the case is about memory that is all small frames");
    let options = RegionOptions::new(3 * per_large).aligned(bits).page_size(PageSize::Auto);
    let region = host.vmm.map(own, &options).expect("memory");
    assert_eq!(host.vmm.large_pages_in(region), Ok(3 * per_large));
    host.check();
}

/// One page in each of four spans of a page table, `from` spans behind the start.
fn four_spans(host: &mut Fixture<'_>, target: Target, from: usize) -> Vec<Result<RegionId, Error>> {
    let own = host.own();
    let at = |span: usize| FREE + ((from + span) << target.large_bits());
    (0..4).map(|span| host.vmm.map(own, &RegionOptions::new(1).at(at(span)))).collect()
}

/// A68: a space that may have four page tables and has none in use is not refused one.
fn kept_tables_count_against_no_quota(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let own = host.own();
    let regions = four_spans(&mut host, target, 0);
    let limit = host.vmm.usage(own).unwrap().tables;
    regions.into_iter().for_each(|region| host.vmm.release(region.expect("memory")).unwrap());
    assert_eq!(host.vmm.stats().kept_tables, 4, "the case is about tables that are kept");
    host.vmm.set_quota(own, Quota { tables: limit, ..Quota::UNLIMITED }).unwrap();
    // In places of which no kept table is, so that each needs another.
    let again = four_spans(&mut host, target, 8);
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    host.check();
    let fifth = four_spans(&mut host, target, 16);
    let refused = |answer: &Result<RegionId, Error>| match *answer {
        Err(Error::OutOfQuota { resource: Resource::Tables, limit: is, used, .. }) => {
            (is, used) == (limit, limit)
        }
        _ => false,
    };
    assert!(fifth.iter().all(refused), "a table in use does count: {fifth:?}");
    host.check();
}

/// A68.
fn kept_tables_are_given_back_when_memory_is_out(target: Target) {
    let mut host = Fixture::small(target);
    let regions = four_spans(&mut host, target, 0);
    regions.into_iter().for_each(|region| host.vmm.release(region.expect("memory")).unwrap());
    let (kept, free) = (host.vmm.stats().kept_tables, free_bytes(&host) / PAGE);
    assert_eq!(kept, 4, "the case is about tables that are kept");
    let had = map_all(&mut host, 1, PageSize::Small).len();
    assert_eq!(host.vmm.stats().kept_tables, 0, "with no memory left, none is kept");
    // One table is needed for what was mapped, and some are held back; what each had is a page.
    let held = host.vmm.stats().allocator.held_bytes / PAGE;
    assert!(had + held > free, "{had} pages had, {free} were free beside {kept} tables");
    host.check();
}

/// A69: no kernel call, and no memory that serves less well than before.
fn more_than_there_is_is_refused_before_anything_is_done(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, bits) = (host.own(), target.large_bits());
    host.vmm.map(own, &RegionOptions::new(100)).expect("memory");
    let before = host.vmm.stats().allocator;
    let calls = host.kernel().total_calls();
    let pages = ((56 << 20 >> bits) + 1) << (bits - 12);
    for size in [PageSize::Small, PageSize::Auto, PageSize::Large { bits }] {
        for pages in [pages, 2 * pages] {
            let options = RegionOptions::new(pages).at(FREE).page_size(size);
            let refused = Err(Error::from(out_of_memory(12)));
            let made = host.vmm.map(own, &options).map(drop).map_err(without_amounts);
            assert_eq!(made, refused, "{pages} pages of {size:?}");
        }
    }
    assert_eq!(host.kernel().total_calls(), calls, "nothing was done for it");
    // A page of the boot's may have become nodes.
    let bookkeeping_bytes = before.bookkeeping_bytes;
    let after = untyped_alloc::Stats { bookkeeping_bytes, ..host.vmm.stats().allocator };
    assert_eq!(after, before);
    host.check();
}

/// A71, A72: every second page of all memory is given back while no untyped is left, which takes a
/// node for each of them; and a neighbour has its page.
fn book_keeping_comes_from_frames_that_are_ready(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 23)]).pool(16));
    let own = host.own();
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    host.vmm.map(other, &RegionOptions::new(1).at(FREE)).expect("memory");
    let lazy = RegionOptions::new(4).at(FREE + 16 * PAGE);
    host.vmm.reserve(other, &lazy).expect("room");
    let regions = map_all(&mut host, 64, PageSize::Small);
    map_all(&mut host, 1, PageSize::Small);
    assert!(regions.len() * 64 * PAGE > 6 << 20, "{} regions", regions.len());
    assert!(host.vmm.stats().allocator.untyped_bytes < PAGE, "no untyped is left");
    let frames = host.vmm.stats().bookkeeping_frames;
    for region in &regions {
        for page in (1..64).step_by(2) {
            let unmapped = host.vmm.unmap(own, Pages::at(region.start().bits() + page * PAGE));
            assert!(unmapped.is_ok(), "page {page} of {region:?}: {unmapped:?}");
        }
    }
    assert!(host.vmm.stats().bookkeeping_frames > frames, "the case is about book-keeping");
    host.check();
    host.vmm
        .populate(other, Pages::at(FREE + 16 * PAGE).count(4))
        .expect("a neighbour has its pages");
    host.check();
    // All comes back.
    regions.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
    host.check();
}
