// SPDX-License-Identifier: BSD-2-Clause
//! Capability slots: runs of them, and a CSpace that grows.

use untyped_alloc::{Blueprint, CPtr, Error, KernelError, Mobility};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_each};

on_each!(
    slots_come_empty_and_consecutive,
    slots_are_given_back_once,
    slots_that_were_never_handed_out_are_refused,
    the_cspace_grows_and_shrinks,
    a_grown_root_that_was_told_stays,
    a_growth_that_fails_leaves_nothing,
    slots_of_unused_objects_are_taken_back,
    objects_in_a_grown_cspace_work,
    the_cspace_grows_by_slots_none_beside_another,
    frames_are_made_by_slots_none_beside_another,
    a_refused_call_for_scattered_slots_leaves_all_as_it_was,
    the_most_that_can_be_had_is_all_but_frames_in_use,
    what_is_for_speed_alone_leaves_the_last_memory_to_others,
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
    assert_eq!(stats.live.cnodes, 0, "all are given back, the root too");
    assert!(stats.free_slots < 512);
    assert!(bench.alloc.grown_root().is_none());
    bench.check();
    // It grows again, and what is made there works.
    let first = bench.alloc.alloc_slots(&mut bench.kernel, 200).expect("slots");
    let grown = bench.alloc.alloc_slots(&mut bench.kernel, 256).expect("the CSpace grows");
    assert!(bench.kernel.is_empty_slot(first) && bench.kernel.is_empty_slot(grown));
    assert!(bench.alloc.grown_root().is_some());
    bench.check();
}

/// A27: other threads may have it for their root.
fn a_grown_root_that_was_told_stays(target: Target) {
    let mut bench = Bench::new(Machine::small(target).slots(9));
    // What was told before it grew is the initial CNode.
    bench.alloc.cspace_root();
    for told in [false, true] {
        let runs = [200, 200, 200].map(|count| {
            bench.alloc.alloc_slots(&mut bench.kernel, count).expect("the CSpace grows")
        });
        let root = bench.alloc.grown_root().expect("grown");
        if told {
            bench.alloc.cspace_root();
        }
        runs.into_iter().for_each(|first| bench.alloc.free_slots(first, 200).expect("taken"));
        bench.alloc.trim(&mut bench.kernel).expect("trimming");
        assert_eq!(bench.alloc.grown_root(), told.then_some(root));
        bench.check();
    }
}

/// A13, A15, A27: a growth that fails leaves nothing, whatever is wanting or refused.
fn a_growth_that_fails_leaves_nothing(target: Target) {
    // Memory for a root alone.
    let root = 8 + target.architecture().sizes.slot_bits;
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, root)]).slots(9));
    while bench.alloc.alloc_slots(&mut bench.kernel, 1).is_ok() {}
    assert_eq!(bench.alloc.stats().free_bytes(), bench.alloc.stats().total_bytes);
    assert!(bench.alloc.grown_root().is_none());
    bench.check();
    for (nth, lasts) in (1..20).flat_map(|nth| [(nth, false), (nth, true)]) {
        let mut bench = Bench::new(Machine::small(target).slots(9));
        while bench.alloc.free_slot_count() > 64 {
            bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("slots");
        }
        assert!(bench.alloc.grown_root().is_none());
        let (free, slots) = (bench.alloc.stats().free_bytes(), bench.alloc.free_slot_count());
        match lasts {
            false => bench.kernel.fail_nth(nth, KernelError::IllegalOperation),
            true => bench.kernel.fail_from(nth, KernelError::IllegalOperation),
        }
        let taken = bench.alloc.alloc_slots(&mut bench.kernel, 1);
        bench.kernel.disarm();
        if bench.kernel.injected_failures() == 0 {
            assert!(nth > 4, "growing takes calls");
            continue;
        }
        taken.expect_err("a call was refused");
        bench.check();
        bench.alloc.trim(&mut bench.kernel).expect("nothing fails now");
        let now = (bench.alloc.stats().free_bytes(), bench.alloc.free_slot_count());
        assert_eq!(now, (free, slots), "call {nth}, and all that follow: {lasts}");
        assert!(bench.alloc.grown_root().is_none());
        bench.check();
        bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("it grows when it is repeated");
        bench.check();
    }
}

