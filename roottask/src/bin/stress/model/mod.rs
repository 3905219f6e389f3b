// SPDX-License-Identifier: BSD-2-Clause
//! What is mapped where, and what must be in it.
//!
//! ```text
//!   expected.rs   all spaces and areas that live from one phase to the next
//!   area.rs       one region of plain memory, page by page: stamp and rights
//!   limits.rs     how much of everything there is at a time
//! ```
//!
//! Nothing here asks the manager: what it says is held to this.

pub mod area;
pub mod expected;
pub mod limits;

pub use area::{Area, Page, PAGE};
pub use expected::Expected;
pub use limits::{MAX_AREAS, MAX_REGIONS, MAX_SPACES};
