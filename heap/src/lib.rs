// SPDX-License-Identifier: BSD-2-Clause
//! A heap that grows and shrinks by pieces, wherever those come from.
//!
//! ```text
//!   GlobalAlloc ──► GlobalHeap ──► Heap            ──► talc: blocks in the fixed area, in pieces
//!                      │            └► Pieces          which memory is whose, by address
//!                      └──► Source                     pieces: had when no block is large enough,
//!                                                      given back when no block is left in one
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `pieces` | the pieces that the heap has, by address |
//! | `heap` | blocks in them: handed out, taken back, and the pieces that are empty |
//! | `global` | a program's global allocator: the lock, the fixed area, where pieces come from |
//!
//! A source is asked while the heap's lock is free. So a thread that has what the source needs, say
//! the manager's lock, can allocate as long as the heap need not grow, and no two threads wait for
//! each other.
//!
//! # Why talc
//! Buddies (`buddy_system_allocator`) look for a block's buddy in a list of all free blocks of its
//! size, and round each block up to a power of two. 160 thousand blocks of 16 to 255 bytes, taken
//! and given back at random with 10 thousand in use, took 17 ms and 1.8 MiB by talc, 142 ms and
//! 2.3 MiB by buddies, on the same host; with 1000 in use 0.7 and 1.3 ms. And of buddies, memory
//! cannot be taken back.
#![no_std]

mod global;
mod heap;
mod pieces;

pub use global::{Environment, GlobalHeap, Source};
pub use heap::{Heap, PAGE_BYTES};
pub use pieces::{Piece, MAX_PIECES};
