//! Memory at a physical address.

use untyped_alloc::{Blueprint, Error};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, PAGE, Target, on_both};

on_both!(
    any_page_of_a_device_can_be_had,
    a_device_comes_back_whole,
    ram_can_be_had_by_address,
    ram_that_is_free_in_pieces_is_coalesced,
    memory_in_use_is_not_given_twice,
    slots_that_must_grow_do_not_take_the_memory,
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
