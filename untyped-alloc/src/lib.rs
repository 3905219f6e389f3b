// SPDX-License-Identifier: BSD-2-Clause
//! Untyped memory, capability slots and frames for seL4.
//!
//! Capabilities to untyped memory go in; kernel objects come out, each with a capability slot of
//! its own, and go back in again.
//!
//! ```text
//!   boot untypeds
//!        │
//!        ▼
//!   blocks   buddy tree of untypeds, split four ways a call, coalesced only when it pays
//!        │
//!        ▼
//!   chunks   one untyped retyped in one call into up to 256 objects in consecutive slots
//!        ├──► frames and paging structures: recycled object by object
//!        └──► everything else: destroyed when freed
//!
//!   slots    consecutive runs of capability slots; grows the CSpace
//! ```
//!
//! The folders are rooms on floors, the lowest first. A room uses only rooms that stand before it:
//!
//! | room | what lives in it |
//! |---|---|
//! | `types/` | plain data: capability pointers, blueprints, ids, errors, figures |
//! | [`kernel`] | the seam: the traits [`Kernel`] and [`Memory`], and the kernel that counts |
//! | `state/` | pure structures: pools of nodes, blocks, chunks, slots, the CSpace |
//! | `allocator/` | [`Allocator`], its look-ups, its book-keeping memory: no kernel call |
//! | `primitives/` | one kernel call and its record: retype, split, coalesce, release |
//! | `reclaim/` | freeing objects, and taking apart what is kept for speed |
//! | `slots/` | allocating slots, growing and shrinking the CSpace |
//! | `chunks/` | obtaining a new chunk, whatever that takes; trimming |
//! | `objects/` | operations: objects of any kind, anywhere or at a physical address |
//! | `frames/` | operations: frames and paging structures, which are recycled |
//! | `inspect/` | figures, inventory, dump, validation |
//!
//! The crate knows nothing of virtual addresses. It makes its invocations through the trait
//! [`Kernel`], passed to each call that needs it, and keeps its book-keeping in nodes that its
//! owner gives it a page at a time ([`Allocator::adopt_page`]).
#![no_std]
#![deny(unsafe_code)]

mod allocator;
mod chunks;
mod frames;
mod inspect;
pub mod kernel;
mod objects;
mod primitives;
mod reclaim;
mod slots;
mod state;
mod types;

#[cfg(feature = "state-tests")]
#[doc(hidden)]
pub use state::tests::slots_model;

pub use allocator::Allocator;
pub use frames::FrameBatch;
pub use inspect::{Batch, BlockInfo, Usage, Violation};
pub use kernel::{CallCounts, Counted, Kernel, Memory};
pub use reclaim::{Clearing, Evacuation};
pub use state::{NextFree, Numbers, Pool};
pub use types::{
    AllocatedFrames, Blame, Blueprint, CPtr, CSpaceInfo, CachePolicy, CapPath, Dirty, Error,
    Frames, Invocation, KernelError, KernelResult, LiveObjects, Mobility, NodeKind, Object,
    ObjectSizes, ObjectState, Objects, Obtainable, Refused, Result, Rights, SlotUse, Stats,
    UntypedInfo, Zeroed, MAX_BATCH,
};
