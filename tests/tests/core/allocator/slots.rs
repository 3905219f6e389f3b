//! Capability slots: runs of them, and a CSpace that grows.

use untyped_alloc::{Blueprint, CPtr, Error};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_both};

on_both!(
    slots_come_empty_and_consecutive,
    slots_are_given_back_once,
    slots_that_were_never_handed_out_are_refused,
    the_cspace_grows_and_shrinks,
    objects_in_a_grown_cspace_work,
);

/// A27.
fn slots_come_empty_and_consecutive(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for count in [1, 2, 3, 7, 16, 100, 256, 1, 31] {
        let first = bench.alloc.alloc_slots(&mut bench.kernel, count).expect("slots");
        assert!((0..count).all(|n| bench.kernel.is_empty_slot(first.offset(n))));
        let range = (first.bits(), first.bits() + count);
        assert!(taken.iter().all(|other| range.1 <= other.0 || other.1 <= range.0));
        assert!(range.0 >= bench.kernel.facts().free.start && range.1 <= 2048);
        taken.push(range);
        bench.check();
    }
}

/// A24, A27, I13.
fn slots_are_given_back_once(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let first = bench.alloc.alloc_slots(&mut bench.kernel, 8).expect("slots");
    let free = bench.alloc.free_slot_count();
    bench.alloc.free_slots(first.offset(2), 3).expect("they were taken");
    assert_eq!(bench.alloc.free_slot_count(), free + 3);
    for (at, count) in [(2, 1), (4, 2), (0, 8), (1, 2)] {
        let slot = first.offset(at);
        let refused = Err(Error::NotAllocated(slot));
        assert_eq!(bench.alloc.free_slots(slot, count), refused, "{at}, {count}");
    }
    assert_eq!(bench.alloc.free_slots(first, 0), Err(Error::NotAllocated(first)));
    assert_eq!(bench.alloc.free_slot_count(), free + 3);
    bench.check();
}

fn slots_that_were_never_handed_out_are_refused(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let object = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory");
    let table = bench.alloc.alloc_table(&mut bench.kernel, 1).expect("memory");
    let boot = CPtr::new(bench.kernel.facts().untypeds[0].slot);
    let beyond = [CPtr::NULL, CPtr::new(1), boot, CPtr::new(2047), CPtr::new(5000)];
    let far = CPtr::new(usize::MAX);
    for slot in beyond.into_iter().chain([far, object.slot(), table]) {
        let answer = bench.alloc.free_slots(slot, 1);
        assert_eq!(answer, Err(Error::NotAllocated(slot)), "{slot:?} is not the caller's");
    }
    bench.check();
    let slot = bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a slot");
    assert!(bench.kernel.is_empty_slot(slot));
}

/// A27.
fn the_cspace_grows_and_shrinks(target: Target) {
    // 1 MiB, and hardly more slots than the boot left.
    let mut bench = Bench::new(Machine::small(target).slots(9));
    let runs: Vec<CPtr> = (0..50)
        .map(|_| bench.alloc.alloc_slots(&mut bench.kernel, 200).expect("the CSpace grows"))
        .collect();
    assert!(bench.alloc.grown_root().is_some());
    for &first in &runs {
        assert!((0..200).all(|n| bench.kernel.is_empty_slot(first.offset(n))), "{first:?}");
    }
    bench.check();
    runs.into_iter().for_each(|first| bench.alloc.free_slots(first, 200).expect("taken"));
    bench.alloc.trim(&mut bench.kernel).expect("trimming");
    let stats = bench.alloc.stats();
    assert_eq!(stats.live.cnodes, 1, "only the root is kept");
    assert!(stats.free_slots < 512, "the others are given back");
    bench.check();
}

fn objects_in_a_grown_cspace_work(target: Target) {
    let mut bench = Bench::new(Machine::small(target).slots(9));
    // The initial CNode is full of these.
    for _ in 0..6 {
        bench.alloc.alloc_slots(&mut bench.kernel, 64).expect("slots");
    }
    let objects: Vec<_> =
        (0..40).map(|_| bench.alloc.allocate(&mut bench.kernel, FRAME).expect("memory")).collect();
    assert!(objects.iter().any(|object| object.slot().bits() >= 512), "in a CNode of ours");
    assert!(objects.iter().all(|object| bench.holds(object.slot(), FRAME)));
    bench.check();
    for object in objects {
        bench.alloc.free(&mut bench.kernel, object).expect("it is live");
        assert!(bench.kernel.is_empty_slot(object.slot()));
    }
    bench.check();
}
