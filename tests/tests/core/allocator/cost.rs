// SPDX-License-Identifier: BSD-2-Clause
//! What it costs: kernel calls, and bytes the kernel is made to clear.

use untyped_alloc::Blueprint;
use vmm_tests::model::CallKind;

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_each};

on_each!(
    a_thousand_frames_cost_ten_calls,
    endpoints_come_many_at_a_time,
    a_small_need_clears_the_smallest_untyped,
    the_best_fit_is_taken,
    what_was_split_serves_before_another_untyped_is_cleared,
    frames_at_hand_cost_nothing,
);

/// A21.
fn a_thousand_frames_cost_ten_calls(target: Target) {
    let mut bench = Bench::new(Machine::with_ram(target, vec![(0x100_0000, 24)]).slots(13));
    bench.frames(1024);
    let calls = bench.kernel.total_calls();
    assert!(calls <= 10, "{calls} calls");
    bench.check();
}

fn endpoints_come_many_at_a_time(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    for _ in 0..32 {
        bench.alloc.allocate(&mut bench.kernel, Blueprint::Endpoint).expect("memory");
    }
    // Splitting comes on top of the one retype that makes them.
    let calls = bench.kernel.calls(CallKind::UntypedRetype);
    assert!(calls <= 5, "{calls} retypes");
}

/// A20.
fn a_small_need_clears_the_smallest_untyped(target: Target) {
    let ram = vec![(0x100_0000, 24), (0x80_0000, 16), (0x70_0000, 12)];
    let mut bench = Bench::new(Machine::with_ram(target, ram));
    let thread = bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory");
    assert_eq!(bench.memory(thread.slot()).0 & !0xfff, 0x70_0000);
    assert_eq!(bench.kernel.bytes_cleared(), 4096, "the 4 KiB untyped and nothing else");
    bench.check();
}

/// A20.
fn the_best_fit_is_taken(target: Target) {
    let ram = vec![(0x100_0000, 20), (0x80_0000, 16), (0x70_0000, 14), (0x60_0000, 13)];
    let mut bench = Bench::new(Machine::with_ram(target, ram));
    for (size_bits, base) in [(13, 0x60_0000), (13, 0x70_0000), (15, 0x80_0000), (17, 0x100_0000)] {
        let untyped = Blueprint::Untyped { size_bits };
        let object = bench.alloc.allocate(&mut bench.kernel, untyped).expect("memory");
        assert_eq!(bench.memory(object.slot()), (base, 1 << size_bits));
    }
    bench.check();
}

/// A20.
fn what_was_split_serves_before_another_untyped_is_cleared(target: Target) {
    let ram = vec![(0x100_0000, 20), (0x200_0000, 20)];
    let mut bench = Bench::new(Machine::with_ram(target, ram));
    for _ in 0..16 {
        bench.alloc.allocate(&mut bench.kernel, FRAME).expect("memory");
    }
    assert_eq!(bench.kernel.bytes_cleared(), 1 << 20, "one of the two");
    bench.check();
}

fn frames_at_hand_cost_nothing(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let runs = bench.frames(8);
    let calls = bench.kernel.total_calls();
    runs.into_iter().for_each(|run| bench.alloc.free_unused_frames(run).expect("taken"));
    bench.frames(8);
    assert_eq!(bench.kernel.total_calls(), calls);
}
