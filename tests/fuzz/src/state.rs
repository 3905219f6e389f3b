// SPDX-License-Identifier: BSD-2-Clause
//! What the manager remembers, without a kernel: the region map and the extents with their cursor.
//!
//! The operations and the models are those of the manager's own property tests, which see what is
//! private: the first byte of an input says which structure the rest is a history of.

/// Runs one input.
pub fn run(data: &[u8]) {
    vmm::state_tests::run(data);
}
