// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the room by itself: each structure against a plain model, with no kernel.
//!
//! A model is a `Vec` or a `BTreeMap` with one entry for each slot, object or block, and every
//! answer is looked up in it by going through all of them. Nodes come from a `Vec` that outlives
//! the structure. `slots_model.rs` serves the fuzz target `slots_state` as well.

extern crate std;

pub mod slots_model;

#[cfg(test)]
mod blocks;
#[cfg(test)]
mod chunks;
#[cfg(test)]
mod cspace;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod object_map;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod slots;

/// Runs a property on sequences of operations: few under Miri, which takes some thousand times as
/// long, and has no directory to keep failures in.
#[cfg(test)]
fn explore<T: core::fmt::Debug>(
    operation: impl proptest::strategy::Strategy<Value = T>,
    (cases, length): (u32, usize),
    property: impl Fn(std::vec::Vec<T>),
) {
    use proptest::test_runner::{Config, TestRunner};
    let (cases, length) = if cfg!(miri) { (1, 12) } else { (cases, length) };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let sequences = proptest::collection::vec(operation, 0..length);
    let outcome = TestRunner::new(config).run(&sequences, |operations| {
        property(operations);
        Ok(())
    });
    outcome.expect("the model agrees");
}
