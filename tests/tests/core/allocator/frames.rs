// SPDX-License-Identifier: BSD-2-Clause
//! Frames and paging structures that are recycled.

use untyped_alloc::{AllocatedFrames, Blueprint, Error, Frames, Mobility};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_each};

on_each!(
    fresh_frames_are_clean,
    used_frames_are_dirty_and_unused_ones_stay_clean,
    frames_come_back_one_by_one,
    frames_are_given_back_once,
    clean_frames_go_before_dirty_ones,
    what_becomes_clean_is_found_though_nothing_was_a_moment_ago,
    a_batch_without_frames_serves_nobody_until_one_comes_back,
    tables_are_recycled,
    all_memory_can_become_frames,
);

/// A22.
fn fresh_frames_are_clean(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let taken =
        bench.alloc.alloc_frames(&mut bench.kernel, 12, 10, Mobility::Fixed).expect("memory");
    let AllocatedFrames::Zeroed(clean) = taken else { panic!("fresh memory is clean") };
    let frames = clean.frames();
    assert_eq!((frames.count, frames.size_bits), (10, 12));
    assert!((0..10).all(|n| bench.holds(frames.first.offset(n), FRAME)));
    bench.check();
}

/// A22.
fn used_frames_are_dirty_and_unused_ones_stay_clean(target: Target) {
    // All memory is 16 pages, so that what is given back is what is taken next.
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 16)]));
    let all = bench.frames(16);
    let first = Frames { count: 1, ..all[0] };
    bench.alloc.free_frames(first).expect("it was taken");
    let again =
        bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed).expect("memory");
    assert!(matches!(again, AllocatedFrames::Dirty(dirty) if dirty.frames() == first));
    bench.alloc.free_unused_frames(first).expect("it was taken");
    let again =
        bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed).expect("memory");
    assert!(matches!(again, AllocatedFrames::Zeroed(clean) if clean.frames() == first));
}

fn frames_come_back_one_by_one(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let before = bench.alloc.stats().free_bytes();
    for run in bench.frames(20) {
        for index in 0..run.count {
            let one = Frames { first: run.first.offset(index), count: 1, size_bits: 12 };
            bench.alloc.free_frames(one).expect("it was taken");
            bench.check();
        }
    }
    assert_eq!(bench.alloc.stats().free_bytes(), before);
}

/// A24.
fn frames_are_given_back_once(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let run = bench.frames(6)[0];
    let refused = Err(Error::NotAllocated(run.first));
    let beyond = Frames { count: run.count + 1, ..run };
    assert_eq!(bench.alloc.free_frames(beyond), refused, "one of them was not taken");
    assert_eq!(bench.alloc.free_frames(Frames { count: usize::MAX, ..run }), refused);
    // Counted from its second frame on, the end of such a run is not even a number.
    let second = Frames { first: run.first.offset(1), count: usize::MAX, ..run };
    assert_eq!(bench.alloc.free_frames(second), Err(Error::NotAllocated(second.first)));
    assert_eq!(bench.alloc.free_frames(Frames { count: 0, ..run }), refused);
    assert_eq!(bench.alloc.free_frames(Frames { size_bits: 22, ..run }), refused);
    bench.alloc.free_frames(run).expect("they were taken");
    assert_eq!(bench.alloc.free_frames(run), refused, "given back before");
    let object = bench.alloc.allocate(&mut bench.kernel, FRAME).expect("memory");
    let foreign = Frames { first: object.slot(), count: 1, size_bits: 12 };
    let refused = Err(Error::NotAllocated(object.slot()));
    assert_eq!(bench.alloc.free_frames(foreign), refused, "an object is freed otherwise");
    bench.check();
}

fn clean_frames_go_before_dirty_ones(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let run = bench.frames(4)[0];
    let used = Frames { count: 2, ..run };
    bench.alloc.free_frames(used).expect("taken");
    let taken =
        bench.alloc.alloc_frames(&mut bench.kernel, 12, 2, Mobility::Fixed).expect("memory");
    assert!(matches!(taken, AllocatedFrames::Zeroed(_)), "there were clean ones of the batch");
}

