// SPDX-License-Identifier: BSD-2-Clause
//! Frames and paging structures: allocated in runs, freed one by one, recycled.
//!
//! Memory fresh from a retype is zero. A frame that was used is not, and a client that got it would
//! read another's data. So [`alloc_frames`](crate::Allocator::alloc_frames) returns frames that are
//! [`Zeroed`](crate::Zeroed) or [`Dirty`](crate::Dirty) by type, and whoever maps frames for an
//! owner asks for [`Zeroed`](crate::Zeroed) ones.
//!
//! - `runs.rs`: runs of frames. `batch.rs`: the next frame of the same chunk, in constant time.
//! - `refuge.rs`: frames that take the place of others.
//! - `ahead.rs`: frames before anybody asks for them.
//! - `aliases.rs`: frames that are mapped a second time, to be zeroed and copied.
//! - `tables.rs`: paging structures. `held_tables.rs`: some for when memory is out.
//! - `held_frames.rs`: frames for when memory is out, and large pages are given up.
//! - `recycling.rs`: what frames and paging structures have in common.

mod ahead;
mod aliases;
mod batch;
mod held_frames;
mod held_tables;
mod recycling;
mod refuge;
mod runs;
mod tables;

pub use batch::FrameBatch;
