// SPDX-License-Identifier: BSD-2-Clause
//! The data of a report, printed as it arises.
//!
//! ```text
//!   reporter.rs    samples, maps and the account, one JSON object a line
//!   memory_map.rs  physical memory, drawn with few squares
//! ```

pub mod memory_map;
pub mod reporter;

pub use reporter::{Moment, Reporter};
