// SPDX-License-Identifier: BSD-2-Clause
//! The untyped allocator by itself, on the model kernel.
//!
//! ```text
//!   bench.rs      an allocator on a machine, and what must always hold of it
//!   objects.rs    allocating and freeing, one and many          cost.rs   calls and cleared bytes
//!   frames.rs     frames and page tables that are recycled      slots.rs  slots, and CSpace growth
//!   physical.rs   memory at a physical address                  refusals.rs   bad input
//!   inventory.rs  going through physical memory
//!   random.rs     random requests against a list of what is live
//! ```
//!
//! Checks A20–A29 and I10–I13 of `MODEL.md`.

mod bench;
mod clearing;
mod cost;
mod frames;
mod inventory;
mod objects;
mod physical;
mod random;
mod refusals;
mod slots;
