// SPDX-License-Identifier: BSD-2-Clause
//! The engine: operations on the manager, each numbered, timed and judged.
//!
//! ```text
//!   stress.rs     one operation; progress while it goes well, a report when it does not
//!   areas.rs      areas and spaces: chosen, released, destroyed
//!   contents.rs   the pattern: written through one mapping, read through another
//!   lines.rs      places across the lines between page tables
//!   pacing.rs     a pacer, its clock, and what was done with them
//!   clearing.rs   memory that is cleared beside all of it
//!   host.rs       the service that clients ask, which lives as long as the run
//! ```

mod areas;
mod clearing;
pub mod contents;
pub mod host;
pub mod lines;
mod pacing;
pub mod stress;

pub use contents::stamped_pages;
pub use host::Host;
pub use stress::Stress;
