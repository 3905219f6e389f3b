// SPDX-License-Identifier: BSD-2-Clause
//! Looking at the allocator: nothing here changes anything or makes a kernel call.
//!
//! - `stats.rs`: its figures. `inventory.rs`: what each part of physical memory is used for.
//! - `dump.rs`: the untypeds and slots as text, for a person.
//! - `validate.rs`: all invariants, checked.

mod dump;
mod inventory;
mod stats;
mod validate;

pub use inventory::{Batch, BlockInfo, Usage};
pub use validate::Violation;
