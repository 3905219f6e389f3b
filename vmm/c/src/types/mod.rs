// SPDX-License-Identifier: BSD-2-Clause
//! Codes, ids, options and what is told, as C lays them out.
//!
//! - `code.rs`: what a function returns; `meaning.rs`: what that says.
//! - `refusal.rs`: why a request was refused, before it is a code.
//! - `ids.rs`: spaces, regions, objects, threads, as C holds them.
//! - `options.rs`: what a caller asks for, checked.
//! - `info.rs`: what a caller is told.

mod code;
mod ids;
mod info;
mod meaning;
mod options;
mod refusal;

pub use code::*;
pub use ids::*;
pub use info::*;
pub use options::*;
pub use refusal::Refusal;

/// C's `size_t`: a count.
pub type size_t = usize;
