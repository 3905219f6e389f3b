// SPDX-License-Identifier: BSD-2-Clause
//! Page faults as values: what was touched, which class that is, what became of it.

use page_tables::Geometry;
use untyped_alloc::Rights;

use crate::types::ids::ThreadId;
use crate::types::thread::ThreadInfo;

/// How a pager gives a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Supply {
    /// It keeps the page: both see each other's writes, and the frame goes with the last of them.
    Share,
    /// It gives the page away: unmapped where it was, and counted as the receiver's.
    Transfer,
}

/// A page that a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// What it is answered by. Never 0, and greater than those of all requests before it: it has 64
    /// bits, so that it does not come again.
    pub ticket: u64,
    /// The queue it is in.
    pub queue: u32,
    /// What the pager knows the region by.
    pub token: u32,
    /// The page's number in the region, guards not counted.
    pub page: usize,
    /// The thread.
    pub thread: ThreadId,
    /// Its fault.
    pub fault: PageFault,
}

/// What became of a registered thread's fault.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    /// The thread.
    pub thread: ThreadInfo,
    /// What became of its fault.
    pub resolution: Resolution,
}

/// What a thread was doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Fetching an instruction.
    Execute,
}

impl Access {
    /// The rights a page must have for it.
    #[inline]
    pub(crate) fn needs(self, geometry: &Geometry) -> Rights {
        match self {
            // The kernel maps what may be written but not read for nobody.
            Access::Write => Rights::READ_WRITE,
            Access::Execute if geometry.has_no_execute => Rights::READ_EXECUTE,
            Access::Read | Access::Execute => Rights::READ,
        }
    }
}

/// A page fault, as the kernel's message tells it (manual, "Virtual Memory Faults").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageFault {
    /// The address that was touched, in bytes.
    pub address: usize,
    /// How.
    pub access: Access,
    /// Whether a page was mapped there, and only its rights forbade it.
    pub present: bool,
    /// The instruction's address.
    pub ip: usize,
}

/// What a page fault is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FaultClass {
    /// The first touch of memory that is mapped on demand.
    DemandZero {
        /// Pages to be mapped at the most.
        around: u8,
    },
    /// The same, for a stack that grows.
    StackGrowth {
        /// Pages to be mapped at the most.
        around: u8,
    },
    /// The first write to a page that is shared copy-on-write.
    CopyOnWrite,
    /// The page is recorded with the rights for it: mapped since by another fault, or its mapping
    /// was refused before. Mapping it (again) resolves the fault.
    Recorded,
    /// The page at the told address is mapped, and allows the access: what was touched is another
    /// address, which the kernel tells the low bits of
    /// ([`page_tables::Geometry::fault_end`]).
    NotTold,
    /// Memory that a pager outside provides.
    Pager {
        /// What the pager knows the region by.
        token: u32,
    },
    /// A guard page: a stack overflow, or an access past the end.
    Guard,
    /// The page or region does not allow it.
    BeyondRights,
    /// Addresses that are reserved and have nothing mapped.
    NotPopulated,
    /// Addresses that belong to nobody.
    NoRegion,
    /// The program's image or what else the kernel mapped at boot, used otherwise than it allows.
    Boot,
    /// An address outside user space.
    OutsideUserSpace,
}

/// What became of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// The thread can go on: reply to it.
    Resolved(FaultClass),
    /// A pager is to provide the page first.
    AskPager {
        /// What the pager knows the region by.
        token: u32,
        /// The page's number in the region, guards not counted.
        page: usize,
    },
    /// Nothing can be done: the thread must not go on as if nothing had happened.
    Unresolved(FaultClass),
}
