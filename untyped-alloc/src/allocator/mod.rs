// SPDX-License-Identifier: BSD-2-Clause
//! The allocator itself: what it is made of, and every answer that it gives without a kernel call.
//!
//! - `parts.rs`: [`Allocator`], how it starts, the untypeds that it is given.
//! - `clearing.rs`: how much one kernel call may clear, and the free blocks that allows.
//! - `nodes.rs`: its book-keeping memory.
//! - `plan.rs`: what a new chunk is to be, and how large.
//! - `queries.rs`: look-ups of slots, objects and frames.

mod clearing;
mod nodes;
mod parts;
mod plan;
mod queries;

pub use parts::Allocator;
pub(crate) use parts::NoClean;
pub(crate) use plan::ChunkPlan;
