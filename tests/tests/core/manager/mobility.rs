// SPDX-License-Identifier: BSD-2-Clause
//! What may move and what must stay come from batches of their own.
//!
//! Checks A91, A131, I20 and I31 of `MODEL.md`.

use std::collections::BTreeSet;

use vmm::{Blueprint, Mobility, ObjectState, PageSize, Pages, RegionOptions, SpaceId, Usage};

use super::compaction::like_a_boot;
use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    what_may_move_shares_no_batch_with_what_must_stay,
    what_stays_keeps_no_batch_of_others_from_coming_back,
    what_stays_keeps_few_places_of_large_pages,
    ready_frames_serve_both_when_there_is_no_other_memory,
    a_batch_that_is_unused_serves_either,
    pages_that_moved_are_not_joined_by_what_must_stay,
    a_batch_that_became_mixed_is_left_alone,
    large_pages_come_back_one_by_one,
);

/// How many small frames in use each batch has that are mapped in `space`, and how many others.
fn batches(host: &Fixture<'_>, space: SpaceId) -> Vec<(usize, usize, Option<Mobility>)> {
    let mapped: BTreeSet<_> = host.mappings(space).into_values().map(|page| page.paddr).collect();
    let mut found = Vec::new();
    for block in host.vmm.allocator().inventory() {
        let Usage::Objects(batch) = block.usage else { continue };
        let is_live = |&index: &usize| {
            batch.object(index).is_some_and(|(_, state)| state == ObjectState::Live)
        };
        let live: Vec<_> = (0..batch.count).filter(is_live).collect();
        let paddr = |index: usize| block.paddr + (index << batch.size_bits);
        let its = live.iter().filter(|&&index| mapped.contains(&paddr(index))).count();
        found.push((its, live.len() - its, batch.mobility));
    }
    found
}

/// Pages singly and in turns: one that must stay, in the own space, for each `of_other` that may
/// move, in another. Returns the starts of the latter.
fn in_turns(host: &mut Fixture<'_>, other: SpaceId, turns: usize, of_other: usize) -> Vec<usize> {
    let (own, mut starts) = (host.own(), Vec::new());
    for _ in 0..turns {
        if host.vmm.map(own, &RegionOptions::new(1)).is_err() {
            break;
        }
        let Ok(region) = host.vmm.map(other, &RegionOptions::new(of_other)) else { break };
        starts.push(region.start().bits());
    }
    starts
}

/// A91.
fn what_may_move_shares_no_batch_with_what_must_stay(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let other = new_space(&mut host);
    assert_eq!(in_turns(&mut host, other, 500, 3).len(), 500);
    let batches = batches(&host, other);
    let mixed: Vec<_> = batches.iter().filter(|batch| batch.0 != 0 && batch.1 != 0).collect();
    assert!(mixed.is_empty(), "{mixed:?} have both");
    let movable = batches.iter().filter(|batch| batch.2 == Some(Mobility::Movable));
    assert_eq!(movable.map(|batch| batch.0).sum::<usize>(), 1500, "they are told");
    host.check();
}

/// A91: until memory is out, a page that stays came with each 64 that may move. Of each of these 64
/// one is left.
fn what_stays_keeps_no_batch_of_others_from_coming_back(target: Target) {
    nine_tenths_are_had_in(target, 20);
}

/// A131, I20: the same, and the memory is had in large pages.
fn what_stays_keeps_few_places_of_large_pages(target: Target) {
    nine_tenths_are_had_in(target, target.large_bits());
}

fn nine_tenths_are_had_in(target: Target, size_bits: u8) {
    let mut host = Fixture::new(like_a_boot(target));
    let other = new_space(&mut host);
    let starts = in_turns(&mut host, other, usize::MAX, 64);
    assert!(starts.len() > 200, "{} turns", starts.len());
    starts.iter().for_each(|&start| {
        host.vmm.unmap(other, Pages::at(start + PAGE).count(63)).expect("mapped")
    });
    let free = host.vmm.stats().allocator.free_bytes();
    let piece = Blueprint::Untyped { size_bits };
    let had = (0..).take_while(|_| host.vmm.allocate(piece).is_ok()).count() << size_bits;
    assert!(had * 10 >= free * 9, "{had} bytes had in 2^{size_bits} of {free} that are free");
    host.check();
}

