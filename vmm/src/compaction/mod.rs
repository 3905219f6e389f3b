// SPDX-License-Identifier: BSD-2-Clause
//! Compaction: free memory that lies scattered becomes one piece, because pages are moved.
//!
//! A retype makes up to 256 frames of one block, and the block comes back only as a whole: one page
//! that stays in use keeps a MiB from being a page table, a thread or a large page. The manager
//! knows where its frames are mapped, so it can put others in their place.
//!
//! ```text
//!   before   │█▒▒▒▒▒▒▒│▒▒█▒▒▒▒▒│▒▒▒▒▒▒▒█│      █ in use  ▒ ready, as a page and nothing else
//!   after    │█▒█▒▒▒▒█│        │        │        free for anything
//! ```
//!
//! - `survey.rs`: which pages may move.
//! - `evacuate.rs`: pages are moved until a block is empty.
//! - `range.rs`: pages are moved out of a range of physical memory.
//! - `pressure.rs`: what a request does that finds no memory: it compacts, and tries again.

pub(crate) mod evacuate;
pub(crate) mod pressure;
pub(crate) mod range;
pub(crate) mod survey;
