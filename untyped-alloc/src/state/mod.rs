// SPDX-License-Identifier: BSD-2-Clause
//! What the allocator remembers: pure data structures with no kernel call, each tested by itself.
//!
//! - `pool.rs`: free lists of book-keeping nodes, which all the trees here are made of.
//! - `numbers.rs`: numbers of few bits, which are given out again.
//! - `nodes.rs`: the node of a block (one untyped) and that of a chunk, which point at each other.
//! - `blocks.rs`: the buddy tree of untypeds; `being_cleared.rs`: those that are being cleared.
//! - `chunks.rs`: all chunks, by slot and by room.
//! - `aliases.rs`: second capabilities to the frames of a chunk.
//! - `object_map.rs`: the state of each object of a chunk, in two bitmaps. `room.rs`: what chunks
//!   with room are sorted by.
//! - `slot_window.rs`: 4096 capability slots; `slots.rs`: all windows, by address and by room.
//! - `cspace.rs`: where slots lie before and after the CSpace has grown.
//!
//! A method here finds something or records one change that is true already; it says so when it
//! finds nothing, and cannot fail otherwise. The caller makes the kernel call first.

mod aliases;
mod being_cleared;
mod blocks;
mod chunks;
mod cspace;
mod nodes;
mod numbers;
mod object_map;
mod pool;
mod room;
mod slot_window;
mod slots;

pub use being_cleared::BeingCleared;
pub use blocks::{Blocks, MAX_SPLIT_BITS};
pub use chunks::{Chunks, NewChunk};
pub use cspace::{CSpace, Growth};
pub use nodes::{Apart, Block, BlockState, Chunk, Group};
pub use numbers::Numbers;
pub use object_map::Class;
pub use pool::{NextFree, Pool};
pub use room::Room;
pub use slot_window::{SlotWindow, WINDOW_SLOTS};
pub use slots::Slots;

#[cfg(any(test, feature = "state-tests"))]
pub mod tests;