/// A70: slots of what nobody uses serve as well.
fn slots_of_unused_objects_are_taken_back(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 14)]).slots(9));
    let runs = bench.frames(4);
    runs.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
    let mut taken = 0;
    while bench.alloc.alloc_slots(&mut bench.kernel, 1).is_ok() {
        taken += 1;
    }
    let stats = bench.alloc.stats();
    assert_eq!(stats.untyped_bytes, stats.total_bytes, "no frame is kept for later");
    assert!(taken > 100 && stats.free_slots <= 64, "{} of {taken} are left", stats.free_slots);
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

/// Leaves a CSpace of which every second slot is free, and none beside another: as many as wanted.
fn scatter(bench: &mut Bench<'_>) {
    let mut taken = Vec::new();
    // Below 64 free ones and those asked for the CSpace would grow.
    while bench.alloc.free_slot_count() > 66 {
        taken.push(bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("slots"));
    }
    assert!(bench.alloc.grown_root().is_none());
    taken.sort();
    for slot in taken.into_iter().step_by(2) {
        bench.alloc.free_slots(slot, 1).expect("taken");
    }
    // What still lies together is taken. The last pair is where the kernel first sees a call.
    let (calls, end) = (bench.kernel.total_calls(), bench.kernel.facts().free.end);
    let lone =
        |slots: &[usize]| slots.windows(2).all(|pair| pair[0] + 1 != pair[1] || pair[0] % 2 == 1);
    loop {
        let free: Vec<usize> = (bench.kernel.facts().free.start..end)
            .filter(|&slot| bench.alloc.slot_is_free(CPtr::new(slot)))
            .collect();
        if lone(&free) {
            break;
        }
        bench.alloc.alloc_slots(&mut bench.kernel, 2).expect("there is a pair");
    }
    assert_eq!(bench.kernel.total_calls(), calls);
    assert!(bench.alloc.free_slot_count() > 200);
    assert!(bench.alloc.grown_root().is_none());
    bench.check();
}

/// A70: a block is split, four children at a time, to make a CNode.
fn the_cspace_grows_by_slots_none_beside_another(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 22)]).slots(11));
    scatter(&mut bench);
    let free = bench.alloc.stats().free_bytes();
    let pair = bench.alloc.alloc_slots(&mut bench.kernel, 2).expect("the CSpace grows");
    assert!(bench.alloc.grown_root().is_some());
    assert!((0..2).all(|n| bench.kernel.is_empty_slot(pair.offset(n))));
    bench.check();
    // Blocks that were split so are whole again, their slots free, when all is given back.
    bench.alloc.free_slots(pair, 2).expect("taken");
    bench.alloc.trim(&mut bench.kernel).expect("trimming");
    bench.check();
    assert_eq!(bench.alloc.stats().free_bytes(), free, "not even the root is kept");
    let slots = bench.alloc.free_slot_count();
    let all: Vec<_> = (0..slots - 70)
        .map(|_| bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a single slot"))
        .collect();
    assert!(all.iter().all(|&slot| bench.kernel.is_empty_slot(slot)));
    bench.check();
}

/// A70: no CNode can be made of blocks that small, so all comes by the slots there are.
fn frames_are_made_by_slots_none_beside_another(target: Target) {
    let ram = vec![(0x100_0000, 15), (0x80_0000, 15), (0x70_0000, 14)];
    let mut bench = Bench::new(Machine::with_ram(target, ram).slots(11));
    scatter(&mut bench);
    // Looking for more slots costs nothing that is kept.
    let runs = bench.frames(8 + 8 + 4);
    assert!(runs.iter().all(|run| run.count == 1 && bench.holds(run.first, FRAME)));
    assert_eq!(bench.alloc.stats().live.cnodes, 0);
    bench.check();
    runs.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
    let big = Blueprint::Untyped { size_bits: 15 };
    bench.alloc.allocate(&mut bench.kernel, big).expect("memory is coalesced");
    bench.check();
}

