// SPDX-License-Identifier: BSD-2-Clause
//! Trees: a program that starts others, which may start some themselves.
//!
//! ```text
//!   counts.rs    which there are, and what is counted of them
//!   session.rs   one of them served, looked at, ended
//! ```

pub mod counts;
mod session;

pub use counts::{clear_counts, print_counts, PRIORITY, STARTER, SUPPLIER};
pub use session::session;
