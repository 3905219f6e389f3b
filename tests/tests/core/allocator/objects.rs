// SPDX-License-Identifier: BSD-2-Clause
//! Objects, one and many.

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
