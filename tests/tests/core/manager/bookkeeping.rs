// SPDX-License-Identifier: BSD-2-Clause
//! The memory of the manager's own records: what it takes, what it holds, that it never lacks.
//!
//! Checks A15, A29 and A71 of `MODEL.md`.

use std::cell::Cell;

use vmm::{Blueprint, Pages, RegionOptions};

use super::FREE;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    book_keeping_is_no_memory_that_is_lost,
    nodes_of_every_kind_are_bytes_in_use,
    book_keeping_takes_of_the_last_untyped_as_many_pages_as_there_are,
    mapping_over_the_ends_of_tables_never_lacks_a_node,
);

/// A29: pages that were mapped for nodes, and frames that will be, serve again; and what is not
/// mapped, kept or free is nothing.
fn book_keeping_is_no_memory_that_is_lost(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).pool(16));
    let own = host.own();
    let before = host.vmm.stats();
    let boot = host.mappings(own).len();
    let (mut grown, mut regions) = (0, 0);
    while grown < 3 {
        host.vmm.map(own, &RegionOptions::new(1).at(FREE + regions * 2 * PAGE)).expect("memory");
        regions += 1;
        let stats = host.vmm.stats();
        grown = stats.bookkeeping_pages;
        let mapped = host.mappings(own).len() - boot;
        assert_eq!(mapped, regions + grown, "pages of callers' and of the manager's");
        assert!(stats.bookkeeping_frames >= grown, "what is mapped was taken");
        let tables = host.vmm.space_stats(own).expect("a space").tables;
        let had = tables - host.kernel().facts().image_tables.len();
        let used = before.free_bytes() - stats.free_bytes();
        assert_eq!(used, (regions + had) * PAGE, "{stats:?}");
        assert!(regions < 10_000, "there is no end");
    }
    // All pages of nodes are counted, and hold as many nodes as go into a page.
    let pages = 16 + grown;
    let bytes = host.vmm.stats().bookkeeping_bytes;
    assert!(bytes <= pages * PAGE && bytes > (pages - 1) * PAGE, "{bytes} of {pages} pages");
    assert_eq!(bytes % size_of::<usize>(), 0, "nodes are aligned");
    assert_eq!(host.vmm.stats().allocator.bookkeeping_bytes % size_of::<usize>(), 0);
    host.check();
}

/// A29: by how much the figure rises when nodes of one kind more are taken.
fn nodes_of_every_kind_are_bytes_in_use(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let last = Cell::new(0);
    let rise = |host: &Fixture<'_>| {
        let stats = host.vmm.stats();
        let used = stats.bookkeeping_bytes_used;
        assert_eq!(used, host.vmm.bookkeeping_bytes_used());
        assert!(used < stats.bookkeeping_bytes, "all are used bytes of nodes");
        used as isize - last.replace(used) as isize
    };
    let region = host.vmm.map(own, &RegionOptions::new(64).at(FREE)).expect("memory");
    for page in (0..64).filter(|page| page % 4 != 0) {
        host.vmm.unmap(own, Pages::at(FREE + page * PAGE)).expect("mapped");
    }
    let lazy = host.vmm.reserve(own, &RegionOptions::new(128)).expect("room").start().bits();
    host.vmm.populate(own, Pages::at(lazy + 60 * PAGE)).expect("memory");
    // Page tables that are ready take no nodes of the allocator's.
    let space = host.vmm.create_space().expect("memory");
    host.vmm.map(space, &RegionOptions::new(1).at(FREE)).expect("memory");
    host.vmm.destroy_space(space).expect("nobody uses it");
    let next_span = FREE + (1 << target.large_bits());
    host.vmm.reserve(own, &RegionOptions::new(1).at(next_span)).expect("room");
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    rise(&host);
    let spare = host.vmm.reserve(own, &RegionOptions::new(1)).expect("room");
    let of_region = rise(&host);
    assert!(of_region > 0, "a region: {of_region}");
    host.vmm.release(spare).expect("a region");
    assert_eq!(rise(&host), -of_region);
    // Far from others, or they would share a window.
    host.vmm.populate(own, Pages::at(lazy + 40 * PAGE)).expect("memory");
    let of_extent = rise(&host);
    assert!(of_extent > 0, "an extent: {of_extent}");
    host.vmm.populate(own, Pages::at(lazy + 10 * PAGE)).expect("memory");
    assert_eq!(rise(&host), of_extent);
    let into = host.vmm.region_at(own, lazy).expect("a space").expect("a region").id;
    let mut share = |page| {
        host.vmm.share_into(own, Pages::at(FREE), into, page).expect("room");
        rise(&host)
    };
    let (of_first_copy, of_second, of_third) = (share(80), share(100), share(120));
    // There are nodes for copies that come one by one from then on.
    assert!(of_first_copy > of_extent, "a group of counts, and a record: {of_first_copy}");
    assert!(of_second > of_extent, "slots for copies that come one by one: {of_second}");
    assert_eq!(of_third, of_extent, "it is in one of those");
    let thread = host.vmm.register_thread(own, tcb, endpoint, "thread").expect("memory");
    let of_thread = rise(&host);
    assert!(of_thread > 0, "a thread: {of_thread}");
    host.vmm.unregister_thread(thread).expect("registered");
    assert_eq!(rise(&host), -of_thread);
    host.vmm.populate(own, Pages::at(next_span)).expect("memory");
    let of_first_page = rise(&host);
    assert!(of_first_page > of_extent, "a page table: {of_first_page}");
    // Roots take nodes of the allocator's now and then.
    let root = Blueprint::Table { level: 0 };
    let mut of_root = isize::MAX;
    let mut of_space = isize::MAX;
    for _ in 0..8 {
        host.vmm.allocate(root).expect("memory");
        of_root = of_root.min(rise(&host));
        host.vmm.create_space().expect("memory");
        of_space = of_space.min(rise(&host));
    }
    assert!(of_space > of_root + of_region, "a space has a root and a region: {of_space}");
    host.vmm.release(region).expect("a region");
    host.check();
}

