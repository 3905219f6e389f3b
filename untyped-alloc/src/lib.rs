//! Untyped memory, capability slots and frames for seL4.
//!
//! Capabilities to untyped memory go in; kernel objects come out, each with a capability slot of
//! its own, and go back in again.
//!
//! ```text
//!   boot untypeds                                                        kernel.rs    the seam
//!        │                                                               pool.rs      nodes
//!        ▼
//!   blocks   buddy tree of untypeds, split four ways a call,             block.rs
//!        │   merged only when it pays                                    reclaim.rs
//!        ▼
//!   chunks   one untyped retyped in one call into up to 256              chunk.rs
//!        │   objects in consecutive slots, with a bitmap
//!        ├──► frames and paging structures: reused object by object      frames.rs
//!        └──► everything else: destroyed when freed                      object.rs
//!
//!   slots    consecutive runs of capability slots; grows the CSpace      slots.rs, cspace.rs
//!
//!   looking at it all                                                    stats.rs, dump.rs, validate.rs
//! ```
//!
//! What physical memory is used for, block by block: inventory.rs.
//!
//! The crate knows nothing of virtual addresses. It makes its invocations through the trait
//! [`Kernel`], passed to each call that needs it, and keeps its book-keeping in nodes that its
//! owner gives it a page at a time ([`Allocator::adopt_page`]).
#![no_std]
#![deny(unsafe_code)]

mod allocator;
mod cspace;
mod frames;
mod inspect;
pub mod kernel;
mod object;
mod reclaim;
mod state;
mod types;

pub use allocator::Allocator;
pub use frames::FrameBatch;
pub use inspect::{Batch, BlockInfo, Usage, Violation};
pub use kernel::{CallCounts, Counted, Kernel, Memory};
pub use state::{NextFree, Pool};
pub use types::{
    Blame, Blueprint, CPtr, CSpaceInfo, CachePolicy, CapPath, Clean, Dirty, Error, Frames,
    Invocation, KernelError, KernelResult, LiveObjects, NodeKind, Object, ObjectSizes, ObjectState,
    Objects, Result, Rights, Stats, Taken, UntypedInfo,
};
