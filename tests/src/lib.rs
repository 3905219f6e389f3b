// SPDX-License-Identifier: BSD-2-Clause
//! What the memory crates are tested with, on the host.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the model kernel: seL4 5.0.0's rules for capabilities, untypeds and mappings |
//! | [`support`] | machines to boot, a manager on a model kernel, snapshots |
//! | [`expected`] | the reference model: what a manager ought to do, request by request |
//! | [`transcript`] | the comparison of the model with what the real kernel answered |
//!
//! On hosts of 32 bits, which is what the crates run on, the suites run as well, without those of
//! x86_64.
//!
//! The suites themselves are the integration tests of this package.
#![forbid(unsafe_code)]

pub mod expected;
pub mod model;
pub mod support;
// Its kernel lies above all that IA32 can address.
#[cfg(target_pointer_width = "64")]
pub mod transcript;
