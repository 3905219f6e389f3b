// SPDX-License-Identifier: BSD-2-Clause
//! What was looked for in vain is looked for anew once pages may move that could not.
//!
//! Checks A133 and I18 of `MODEL.md`.

use vmm::{
    Backing, Blueprint, PageSize, Pages, RegionId, RegionOptions, ShareOptions, SpaceId, Supply,
    ThreadMemory, ThreadOptions,
};

use super::compaction::like_a_boot;
use super::new_space;
use crate::support::{Fixture, PAGE, Target, on_both};

on_both!(
    once_a_thread_is_registered,
    once_the_copies_are_gone,
    once_a_buffer_is_released,
    once_memory_is_unpinned,
    once_pages_are_handed_on,
);

/// Regions of 64 pages, of each of which one is left.
fn scattered(host: &mut Fixture<'_>, space: SpaceId) -> Vec<RegionId> {
    let options = RegionOptions::new(64).page_size(PageSize::Small);
    let regions: Vec<_> = (0..8).map(|_| host.vmm.map(space, &options).expect("memory")).collect();
    for region in &regions {
        let others = Pages::at(region.start().bits() + PAGE).count(63);
        host.vmm.unmap(space, others).expect("mapped");
    }
    regions
}

/// Compaction is in vain, until `change` lets pages move: no memory comes back by it. `check` holds
/// what is remembered to what is so.
fn is_looked_for_anew(host: &mut Fixture<'_>, change: impl FnOnce(&mut Fixture<'_>)) {
    host.vmm.trim().expect("no call is refused");
    while host.vmm.compact(16).expect("no call is refused") {}
    host.check();
    let moved = host.vmm.stats().moved_pages;
    change(host);
    host.check();
    assert_eq!(host.vmm.compact(16), Ok(true), "pages may move");
    assert_ne!(host.vmm.stats().moved_pages, moved);
    host.check();
}

/// A133.
fn once_a_thread_is_registered(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    host.vmm.allocate_ipc_buffer(space).expect("memory");
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    scattered(&mut host, space);
    is_looked_for_anew(&mut host, |host| {
        host.vmm.register_thread(space, tcb, endpoint, "t").expect("memory");
    });
}

/// A133: of each share one page is unmapped, and another, beside it, is left.
fn once_the_copies_are_gone(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (space, other) = (new_space(&mut host), new_space(&mut host));
    // It keeps their page table in use.
    let mut copies = Vec::new();
    for region in scattered(&mut host, space) {
        let at = Pages::at(region.start().bits());
        copies.push(host.vmm.share(space, at, other, &ShareOptions::new()).expect("memory"));
    }
    host.vmm.map(other, &RegionOptions::new(1)).expect("memory");
    is_looked_for_anew(&mut host, |host| {
        copies.into_iter().for_each(|copy| host.vmm.release(copy).expect("a region"));
    });
}

/// A133: one of two buffers that share a page: the other's thread is registered.
fn once_a_buffer_is_released(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    let buffer = host.vmm.allocate_packed_ipc_buffer(space).expect("memory");
    host.vmm.allocate_packed_ipc_buffer(space).expect("memory");
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    host.vmm.register_thread(space, tcb, endpoint, "t").expect("memory");
    scattered(&mut host, space);
    is_looked_for_anew(&mut host, |host| {
        host.vmm.release_ipc_buffer(buffer).expect("a buffer");
    });
}

/// A133.
fn once_memory_is_unpinned(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    let options =
        ThreadOptions { stack_pages: 3, guard_pages: 1, growing: None, tls: None, name: "t" };
    let pinned: Vec<ThreadMemory> = (0..16)
        .map(|_| {
            let memory = host.vmm.allocate_thread_memory(space, &options).expect("memory");
            host.vmm.pin_thread_memory(memory).expect("few are pinned");
            memory
        })
        .collect();
    // All are registered, so nothing but the pins keeps their stacks.
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    for _ in &pinned {
        let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
        host.vmm.register_thread(space, tcb, endpoint, "t").expect("memory");
    }
    is_looked_for_anew(&mut host, |host| {
        pinned.into_iter().for_each(|memory| host.vmm.unpin_thread_memory(memory));
    });
}

/// A133: pages of a pager in the own space, where nothing moves, become its client's.
fn once_pages_are_handed_on(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, space) = (host.own(), new_space(&mut host));
    let paged = RegionOptions::new(8).backed(Backing::Pager { token: 1 });
    let paged = host.vmm.reserve(space, &paged).expect("addresses").start().bits();
    // It keeps the page table that is wanted.
    host.vmm.map(space, &RegionOptions::new(1)).expect("memory");
    let pages = scattered(&mut host, own);
    is_looked_for_anew(&mut host, |host| {
        for (number, page) in pages.iter().enumerate() {
            let (to, from) = (paged + number * PAGE, page.start().bits());
            host.vmm.supply_page(space, to, own, from, Supply::Transfer).expect("it is exclusive");
        }
    });
}
