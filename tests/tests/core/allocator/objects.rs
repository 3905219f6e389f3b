// SPDX-License-Identifier: BSD-2-Clause
//! Objects, one and many.

use std::collections::BTreeSet;

use untyped_alloc::{Blueprint, Error};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, PAGE, Target, on_each};

on_each!(
    every_kind_of_object_can_be_had,
    objects_made_together_lie_together,
    a_freed_object_is_gone_and_its_id_stale,
    the_last_of_many_gives_their_memory_back,
    what_was_freed_singly_is_passed_over,
    everything_comes_back_whole,
    statistics_count_what_is_live,
    control_blocks_come_by_the_page_and_go_with_it,
    where_there_is_no_page_a_control_block_comes_alone,
    where_slots_are_scattered_a_control_block_comes_alone,
);

fn kinds() -> Vec<Blueprint> {
    vec![
        Blueprint::Tcb,
        Blueprint::Endpoint,
        Blueprint::Notification,
        Blueprint::CNode { radix_bits: 5 },
        Blueprint::Untyped { size_bits: 10 },
        FRAME,
        Blueprint::Table { level: 0 },
        Blueprint::Table { level: 1 },
    ]
}

fn every_kind_of_object_can_be_had(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    for kind in kinds() {
        let object = bench.alloc.allocate(&mut bench.kernel, kind).expect("memory");
        assert!(bench.holds(object.slot(), kind), "{kind:?}");
        assert!(bench.alloc.is_allocated(object));
        bench.check();
    }
}

/// A21.
fn objects_made_together_lie_together(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let frames = bench.alloc.allocate_many(&mut bench.kernel, FRAME, 7).expect("memory");
    let (first, _) = bench.memory(frames.first_slot());
    for index in 0..7 {
        let frame = frames.get(index).expect("one of seven").slot();
        assert_eq!(frame, frames.first_slot().offset(index));
        assert_eq!(bench.memory(frame), (first + index * PAGE, PAGE));
    }
    assert_eq!(frames.get(7), None);
    assert_eq!(frames.len(), 7);
    bench.check();
}

/// A23, A24.
fn a_freed_object_is_gone_and_its_id_stale(target: Target) {
    for kind in kinds() {
        let mut bench = Bench::new(Machine::small(target));
        let object = bench.alloc.allocate(&mut bench.kernel, kind).expect("memory");
        bench.alloc.free(&mut bench.kernel, object).expect("it is live");
        assert!(bench.kernel.is_empty_slot(object.slot()), "{kind:?}");
        assert!(!bench.alloc.is_allocated(object));
        let again = bench.alloc.free(&mut bench.kernel, object);
        let slot = object.slot();
        assert!(matches!(again, Err(Error::Stale(s) | Error::NotAllocated(s)) if s == slot));
        // Even when another has its slot.
        let other = bench.alloc.allocate_many(&mut bench.kernel, kind, 1).expect("memory");
        let again = bench.alloc.free(&mut bench.kernel, object);
        assert!(matches!(again, Err(Error::Stale(s) | Error::NotAllocated(s)) if s == slot));
        assert!(bench.holds(other.first_slot(), kind), "the other lives");
        bench.check();
    }
}

fn the_last_of_many_gives_their_memory_back(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let before = bench.alloc.stats().free_bytes();
    let many = bench.alloc.allocate_many(&mut bench.kernel, FRAME, 4).expect("memory");
    for index in 0..4 {
        assert_eq!(bench.alloc.stats().free_bytes(), before - 4 * PAGE, "as long as one lives");
        let one = many.get(index).expect("one of four");
        bench.alloc.free(&mut bench.kernel, one).expect("it is live");
        bench.check();
    }
    assert_eq!(bench.alloc.stats().free_bytes(), before);
}

fn what_was_freed_singly_is_passed_over(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let before = bench.alloc.stats().free_bytes();
    let many = bench.alloc.allocate_many(&mut bench.kernel, Blueprint::Tcb, 5).expect("memory");
    let one = many.get(2).expect("one of five");
    bench.alloc.free(&mut bench.kernel, one).expect("it is live");
    bench.alloc.free_many(&mut bench.kernel, many).expect("four are live");
    assert_eq!(bench.alloc.stats().free_bytes(), before);
    assert!((0..5).all(|n| bench.kernel.is_empty_slot(many.first_slot().offset(n))));
    bench.check();
}

/// A25, A26.
fn everything_comes_back_whole(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a slot");
    let before = bench.alloc.stats();
    let kinds = kinds();
    let objects: Vec<_> = (0..40)
        .map(|n| bench.alloc.allocate(&mut bench.kernel, kinds[n % 8]).expect("memory"))
        .collect();
    for object in objects {
        bench.alloc.free(&mut bench.kernel, object).expect("it is live");
    }
    bench.alloc.trim(&mut bench.kernel).expect("trimming");
    let after = bench.alloc.stats();
    assert_eq!(after.free_by_size, before.free_by_size, "every block is whole again");
    assert_eq!(after.free_slots, before.free_slots);
    assert_eq!(after.live, before.live);
    bench.check();
}

