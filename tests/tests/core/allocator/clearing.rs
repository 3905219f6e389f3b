// SPDX-License-Identifier: BSD-2-Clause
//! A block that is being cleared, between the beginning and the end of that.

use untyped_alloc::Error::NeedsClearing;
use untyped_alloc::Kernel;

use super::bench::Bench;
use crate::support::{Machine, Target, on_both};

on_both!(while_a_block_is_cleared_all_else_is_served);

/// A125, I21, as the thread that clears does it.
fn while_a_block_is_cleared_all_else_is_served(target: Target) {
    let ram = vec![(0x100_0000, 22), (0x80_0000, 17)];
    let mut bench = Bench::new(Machine::with_ram(target, ram));
    let clearing = bench.alloc.begin_clearing(&mut bench.kernel, 20).expect("nothing is refused");
    let clearing = clearing.expect("something is dirty");
    assert_eq!(clearing.bytes(), 1 << 22);
    assert_eq!(bench.alloc.stats().clearing_bytes, 1 << 22);
    bench.check();
    // Small things are served of the other untyped, and what is larger is told how much it waits
    // for.
    bench.frames(16);
    let large = untyped_alloc::Blueprint::Untyped { size_bits: 20 };
    let refused = bench.alloc.allocate(&mut bench.kernel, large).expect_err("it is being cleared");
    assert_eq!(refused, NeedsClearing { bytes: 1 << 22 });
    let mut text = String::new();
    bench.alloc.dump_untypeds(&mut text).expect("a string takes it");
    assert!(text.contains("0x01000000 2^22 being cleared"), "{text}");
    // Trimming leaves it alone.
    bench.alloc.trim(&mut bench.kernel).expect("nothing is refused");
    bench.check();

    let (untyped, what, node) = (clearing.untyped(), clearing.blueprint(), clearing.node);
    let made = bench.kernel.untyped_retype(untyped, what, node, clearing.offset, 1);
    bench.alloc.end_clearing(clearing, made).expect("it is made");
    bench.check();
    assert_eq!(bench.alloc.stats().clearing_bytes, 0);
    bench.alloc.allocate(&mut bench.kernel, large).expect("it is clear");
    assert_eq!(bench.kernel.bytes_cleared(), (1 << 22) + (1 << 17));
}
