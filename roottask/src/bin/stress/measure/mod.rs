// SPDX-License-Identifier: BSD-2-Clause
//! What a run measures: time, the cost of an operation, and how the operations of each kind ended.
//!
//! ```text
//!   clock.rs      seconds of the run, ticks of an operation
//!   histogram.rs  how often an operation cost how much, in fixed memory
//!   op_stats.rs   operations by kind: done, short, refused, and the worst cost
//! ```
//!
//! Nothing here knows the manager.

pub mod clock;
pub mod histogram;
pub mod op_stats;

pub use clock::{ticks, Clock};
pub use op_stats::{End, Kind, OpStats};
