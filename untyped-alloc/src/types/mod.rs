// SPDX-License-Identifier: BSD-2-Clause
//! Plain data: the words that callers and the kernel use. No state, no kernel call.
//!
//! - What the kernel knows: `capability.rs` (pointers and paths), `blueprint.rs` (kinds and sizes
//!   of objects), `arch.rs` (these sizes on each architecture), `mapping.rs` (rights, cache
//!   policy), `kernel_error.rs`, `invocation.rs`.
//! - What an allocator starts with: `boot.rs` (untypeds, the initial CSpace).
//! - `bindings.rs`: the same words as the crate `sel4` has them (feature `sel4`).
//! - What it hands out: `object.rs` (ids of objects), `frames.rs` (runs of frames, zero or dirty).
//! - What it says: `error.rs` (whose fault an error is), `live.rs` and `stats.rs` (its figures).

mod arch;
#[cfg(feature = "sel4")]
mod bindings;
mod blueprint;
mod boot;
mod capability;
mod error;
mod frames;
mod invocation;
mod kernel_error;
mod live;
mod mapping;
mod object;
mod stats;

pub(crate) use blueprint::MAX_TABLE_LEVELS;
pub use blueprint::{Blueprint, ObjectSizes, MAX_BATCH};
pub use boot::{CSpaceInfo, UntypedInfo};
pub use capability::{CPtr, CapPath};
pub use error::{Blame, Error, NodeKind, Result};
pub use frames::{AllocatedFrames, Dirty, Frames, Mobility, Zeroed};
pub use invocation::Invocation;
pub use kernel_error::{KernelError, KernelResult, Refused};
pub use live::LiveObjects;
pub use mapping::{CachePolicy, Rights};
pub use object::{Object, ObjectState, Objects, SlotUse};
pub use stats::{Obtainable, Stats};