/// A13, A70: each call in turn is refused, alone and with all that follow it.
fn a_refused_call_for_scattered_slots_leaves_all_as_it_was(target: Target) {
    for (nth, lasts) in (1..10).flat_map(|nth| [(nth, false), (nth, true)]) {
        let ram = vec![(0x100_0000, 15)];
        let mut bench = Bench::new(Machine::with_ram(target, ram).slots(11));
        scatter(&mut bench);
        let (free, slots) = (bench.alloc.stats().free_bytes(), bench.alloc.free_slot_count());
        let calls = bench.kernel.total_calls();
        match lasts {
            false => bench.kernel.fail_nth(nth, KernelError::NotEnoughMemory),
            true => bench.kernel.fail_from(nth, KernelError::NotEnoughMemory),
        }
        let taken = bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed);
        bench.kernel.disarm();
        bench.check();
        match taken {
            Ok(_) => assert!(nth > 7 && bench.kernel.total_calls() - calls == 7, "call {nth}"),
            Err(error) => {
                assert!(matches!(error, Error::Kernel { .. }), "{error:?}");
                bench.alloc.trim(&mut bench.kernel).expect("trimming");
                let now = (bench.alloc.stats().free_bytes(), bench.alloc.free_slot_count());
                assert_eq!(now, (free, slots), "call {nth}, and all that follow: {lasts}");
                let big = Blueprint::Untyped { size_bits: 15 };
                bench.alloc.allocate(&mut bench.kernel, big).expect("it is whole");
            }
        }
        bench.check();
    }
}

/// A69: frames of device memory are none of the RAM.
fn the_most_that_can_be_had_is_all_but_frames_in_use(target: Target) {
    let machine = Machine::small(target);
    let (device, ram) = (machine.device(), machine.ram_bytes());
    let mut bench = Bench::new(machine);
    assert_eq!(bench.alloc.most_frame_bytes(), ram);
    let frames = bench.alloc.allocate_at(&mut bench.kernel, FRAME, device, 16).expect("a device");
    assert_eq!(bench.alloc.most_frame_bytes(), ram, "all RAM is as free as before");
    let runs = bench.frames(10);
    assert_eq!(bench.alloc.most_frame_bytes(), ram - 10 * 4096);
    bench.alloc.free_many(&mut bench.kernel, frames).expect("taken");
    assert_eq!(bench.alloc.most_frame_bytes(), ram - 10 * 4096);
    runs.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
    assert_eq!(bench.alloc.most_frame_bytes(), ram);
    bench.check();
}

/// A98: where little memory is left the CSpace is not grown for aliases of frames; where there is
/// plenty, or the initial CNode has slots, they get some.
fn what_is_for_speed_alone_leaves_the_last_memory_to_others(target: Target) {
    let block = |size_bits| Blueprint::Untyped { size_bits };
    for (left, granted) in [(16, false), (18, true)] {
        let mut bench = Bench::new(Machine::small(target).direct_map());
        let kept = bench.alloc.allocate(&mut bench.kernel, block(left)).expect("memory");
        let first = bench.frames(8)[0].first;
        let Bench { alloc, kernel, .. } = &mut bench;
        for size_bits in (4..=18).rev() {
            while alloc.allocate(kernel, block(size_bits)).is_ok() {}
        }
        while alloc.alloc_slots(kernel, 1).is_ok() {}
        alloc.free(kernel, kept).expect("an object");
        let slots = alloc.free_slot_count();
        let vspace = kernel.facts().vspace;
        let mapped = alloc.map_alias(kernel, first, vspace, 0x4000_0000);
        match granted {
            // It lacks a page table, for which there are slots now.
            true => assert!(!matches!(mapped, Err(Error::OutOfSlots { .. })), "{mapped:?}"),
            false => {
                assert!(matches!(mapped, Err(Error::OutOfSlots { .. })), "{mapped:?}");
                assert_eq!(alloc.free_slot_count(), slots, "the CSpace was grown");
            }
        }
    }
}
