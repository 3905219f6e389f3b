//! Machines to boot, a manager on a model kernel, and snapshots to compare: the ground that every
//! suite stands on.

mod fixture;
mod machine;
mod snapshot;

pub use fixture::{BootParts, Fixture, Manager, manager};
pub use machine::{Machine, Target};
pub use snapshot::{Essence, Settled, Snapshot};

/// Bytes of the smallest page.
pub const PAGE: usize = 4096;
