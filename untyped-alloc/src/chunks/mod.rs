// SPDX-License-Identifier: BSD-2-Clause
//! Whole operations on chunks: obtaining one, whatever has to be reclaimed or grown for it, and
//! trimming all that nobody uses.
//!
//! - `obtain.rs`: a new chunk for objects or frames.
//! - `trim.rs`: memory that is kept for speed goes back.

mod obtain;
mod trim;

pub(crate) use obtain::FEWEST;
