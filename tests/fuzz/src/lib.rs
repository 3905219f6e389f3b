// SPDX-License-Identifier: BSD-2-Clause
//! Coverage-guided fuzzing: bytes become operations, and every operation is judged.
//!
//! | module | what an input is |
//! |---|---|
//! | [`vmm_ops`] | operations over several spaces, some with a kernel call that fails, against [`vmm_tests::expected`] |
//! | [`alloc_ops`] | the same for the allocator alone |
//! | [`state`] | histories of the manager's region map and of its extents, against plain lists |
//! | [`service_ops`] | messages and faults of several clients, and their ends, through the service |
//! | [`objects_ops`] | messages, capabilities and touches of several programs, through the service of objects |
//! | [`addresses`] | addresses and ranges, against arithmetic in 128 bits |
//! | [`slots_state`] | the allocator's slots by themselves, against one state for each slot |
//!
//! [`bytes`] is how an input is read, [`machine`] what it runs on.
//!
//! `qemu-scripts/fuzz.sh` builds and runs them. A finding is a panic; the fuzzer leaves the input
//! in a file, and the target repeats it when it is given that file.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod alloc_ops;
pub mod bytes;
pub mod machine;
pub mod objects_ops;
pub mod service_ops;
pub mod slots_state;
pub mod state;
pub mod vmm_ops;

#[cfg(test)]
mod tests;
