// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel and the machine remember, as plain data.
//!
//! ```text
//!   arch.rs      one architecture: sizes, geometry, widths of fields
//!   cap.rs       capabilities, and when two mean the same
//!   slots.rs     slots by address, with their places in the order of derivation
//!   objects.rs   the objects that are alive
//!   tables.rs    what is in paging structures
//!   asids.rs     ASIDs and their pools
//!   threads.rs   what a thread control block holds
//!   sends.rs     messages that wait
//!   contents.rs  what memory holds
//!   meter.rs     counters, and what is to fail
//!   machine.rs   what is booted, and what the boot left where
//! ```
//!
//! Nothing here knows [`ModelKernel`](super::ModelKernel): the rules stand beside this folder.

pub(super) mod arch;
pub(super) mod asids;
pub(super) mod beside;
pub(super) mod cap;
pub(super) mod contents;
pub(super) mod machine;
pub(super) mod meter;
pub(super) mod objects;
pub(super) mod sends;
pub(super) mod slots;
pub(super) mod tables;
pub(super) mod threads;
