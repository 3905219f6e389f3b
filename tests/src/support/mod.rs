// SPDX-License-Identifier: BSD-2-Clause
//! Machines to boot, a manager on a model kernel, and snapshots to compare: the ground that every
//! suite stands on.
//!
//! ```text
//!   machine.rs   how much memory, how many slots, how much book-keeping to start with
//!   error.rs     errors as tests expect them, without amounts and names
//!   boot.rs      what the kernel's boot left, as allocator and manager are told of it
//!   fixture.rs   a manager on a model kernel
//!   snapshot.rs  what a request that failed must leave as it was
//!   refusal.rs   a request that must be refused, and change nothing
//! ```

mod boot;
mod error;
mod fixture;
mod machine;
pub mod random;
mod refusal;
mod snapshot;
pub mod texts;

pub use boot::{BootParts, cspace_info, untyped_info};
pub use error::{
    already_mapped, beyond_ceiling, in_guard, no_room, not_mapped, not_told, out_of_memory,
    outside_region, overlap, without_amounts, wrong_kind,
};
pub use fixture::{Fixture, Manager, manager};
pub use machine::{Machine, PAGE, Target};
pub use snapshot::{Essence, Settled, Snapshot};
