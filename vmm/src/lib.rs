//! A virtual-memory manager for the seL4 microkernel.
//!
//! Capabilities to untyped memory go in; mapped memory comes out.
//!
//! Every operation first checks, then takes all it needs (which can fail cleanly), then makes its
//! kernel calls, and records after each what is true.
#![no_std]
#![deny(unsafe_code)]

mod arch;
mod bookkeeping;
mod faults;
mod manager;
mod mapping;
mod primitives;
mod query;
mod regions;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod sel4_faults;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod sel4_kernel;
pub mod service;
mod sharing;
mod spaces;
mod state;
mod stats;
mod threads;
mod types;
mod validate;

pub use faults::report::FaultReport;
pub use manager::vmm::Vmm;
pub use page_tables::{AddressError, Geometry, PageRange, PhysAddr, VirtAddr};
pub use types::architecture::Architecture;
pub use types::boot::BootInfo;
pub use types::error::{Error, NodeKind, Result};
pub use types::fault::{
    classify, Access, FaultClass, Handled, PageFault, PageRequest, Resolution, Supply,
};
pub use types::ids::{RegionId, SpaceId, ThreadId};
pub use types::mapping::{Mapping, Source};
pub use types::options::{PageSize, Placement, RegionOptions};
pub use types::quota::{Quota, Resource};
pub use types::region::{Backing, Kind, Name, RegionInfo};
pub use types::stats::{SpaceStats, Stats};
pub use types::thread::{
    IpcBuffer, Stack, ThreadInfo, ThreadMemory, ThreadOptions, Tls, TlsImage, IPC_BUFFER_BYTES,
};
pub use untyped_alloc::{
    Batch, Blame, BlockInfo, Blueprint, CPtr, CSpaceInfo, CachePolicy, CallCounts, CapPath,
    Invocation, Kernel, KernelError, KernelResult, Memory, Object, ObjectSizes, ObjectState,
    Objects, Rights, UntypedInfo, Usage, Violation,
};
