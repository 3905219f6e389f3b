// SPDX-License-Identifier: BSD-2-Clause
//! Errors that say whose fault they are and carry the offending value.

use page_tables::AddressError;
use untyped_alloc::{Blame, CPtr, Invocation, KernelError, Refused, Rights};

use crate::types::ids::{RegionId, SpaceId, ThreadId};
use crate::types::occupant::Occupant;
use crate::types::quota::Resource;
use crate::types::region::Name;

/// Which kind of book-keeping node of this crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// A region.
    Region,
    /// An extent of frames.
    Extent,
    /// A window of pages that are extents of their own.
    Window,
    /// A paging structure.
    Table,
    /// An address space.
    Space,
    /// The reference counts of a group of frames.
    Refcounts,
    /// Copied frame capabilities in consecutive slots.
    CapCopies,
    /// A registered thread.
    Thread,
}

/// Why a request to the manager was refused. Unless a variant says otherwise, everything is as it
/// was before the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A number is no address, or a range no range, of user space.
    Address(AddressError),
    /// There is no such address space, or no more.
    NoSuchSpace(SpaceId),
    /// There is no such region, or no more.
    NoSuchRegion(RegionId),
    /// There is no such registered thread, or no more.
    NoSuchThread(ThreadId),
    /// There is no such IPC buffer, or no more.
    NoSuchIpcBuffer {
        /// Its address.
        address: usize,
    },
    /// No fault waits for a pager under this ticket, or no more.
    NoSuchRequest {
        /// The ticket.
        ticket: u64,
    },
    /// The slot was not given for the right to answer this thread.
    NoReplySlot(CPtr),
    /// The handler has a pager with this token already.
    TokenInUse {
        /// The token.
        token: u32,
    },
    /// The handler has no pager with this token, or no more.
    NoSuchPager {
        /// The token.
        token: u32,
    },
    /// The handler has as many pagers as it can have.
    TooManyPagers {
        /// How many those are.
        most: usize,
    },
    /// The range overlaps an existing region.
    Overlap {
        /// The first page of what was asked for that is taken.
        address: usize,
        /// Where the region in the way starts.
        region_start: usize,
        /// What that is called.
        name: Name,
    },
    /// No hole of the address space is large enough.
    NoRoom {
        /// Pages asked for, guards included.
        pages: usize,
        /// Alignment asked for, in bits.
        align_bits: u8,
        /// Pages of the largest hole there is, of the space or of the reservation.
        largest: usize,
        /// What the region was to be called.
        name: Name,
    },
    /// Faults are to be answered in memory where the kernel does not tell all of their address
    /// (seL4 5.0.0 on x86_64, from 4 GiB on): memory that is mapped when it is touched, a stack
    /// that grows, what a pager supplies, a clone and its origin. Memory that is mapped by request
    /// can lie there.
    FaultsNotTold {
        /// The first address that would be in the way.
        address: usize,
        /// The first address of all that the kernel does not tell whole.
        end: usize,
        /// What the region is called, or was to be.
        name: Name,
    },
    /// The range is not all inside the region (or inside any region).
    OutsideRegion {
        /// The first address outside.
        address: usize,
        /// What the region is called that the range begins in, if it begins in one.
        name: Name,
    },
    /// The range touches a guard page.
    Guard {
        /// The first address of a guard.
        address: usize,
        /// What the region is called whose guard that is.
        name: Name,
    },
    /// Something is mapped there already.
    AlreadyMapped {
        /// The first address that is.
        address: usize,
        /// What the region is called in which that lies.
        name: Name,
    },
    /// Nothing is mapped there.
    NotMapped {
        /// The first address that is not.
        address: usize,
        /// What the region is called in which that lies, if there is one.
        name: Name,
    },
    /// More rights than the ceiling allows.
    RightsExceedCeiling {
        /// What was asked for.
        asked: Rights,
        /// What is allowed.
        ceiling: Rights,
        /// What the region is called that allows no more; or, of one that is to be made, will be.
        name: Name,
    },
    /// The region is of a kind that this operation is not for: the program's own image, an IPC
    /// buffer (released as such), a reservation that has regions inside.
    WrongKind {
        /// The region.
        region: RegionId,
        /// What it is called.
        name: Name,
    },
    /// The range cuts a large page that cannot be cut, or a large page would be misaligned.
    LargePage {
        /// The address of the page.
        address: usize,
    },
    /// The request cuts a large page, which takes memory for small pages in its place and for what
    /// maps them, and so much is not to be had. Unmapping the whole page takes none. How much it
    /// is can be asked before: [`crate::Vmm::memory_to_cut`].
    OutOfMemoryToCut {
        /// The address of the page.
        address: usize,
        /// The least that it takes, in bytes.
        bytes: usize,
        /// Bytes that were free when it was given up, in pieces of any size.
        free_bytes: usize,
    },
    /// The memory is not the manager's to share, move or change: the caller brought it or asked
    /// for it by physical address.
    NotManaged {
        /// Its address.
        address: usize,
    },
    /// The memory is shared with another region, and what was asked for would take it from there.
    Shared {
        /// Its address.
        address: usize,
    },
    /// What was to be given back or brought is in use: mapped at this address.
    InUse {
        /// The space it is mapped in.
        space: SpaceId,
        /// The first address of it there.
        address: usize,
    },
    /// The memory at a physical address that was asked for is in use, and what lies there cannot
    /// move, or there is nowhere to move it to.
    PhysicalInUse {
        /// The first physical address of what is in the way that was asked for.
        paddr: usize,
        /// What that is.
        by: Occupant,
    },
    /// The capability in this slot is no frame of the smallest page size.
    NoPage(CPtr),
    /// A TLS image that cannot be: its alignment is no power of two or more than a page, or it has
    /// more initial bytes than bytes.
    BadTls {
        /// Its bytes.
        bytes: usize,
        /// Its alignment in bytes.
        align: usize,
    },
    /// The architecture has no frame of this size.
    NoSuchFrameSize {
        /// Logarithm of the size in bytes.
        bits: u8,
    },
    /// The frame is device memory, or not aligned, and so no IPC buffer.
    BadIpcBuffer {
        /// The offending address: of the buffer, or physical.
        address: usize,
    },
    /// An IPC buffer takes a region of one page with it, and this one has more.
    NotOnePage {
        /// The region.
        region: RegionId,
        /// Its pages, guards not counted.
        pages: usize,
    },
    /// The space is the manager's own, and cannot be destroyed or cloned.
    OwnSpace(SpaceId),
    /// No thread can run in the space: it is a store ([`crate::Vmm::create_store`]).
    StoreSpace(SpaceId),
    /// The memory is that of a thread whose faults nobody resolves, and must stay as it is
    /// ([`crate::Vmm::pin_thread_memory`]).
    Pinned(RegionId),
    /// There is as much pinned memory as there can be.
    TooManyPinned {
        /// Of how many threads that is.
        most: usize,
    },
    /// A thread still uses the space.
    SpaceInUse {
        /// The space.
        space: SpaceId,
        /// How many threads are registered in it, and objects allocated for it.
        threads: usize,
    },
    /// The object was not allocated for this space.
    NotOfSpace {
        /// The space.
        space: SpaceId,
        /// The object's slot.
        slot: CPtr,
    },
    /// The lock has a manager already.
    AlreadyShared,
    /// The program has a manager of its boot information already.
    AlreadyStarted,
    /// The first stack was used up before its guard could be unmapped, and what lies below may have
    /// been overwritten: the program has to give it more than these bytes.
    StackTooSmall {
        /// The bytes of the stack.
        bytes: usize,
    },
    /// The boot information cannot be used as it is: the offending address or number.
    BadBootInfo(usize),
    /// The kernel has no identifier for an address space left: 4096 on IA32, the own one included.
    OutOfAsids,
    /// As many threads are registered as there are badges: 2^27 - 1.
    OutOfBadges,
    /// There are as many spaces as there are numbers for them: 2^27 - 1.
    OutOfSpaceNumbers,
    /// The frame has as many copied capabilities as are counted: 32,767.
    SharedTooOften {
        /// An address at which it is mapped.
        address: usize,
    },
    /// The space may not have more.
    OutOfQuota {
        /// The space.
        space: SpaceId,
        /// Of what.
        resource: Resource,
        /// The most it may have.
        limit: usize,
        /// What it has.
        used: usize,
        /// How much more was wanted.
        wanted: usize,
    },
    /// Book-keeping memory ran out, and no page could be had for more.
    OutOfNodes(NodeKind),
    /// The allocator could not serve; see there.
    Allocator(untyped_alloc::Error),
    /// The kernel refused an invocation. What the request had done so far was undone, or is
    /// recorded as it is: `done` pages have their new state.
    Kernel {
        /// Which.
        invocation: Invocation,
        /// What it said.
        error: KernelError,
        /// Pages that were done before and stay done: always 0 for requests that map, as they undo
        /// what they did.
        done: usize,
    },
}