/// A91: all memory is taken by pages of which one of each 16 stays; the rest serves what may move,
/// and the other way round.
fn ready_frames_serve_both_when_there_is_no_other_memory(target: Target) {
    for own_first in [true, false] {
        let mut host = Fixture::new(Machine::with_ram(target, vec![(0x40_0000, 21)]).slots(13));
        let (own, other) = (host.own(), new_space(&mut host));
        let (first, second) = if own_first { (own, other) } else { (other, own) };
        let mut starts = Vec::new();
        while let Ok(region) = host.vmm.map(first, &RegionOptions::new(16)) {
            starts.push(region.start().bits());
        }
        // What is less than that.
        while host.vmm.map(first, &RegionOptions::new(1)).is_ok() {}
        starts
            .iter()
            .for_each(|&start| host.vmm.unmap(first, Pages::at(start).count(15)).expect("mapped"));
        let ready = host.vmm.stats().allocator.ready_bytes / PAGE;
        let nodes = host.vmm.stats().bookkeeping_frames;
        let had = (0..).take_while(|_| host.vmm.map(second, &RegionOptions::new(1)).is_ok());
        let had = had.count() + host.vmm.stats().bookkeeping_frames - nodes;
        assert!(ready > 300 && had == ready, "{had} pages of {ready} that are ready");
        host.check();
    }
}

/// A91: once nothing of a batch is in use, it is as good as a new one.
fn a_batch_that_is_unused_serves_either(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, other) = (host.own(), new_space(&mut host));
    for space in [own, other, own] {
        let region = host.vmm.map(space, &RegionOptions::new(1)).expect("memory");
        let paddr = host.vmm.physical_address(space, region.start().bits()).expect("mapped");
        host.vmm.release(region).expect("a region");
        let next = if space == own { other } else { own };
        let region = host.vmm.map(next, &RegionOptions::new(1)).expect("memory");
        let again = host.vmm.physical_address(next, region.start().bits()).expect("mapped");
        assert_eq!(again >> 16, paddr >> 16, "no other batch was made");
        host.vmm.release(region).expect("a region");
        host.check();
    }
}

/// A91: pages that were moved into a batch of what stays, for want of another place, are by
/// themselves once that is freed.
fn pages_that_moved_are_not_joined_by_what_must_stay(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, other) = (host.own(), new_space(&mut host));
    let moving = host.vmm.map(other, &RegionOptions::new(32)).expect("memory");
    for _ in 0..8 {
        let stays = host.vmm.map(own, &RegionOptions::new(128)).expect("memory");
        host.vmm.unmap(own, Pages::at(stays.start().bits() + PAGE).count(127)).expect("mapped");
        let before = host.vmm.stats().moved_pages;
        assert_eq!(host.vmm.compact(12), Ok(true), "there is room beside what stays");
        assert_eq!(host.vmm.stats().moved_pages - before, 32, "all of them moved");
        host.vmm.release(stays).expect("a region");
        host.check();
    }
    host.vmm.release(moving).expect("a region");
}

/// A91: memory was out, so what must stay came beside what may move; of both something is left when
/// there is memory again. Neither is put there then.
fn a_batch_that_became_mixed_is_left_alone(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, other) = (host.own(), new_space(&mut host));
    let mut starts = Vec::new();
    while let Ok(region) = host.vmm.map(other, &RegionOptions::new(64)) {
        starts.push(region.start().bits());
    }
    while host.vmm.map(other, &RegionOptions::new(1)).is_ok() {}
    host.vmm.unmap(other, Pages::at(starts[0]).count(32)).expect("mapped");
    let stays = host.vmm.map(own, &RegionOptions::new(8)).expect("ready frames");
    for &start in &starts[1..] {
        host.vmm.unmap(other, Pages::at(start).count(64)).expect("mapped");
    }
    let mixed = |host: &Fixture<'_>| {
        let of = |batch: &(usize, usize, Option<Mobility>)| batch.0 != 0 && batch.1 != 0;
        batches(host, other).into_iter().filter(of).collect::<Vec<_>>()
    };
    let before = mixed(&host);
    assert!(matches!(before[..], [(_, 8, None)]), "{before:?}");
    in_turns(&mut host, other, 100, 3);
    assert_eq!(mixed(&host), before, "nothing came to it");
    host.vmm.release(stays).expect("a region");
    host.check();
}

/// I31: large pages of one request are batches of their own, so the memory of each comes back when
/// it is unmapped, whatever the others do.
fn large_pages_come_back_one_by_one(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, bits) = (host.own(), target.large_bits());
    let small_pages = 1 << (bits - 12);
    let options = RegionOptions::new(3 * small_pages).page_size(PageSize::Large { bits });
    let region = host.vmm.map(own, &options).expect("memory");
    host.check();
    host.vmm.trim().expect("nothing is refused");
    for page in [1, 0, 2] {
        let free = host.vmm.stats().free_bytes();
        let start = region.start().bits() + page * (small_pages * PAGE);
        host.vmm.unmap(own, Pages::at(start).count(small_pages)).expect("mapped");
        host.vmm.trim().expect("nothing is refused");
        let back = host.vmm.stats().free_bytes() - free;
        assert!(back >= 1 << bits, "{back} bytes of page {page} came back");
        host.check();
    }
    host.vmm.release(region).expect("a region");
}
