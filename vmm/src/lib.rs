// SPDX-License-Identifier: BSD-2-Clause
//! A virtual-memory manager for the seL4 microkernel.
//!
//! Capabilities to untyped memory go in; mapped memory comes out.
//!
//! Each folder is a room, and a room uses only the rooms above it in this list:
//!
//! | room | what is in it |
//! |---|---|
//! | `types` | the words that callers use: ids, options, errors, what they are told |
//! | `arch` | what differs between architectures: sizes, geometry, fault words |
//! | `state` | what the manager remembers, as types with methods: pure, without a kernel |
//! | `manager` | [`Vmm`] itself: its parts, its look-ups, its limits |
//! | `primitives` | single steps: one kind of kernel call, and the record of it |
//! | `bookkeeping` | memory for the manager itself: the reserve, and how it is refilled |
//! | `compaction` | scattered free memory becomes one piece, because pages are moved |
//! | `ahead` | memory is cleared, made into frames and zeroed before anybody asks for it |
//! | `spaces` | address spaces: the own one, and those that are made and destroyed |
//! | `mapping` | memory that is mapped, protected and unmapped |
//! | `regions` | regions of addresses: reserved, released, split, merged, moved |
//! | `sharing` | frames with several users: shared, cloned copy-on-write, written through |
//! | `faults` | page faults: decided, resolved, handed to pagers, reported |
//! | `threads` | threads put together: stack, IPC buffer, thread-local storage, TCB, spaces |
//! | `inspect` | statistics, dumps, and the check of every invariant |
//! | `sel4` | the adapter to the kernel, behind the feature `sel4` |
//!
//! Every operation first checks, then takes all it needs (which can fail cleanly), then makes its
//! kernel calls, and records after each what is true.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "state-tests"))]
extern crate std;

mod ahead;
mod arch;
mod bookkeeping;
mod compaction;
mod faults;
mod inspect;
mod manager;
mod mapping;
mod primitives;
mod regions;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod sel4;
mod sharing;
mod spaces;
mod state;
mod threads;
mod types;

/// Histories of the structures in `state`, for the fuzz targets.
#[cfg(feature = "state-tests")]
#[doc(hidden)]
pub mod state_tests {
    pub use crate::state::tests::run;
}

pub use faults::decide::classify;
pub use faults::report::FaultReport;
pub use manager::vmm::Vmm;
pub use page_tables::{AddressError, Geometry, Level, PageRange, Pages, VirtAddr};
pub use types::architecture::{Architecture, TlsVariant, PAGE_BYTES};
pub use types::boot::BootInfo;
pub use types::error::{Error, NodeKind, Result};
pub use types::fault::{Access, FaultClass, Handled, PageFault, PageRequest, Resolution, Supply};
pub use types::ids::{RegionId, SpaceId, ThreadId};
pub use types::job::Job;
pub use types::mapping::{Mapping, Source};
pub use types::occupant::Occupant;
pub use types::options::{PageSize, Placement, RegionOptions};
pub use types::quota::{Quota, Resource};
pub use types::region::{Backing, Escaped, Kind, Name, RegionInfo};
pub use types::request_end::RequestEnd;
pub use types::share_options::ShareOptions;
pub use types::stats::{SpaceStats, SpaceSummary, Stats};
pub use types::thread::{
    IpcBuffer, Stack, StackOptions, ThreadInfo, ThreadMemory, ThreadOptions, Tls, TlsImage,
};
pub use types::thread_parts::{FaultEndpoint, Thread, ThreadCSpace, ThreadParts, ThreadSpec};
pub use untyped_alloc::{
    Batch, Blame, BlockInfo, Blueprint, CPtr, CSpaceInfo, CachePolicy, CallCounts, CapPath,
    Clearing, Error as AllocatorError, Invocation, Kernel, KernelError, KernelResult, Memory,
    Mobility, Numbers, Object, ObjectSizes, ObjectState, Objects, Obtainable, Pool, Rights,
    UntypedInfo, Usage, Violation,
};
