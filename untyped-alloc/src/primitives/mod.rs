// SPDX-License-Identifier: BSD-2-Clause
//! One kernel call and its record, each. Nothing here looks for memory or makes slots.
//!
//! - `retype.rs`: a free block becomes smaller blocks or the objects of a chunk.
//! - `coalesce.rs`: the free children of a block become that block again.
//! - `release.rs`: the objects of a chunk become a free block.
//! - `aliases.rs`: second capabilities to the frames of a chunk are taken away.
//! - `objects.rs`: objects of a chunk change hands: no kernel call.
//! - `reserved_slots.rs`: slots without growing the CSpace: no kernel call.

mod aliases;
mod coalesce;
mod objects;
mod release;
mod reserved_slots;
mod retype;