/// A71: half as many as are taken at a time, a quarter, where there is no more.
fn book_keeping_takes_of_the_last_untyped_as_many_pages_as_there_are(target: Target) {
    for (left_bits, pages) in [(12, 1), (13, 2), (14, 4), (15, 8)] {
        let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 20)]).pool(16));
        let own = host.own();
        let left = host.vmm.allocate(Blueprint::Untyped { size_bits: left_bits }).expect("memory");
        // The boot's nodes are used up, and so are those that come first, with their page table.
        while host.vmm.stats().bookkeeping_pages != 8 {
            host.vmm.reserve(own, &RegionOptions::new(1)).expect("a node");
        }
        for size_bits in (4..20).rev() {
            while host.vmm.allocate(Blueprint::Untyped { size_bits }).is_ok() {}
        }
        let before = host.vmm.stats();
        assert_eq!(before.allocator.untyped_bytes, 0, "nothing is left");
        host.vmm.free(left).expect("an object");
        let frames = before.bookkeeping_frames;
        while host.vmm.stats().bookkeeping_frames == frames {
            host.vmm.reserve(own, &RegionOptions::new(1)).expect("a node");
        }
        let now = host.vmm.stats();
        assert_eq!(now.bookkeeping_frames, frames + pages, "all that there is, up to eight");
        assert_eq!(now.allocator.untyped_bytes, 0);
        // Each of them is used before there is none.
        while host.vmm.reserve(own, &RegionOptions::new(1)).is_ok() {}
        assert_eq!(host.vmm.stats().bookkeeping_pages, frames + pages);
        host.check();
    }
}

/// A15: 256 pages over the ends of page tables of all levels, wherever in a page of nodes the last
/// request ended.
fn mapping_over_the_ends_of_tables_never_lacks_a_node(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).pool(16));
    let own = host.own();
    // The ends of what an entry of the root covers.
    let bits = target.architecture().geometry.levels[0].entry_bits;
    let ends = if matches!(target, Target::Ia32) { 260..420 } else { 1..61 };
    for round in ends {
        let at = (round << bits) - 4 * PAGE;
        let mapped = host.vmm.map(own, &RegionOptions::new(8).at(at));
        assert!(mapped.is_ok(), "round {round}: {mapped:?}");
    }
    assert!(host.vmm.stats().bookkeeping_pages > 0, "the case is about nodes that run low");
    host.check();
}