/// What the manager returns.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Allocator(error) => error.blame(),
            Error::OutOfNodes(_)
            | Error::NoRoom { .. }
            | Error::OutOfMemoryToCut { .. }
            | Error::OutOfAsids
            | Error::OutOfBadges
            | Error::OutOfSpaceNumbers
            | Error::SharedTooOften { .. }
            | Error::OutOfQuota { .. }
            | Error::TooManyPinned { .. }
            | Error::TooManyPagers { .. } => Blame::Resource,
            Error::Kernel { .. } => Blame::Manager,
            _ => Blame::Caller,
        }
    }

    /// The same error, saying that `before` pages more were done before it.
    pub(crate) fn after_more(self, before: usize) -> Error {
        match self {
            Error::Kernel { done, .. } => self.after(before + done),
            other => other,
        }
    }

    /// The same error, saying that `done` pages were done before it.
    pub(crate) fn after(self, done: usize) -> Error {
        match self {
            Error::Kernel { invocation, error, .. } => Error::Kernel { invocation, error, done },
            other => other,
        }
    }
}

impl From<Refused> for Error {
    fn from(Refused { invocation, error }: Refused) -> Error {
        Error::Kernel { invocation, error, done: 0 }
    }
}

impl From<untyped_alloc::Error> for Error {
    fn from(error: untyped_alloc::Error) -> Error {
        Error::Allocator(error)
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Error {
        Error::Address(error)
    }
}

impl core::error::Error for Error {}
