// SPDX-License-Identifier: BSD-2-Clause
//! Getting memory back, by freeing objects and by taking apart what is kept for speed. The latter
//! only when it pays: releasing a chunk and coalescing are kernel calls, and what they free must be
//! cleared before it is used again.
//!
//! - `free.rs`: objects are destroyed.
//! - `step.rs`: memory of any place, one step at a time until a chunk can be made.
//! - `place.rs`: memory at a physical address.
//! - `units.rs`: the pieces that memory can come back in, and what can be had.
//! - `clear.rs`: dirty memory is cleared ahead, or because a caller says so.
//! - `evacuation.rs`: memory comes back because what is allocated in it is moved elsewhere.
//! - `range.rs`: the same for memory at a physical address.

mod clear;
mod evacuation;
mod free;
mod place;
mod range;
mod step;
mod units;

pub use clear::Clearing;
pub use evacuation::Evacuation;
