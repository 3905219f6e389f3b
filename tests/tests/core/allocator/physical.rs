// SPDX-License-Identifier: BSD-2-Clause
//! Memory at a physical address.

use untyped_alloc::{Blueprint, Error};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, PAGE, Target, on_each};

on_each!(
    any_page_of_a_device_can_be_had,
    a_device_comes_back_whole,
    ram_can_be_had_by_address,
    ram_that_is_free_in_pieces_is_coalesced,
    memory_in_use_is_not_given_twice,
    slots_that_must_grow_do_not_take_the_memory,
    memory_ends_where_the_word_ends,
);

const DEVICE: usize = 0xf000_0000;

/// A28.
fn any_page_of_a_device_can_be_had(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    for page in [3, 0, 15, 7] {
        let paddr = DEVICE + page * PAGE;
        let frame = bench.alloc.allocate_at(&mut bench.kernel, FRAME, paddr, 1).expect("free");
        assert_eq!(bench.memory(frame.first_slot()), (paddr, PAGE));
        bench.check();
    }
    assert_eq!(bench.kernel.bytes_cleared(), 0, "device memory is never cleared");
}

fn a_device_comes_back_whole(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a slot");
    let before = bench.alloc.free_slot_count();
    for _ in 0..3 {
        let page = bench.alloc.allocate_at(&mut bench.kernel, FRAME, DEVICE + 0x5000, 1);
        bench.alloc.free_many(&mut bench.kernel, page.expect("free")).expect("live");
        assert_eq!(bench.alloc.free_slot_count(), before, "what it was split into is coalesced");
        let all = bench.alloc.allocate_at(&mut bench.kernel, FRAME, DEVICE, 16).expect("whole");
        assert_eq!(bench.memory(all.first_slot()).0, DEVICE);
        bench.alloc.free_many(&mut bench.kernel, all).expect("live");
        bench.check();
    }
}

/// A28.
fn ram_can_be_had_by_address(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let paddr = 0x104_2000;
    let frames = bench.alloc.allocate_at(&mut bench.kernel, FRAME, paddr, 2).expect("free");
    assert_eq!(bench.memory(frames.first_slot()), (paddr, PAGE));
    assert_eq!(bench.memory(frames.first_slot().offset(1)), (paddr + PAGE, PAGE));
    bench.check();
}

/// A26, A28.
fn ram_that_is_free_in_pieces_is_coalesced(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 16)]));
    let frames = bench.frames(16);
    frames.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
    let whole = Blueprint::Untyped { size_bits: 16 };
    let whole = bench.alloc.allocate_at(&mut bench.kernel, whole, 0x100_0000, 1).expect("free");
    assert_eq!(bench.memory(whole.first_slot()), (0x100_0000, 1 << 16));
    bench.check();
}

/// A28.
fn memory_in_use_is_not_given_twice(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let paddr = DEVICE + 0x4000;
    bench.alloc.allocate_at(&mut bench.kernel, FRAME, paddr, 1).expect("free");
    for (at, count) in [(paddr, 1), (DEVICE + 0x4000, 4), (DEVICE, 16)] {
        let again = bench.alloc.allocate_at(&mut bench.kernel, FRAME, at, count);
        assert_eq!(again, Err(Error::AddressInUse(paddr)), "{at:#x}, {count}");
        bench.check();
    }
}

fn slots_that_must_grow_do_not_take_the_memory(target: Target) {
    // All RAM is one block. Growing the CSpace splits it.
    let machine = Machine::with_ram(target, vec![(0x100_0000, 20)]).slots(9);
    let mut bench = Bench::new(machine);
    while bench.alloc.grown_root().is_none() && bench.alloc.free_slot_count() > 80 {
        bench.alloc.alloc_slots(&mut bench.kernel, 8).expect("slots");
    }
    let frames = bench.alloc.allocate_at(&mut bench.kernel, FRAME, 0x100_0000, 32);
    bench.check();
    if let Ok(frames) = frames {
        assert_eq!(bench.memory(frames.first_slot()).0, 0x100_0000);
    }
    let frames = bench.alloc.allocate_at(&mut bench.kernel, FRAME, 0x108_0000, 32);
    assert_eq!(bench.memory(frames.expect("it is free").first_slot()).0, 0x108_0000);
    bench.check();
}

/// A26, A28, I10: on a host of 32 bits this is memory that ends at 2^32.
fn memory_ends_where_the_word_ends(target: Target) {
    let (ram, device) = (usize::MAX << 20, usize::MAX << 22);
    let mut machine = Machine::with_ram(target, vec![(0x100_0000, 16), (ram, 20)]);
    machine.config.devices = vec![(device, 21)];
    let mut bench = Bench::new(machine);
    bench.check();
    let whole = bench.alloc.stats();
    let last = usize::MAX - (PAGE - 1);
    let frame = bench.alloc.allocate_at(&mut bench.kernel, FRAME, last, 1).expect("it is free");
    assert_eq!(bench.memory(frame.first_slot()), (last, PAGE));
    bench.check();
    let taken = bench.alloc.allocate_at(&mut bench.kernel, FRAME, last, 1);
    assert_eq!(taken, Err(Error::AddressInUse(last)));
    bench.alloc.free_many(&mut bench.kernel, frame).expect("it is live");
    // All of it by address, and then anyhow: each page once.
    let all = bench.alloc.allocate_at(&mut bench.kernel, FRAME, ram, 256).expect("it is free");
    assert_eq!(bench.memory(all.first_slot().offset(255)), (last, PAGE));
    bench.alloc.free_many(&mut bench.kernel, all).expect("they are live");
    let runs = bench.frames(256);
    let mut pages: Vec<usize> = Vec::new();
    for run in &runs {
        pages.extend((0..run.count).map(|index| bench.memory(run.first.offset(index)).0));
    }
    assert_eq!(pages.iter().max(), Some(&last));
    bench.check();
    runs.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
    let beyond = bench.alloc.allocate_at(&mut bench.kernel, FRAME, last, 2);
    assert!(beyond.is_err(), "there is nothing behind the last page: {beyond:?}");
    let top = device + (1 << 21) - PAGE;
    let page = bench.alloc.allocate_at(&mut bench.kernel, FRAME, top, 1).expect("it is free");
    bench.alloc.free_many(&mut bench.kernel, page).expect("it is live");
    bench.alloc.trim(&mut bench.kernel).expect("no call is refused");
    let now = bench.alloc.stats();
    assert_eq!((now.untyped_bytes, now.free_by_size), (whole.untyped_bytes, whole.free_by_size));
    bench.check();
}
