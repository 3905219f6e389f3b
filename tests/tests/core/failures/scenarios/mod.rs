// SPDX-License-Identifier: BSD-2-Clause
//! Every operation of the manager as a scenario.
//!
//! ```text
//!   mapping.rs   regions and their pages
//!   sharing.rs   pages that several have
//!   objects.rs   spaces, buffers, threads, objects, all memory
//! ```

mod mapping;
mod objects;
mod sharing;

use super::scenario::Scenario;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [mapping::MAPPING, sharing::SHARING, objects::OBJECTS].into_iter().flatten()
}