/// A29, I12.
fn statistics_count_what_is_live(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    bench.alloc.allocate_many(&mut bench.kernel, Blueprint::Endpoint, 3).expect("memory");
    bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory");
    bench.frames(5);
    bench.alloc.alloc_table(&mut bench.kernel, 1).expect("memory");
    let live = bench.alloc.stats().live;
    assert_eq!((live.endpoints, live.tcbs, live.frames[0], live.tables), (3, 1, 5, 1));
    assert_eq!((live.cnodes, live.notifications, live.vspaces, live.untypeds), (0, 0, 0, 0));
}

/// How many thread control blocks a page has.
fn blocks_of_a_page(target: Target) -> usize {
    PAGE >> target.architecture().sizes.tcb_bits
}

/// A290, A86: one that stays keeps its page, and no other.
fn control_blocks_come_by_the_page_and_go_with_it(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let (each, before) = (blocks_of_a_page(target), bench.alloc.stats().free_bytes());
    let (calls, pages) = (bench.kernel.total_calls(), 8);
    let blocks: Vec<_> = (0..pages * each)
        .map(|_| bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory"))
        .collect();
    let made = bench.kernel.total_calls() - calls;
    assert!(made < 2 * pages as u64, "{made} calls for {pages} pages");
    let page = |bench: &Bench<'_>, slot| bench.memory(slot).0 / PAGE;
    let used: BTreeSet<_> = blocks.iter().map(|block| page(&bench, block.slot())).collect();
    assert_eq!(used.len(), pages, "no page has room for another");
    bench.check();
    // Of each page all go but one.
    let (mut kept, mut seen) = (Vec::new(), BTreeSet::new());
    for block in blocks {
        if seen.insert(page(&bench, block.slot())) {
            kept.push(block);
        } else {
            bench.alloc.free(&mut bench.kernel, block).expect("it is live");
            assert!(bench.kernel.is_empty_slot(block.slot()), "it is destroyed at once");
        }
    }
    bench.check();
    assert_eq!(bench.alloc.stats().free_bytes(), before - pages * PAGE);
    // What went is not had again before its page is whole.
    let next = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory");
    assert!(seen.insert(page(&bench, next.slot())));
    for block in kept {
        let free = bench.alloc.stats().free_bytes();
        bench.alloc.free(&mut bench.kernel, block).expect("it is live");
        assert_eq!(bench.alloc.stats().free_bytes(), free + PAGE, "its page comes back with it");
        bench.check();
    }
    assert!(bench.holds(next.slot(), Blueprint::Tcb), "the others are none of its business");
    // So it does where some of it was never used.
    bench.alloc.free(&mut bench.kernel, next).expect("it is live");
    assert_eq!(bench.alloc.stats().free_bytes(), before);
    bench.check();
}

/// A290.
fn where_there_is_no_page_a_control_block_comes_alone(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let block = |size_bits| Blueprint::Untyped { size_bits };
    let bits = target.architecture().sizes.tcb_bits;
    // None of these is split off anything that could be whole again.
    let pieces = [bits, bits]
        .map(|bits| bench.alloc.allocate(&mut bench.kernel, block(bits)).expect("memory"));
    for size_bits in (bits..=20).rev() {
        while bench.alloc.allocate(&mut bench.kernel, block(size_bits)).is_ok() {}
    }
    let none = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb);
    assert!(matches!(none, Err(Error::OutOfMemory { .. })), "{none:?}");
    for piece in pieces {
        bench.alloc.free(&mut bench.kernel, piece).expect("it is live");
        let alone = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("a piece");
        assert!(bench.holds(alone.slot(), Blueprint::Tcb));
        bench.check();
    }
}

/// A290, A27: the CSpace has all the CNodes that it can have, and no two free slots side by side.
fn where_slots_are_scattered_a_control_block_comes_alone(target: Target) {
    let mut machine = Machine::with_ram(target, vec![(0x400_0000, 26)]).slots(9).pool(400);
    machine.config.image_pages = 420;
    let mut bench = Bench::new(machine);
    let mut taken = Vec::new();
    for count in [256, 16, 1] {
        while let Ok(first) = bench.alloc.alloc_slots(&mut bench.kernel, count) {
            taken.extend((0..count).map(|index| first.offset(index)));
        }
    }
    assert!(bench.alloc.stats().free_bytes() > PAGE * 64, "it is not memory that is short");
    for slot in taken.into_iter().filter(|slot| slot.bits() % 2 == 0).take(200) {
        bench.alloc.free_slots(slot, 1).expect("taken");
    }
    // Those that were held back lie side by side.
    let refused = loop {
        match bench.alloc.alloc_slots(&mut bench.kernel, 2) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::OutOfSlots { .. }), "{refused:?}");
    let alone = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("a slot");
    assert!(bench.holds(alone.slot(), Blueprint::Tcb));
    bench.check();
}
