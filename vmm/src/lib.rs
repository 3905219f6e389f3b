//! A virtual-memory manager for the seL4 microkernel.
//!
//! Capabilities to untyped memory go in; mapped memory comes out.
//!
//! ```text
//!   vmm.rs           the manager: what it is made of        boot.rs          how it starts
//!   space.rs         address spaces                         create.rs        making and destroying them
//!   region.rs        regions and their names                region/map.rs    who owns which addresses; holes
//!   run.rs           which frames are mapped where
//!
//!   reserve.rs   map.rs   unmap.rs   protect.rs             one file for each operation
//!   page.rs                                               (mapping one page: the short way)
//!   share.rs   cow.rs   physical.rs   reshape.rs
//!   stack.rs   ipc_buffer.rs   thread.rs   write.rs
//!
//!   fault.rs         page faults: classified, resolved, reported
//!   demand.rs        memory that is mapped when it is touched
//!   pager.rs         pages that a pager outside supplies
//!   threads.rs       whose faults are whose            waiting.rs       which wait for a pager
//!   sel4_faults/     the messages: a handler in a thread of its own, or fed from another loop
//!
//!   service/         memory for programs that do not trust each other, by message
//!
//!   tables.rs        page tables: made, kept, given back    scrub.rs         dirty frames made clean
//!   windows.rs       frames mapped for a moment             quarantine.rs    what would not go
//!   large.rs         large pages that are cut               flush.rs         the TLB of the own space
//!   bookkeeping.rs   memory for the manager itself          error.rs  ids.rs
//!   query.rs   stats.rs   validate.rs   quota.rs            looking at it all, and limiting it
//! ```
//!
//! Every operation first checks, then takes all it needs (which can fail cleanly), then makes its
//! kernel calls, and records after each what is true.
#![no_std]
#![deny(unsafe_code)]

mod bookkeeping;
mod boot;
mod cow;
mod create;
mod demand;
mod error;
mod fault;
mod flush;
mod ids;
mod ipc_buffer;
mod large;
mod map;
mod options;
mod page;
mod pager;
mod physical;
mod protect;
mod quarantine;
mod query;
mod quota;
mod region;
mod reserve;
mod reshape;
mod run;
mod scrub;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod sel4_faults;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod sel4_kernel;
pub mod service;
mod share;
mod space;
mod stack;
mod stats;
mod tables;
mod thread;
mod threads;
mod unmap;
mod validate;
#[allow(clippy::module_inception)]
mod vmm;
mod waiting;
mod windows;
mod write;

pub use boot::BootInfo;
pub use error::{Error, NodeKind, Result};
pub use fault::{classify, Access, FaultClass, FaultReport, PageFault, Resolution};
pub use ids::{RegionId, SpaceId};
pub use ipc_buffer::{IpcBuffer, IPC_BUFFER_BYTES};
pub use options::{PageSize, Placement, RegionOptions};
pub use page_tables::{AddressError, Geometry, PageRange, PhysAddr, VirtAddr};
pub use pager::Supply;
pub use query::{Mapping, RegionInfo};
pub use quota::{Quota, Resource};
pub use region::{Backing, Kind, Name};
pub use run::Source;
pub use stack::Stack;
pub use stats::{SpaceStats, Stats};
pub use thread::{ThreadMemory, ThreadOptions, Tls, TlsImage};
pub use threads::{Handled, ThreadId, ThreadInfo};
pub use untyped_alloc::{
    Batch, Blame, BlockInfo, Blueprint, CPtr, CSpaceInfo, CachePolicy, CallCounts, CapPath,
    Invocation, Kernel, KernelError, KernelResult, Memory, Object, ObjectSizes, ObjectState,
    Objects, Rights, UntypedInfo, Usage, Violation,
};
pub use vmm::{Architecture, Vmm};
pub use waiting::PageRequest;
