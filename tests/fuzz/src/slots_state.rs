// SPDX-License-Identifier: BSD-2-Clause
//! The allocator's windows of capability slots, with no kernel, against one state for each slot.
//!
//! The model is `untyped-alloc`'s own (`state/tests/slots_model.rs`), which its property tests use
//! as well.

use untyped_alloc::slots_model::{self, Op};

use crate::bytes::Bytes;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let trace = std::env::var_os("VMM_FUZZ_TRACE").is_some();
    slots_model::run(core::iter::from_fn(|| {
        let operation = (!bytes.is_empty()).then(|| operation(&mut bytes));
        if let Some(operation) = operation.filter(|_| trace) {
            eprintln!("{operation:?}");
        }
        operation
    }));
}

fn operation(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(10) {
        0 => {
            let (place, from, to) = (bytes.below(5), bound(bytes), bound(bytes));
            Op::Insert { place, from, to, ours: bytes.one_in(2) }
        }
        1..=4 => Op::Alloc { count: count(bytes), lend: bytes.one_in(2) },
        5..=6 => Op::Free { which: bytes.below(256), count: count(bytes) },
        7 => {
            let (near, offset) = (bytes.below(256), bytes.below(6));
            // Beyond any window now and then.
            let count = if bytes.one_in(16) { bytes.wild() } else { count(bytes) };
            Op::FreeLent { near, offset, count }
        }
        8 => Op::FreeAgain { which: bytes.below(256) * 31 },
        _ => Op::RemoveUnused,
    }
}

/// A first slot of a window, or a last: at the ends of the window or of a word, or anywhere.
fn bound(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(4) {
        0 => 0,
        1 => 4096,
        2 => bytes.below(130),
        _ => 3967 + bytes.below(130),
    }
}

/// 1 to 256 slots, often next to a power of two.
fn count(bytes: &mut Bytes<'_>) -> usize {
    let near = (1usize << bytes.below(9)) + bytes.below(3);
    let count = if bytes.one_in(4) { 1 + bytes.below(256) } else { near.saturating_sub(1) };
    count.clamp(1, 256)
}