/// I25: one frame comes and goes, so that it is known that none is clean; then one is, or memory
/// is.
fn what_becomes_clean_is_found_though_nothing_was_a_moment_ago(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 18)]));
    let large = Blueprint::Untyped { size_bits: 17 };
    let large = bench.alloc.allocate(&mut bench.kernel, large).expect("memory");
    let runs = bench.frames(32);
    let one = |nth: usize| Frames { first: runs[0].first.offset(nth), count: 1, size_bits: 12 };
    let take = |bench: &mut Bench<'_>| {
        let taken = bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed);
        bench.check();
        taken.expect("memory")
    };
    let turns = |bench: &mut Bench<'_>| {
        for _ in 0..3 {
            bench.alloc.free_frames(one(0)).expect("taken");
            let again = take(bench);
            assert!(matches!(again, AllocatedFrames::Dirty(dirty) if dirty.frames() == one(0)));
        }
    };
    turns(&mut bench);
    // A frame that nobody wrote to.
    bench.alloc.free_frames(one(0)).expect("taken");
    bench.alloc.free_unused_frames(one(1)).expect("taken");
    let clean = take(&mut bench);
    assert!(matches!(clean, AllocatedFrames::Zeroed(clean) if clean.frames() == one(1)));
    assert!(matches!(take(&mut bench), AllocatedFrames::Dirty(_)));
    turns(&mut bench);
    // Memory that is cleared as the block that it lies in is split.
    bench.alloc.free(&mut bench.kernel, large).expect("taken");
    bench.alloc.allocate(&mut bench.kernel, FRAME).expect("memory");
    bench.alloc.free_frames(one(0)).expect("taken");
    assert!(matches!(take(&mut bench), AllocatedFrames::Zeroed(_)), "there is clean memory");
}

/// I25: two batches that are full; a frame of the one, then of the other comes back and goes.
fn a_batch_without_frames_serves_nobody_until_one_comes_back(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 17)]));
    let runs = [bench.frames(16), bench.frames(16)].concat();
    assert!(runs.len() > 1);
    let one = |nth: usize| {
        let run = runs[nth % runs.len()];
        Frames { first: run.first.offset(nth / runs.len()), count: 1, ..run }
    };
    for nth in [0, 1, 1, 0, 2, 3, 0, 0] {
        bench.alloc.free_frames(one(nth)).expect("taken");
        bench.check();
        let again = bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed);
        assert!(matches!(again, Ok(AllocatedFrames::Dirty(dirty)) if dirty.frames() == one(nth)));
        bench.check();
        let none = bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed);
        assert!(matches!(none, Err(Error::OutOfMemory { .. })), "all are taken");
    }
}

fn tables_are_recycled(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let level = target.architecture().sizes.table_levels - 1;
    let table = bench.alloc.alloc_table(&mut bench.kernel, level).expect("memory");
    assert!(bench.holds(table, Blueprint::Table { level }));
    let calls = bench.kernel.total_calls();
    bench.alloc.free_table(table, level).expect("it was taken");
    assert_eq!(bench.alloc.free_table(table, level), Err(Error::NotAllocated(table)));
    assert_eq!(bench.alloc.alloc_table(&mut bench.kernel, level), Ok(table));
    assert_eq!(bench.kernel.total_calls(), calls, "no call for a table at hand");
    bench.check();
}

fn all_memory_can_become_frames(target: Target) {
    let ram = vec![(0x100_0000, 18), (0x80_0000, 15), (0x70_0000, 13), (0x60_0000, 12)];
    let mut bench = Bench::new(Machine::with_ram(target, ram));
    for round in 0..3 {
        let runs = bench.frames((1 << 6) + (1 << 3) + 2 + 1);
        let more = bench.alloc.alloc_frames(&mut bench.kernel, 12, 1, Mobility::Fixed);
        let out = Error::OutOfMemory { size_bits: 12, bytes: 4096, free_bytes: 0 };
        assert_eq!(more.map(drop), Err(out), "round {round}");
        bench.check();
        runs.into_iter().for_each(|run| bench.alloc.free_frames(run).expect("taken"));
        // Frames that nobody has become something else.
        let big = Blueprint::Untyped { size_bits: 18 };
        let big = bench.alloc.allocate(&mut bench.kernel, big).expect("memory is coalesced");
        bench.alloc.free(&mut bench.kernel, big).expect("it is live");
    }
}
