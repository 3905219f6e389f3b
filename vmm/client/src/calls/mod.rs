// SPDX-License-Identifier: BSD-2-Clause
//! Typed calls: each encodes a request, sends it, and parses the answer.
//!
//! ```text
//!   error.rs    why a call fails
//!   service.rs  the service's endpoint: one request, one answer
//!   memory.rs   regions: reserve, allocate, map, unmap, protect, release, query
//!   sharing.rs  offers between clients, copy-on-write clones
//!   paging.rs   regions whose pages another client supplies
//!   threads.rs  further threads, IPC buffers
//!   account.rs  statistics, limits, children, the client's own end
//! ```
//!
//! One request does at most [`MAX_PAGES`](crate::protocol::MAX_PAGES) pages, so a call on more
//! pages asks repeatedly. Every call fails with [`Error`](error::Error): with the service's
//! refusal, or because the answer is not one to this request.

mod account;
pub(crate) mod error;
mod memory;
mod paging;
pub(crate) mod service;
mod sharing;
mod threads;
