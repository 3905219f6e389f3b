// SPDX-License-Identifier: BSD-2-Clause
//! Errors that say whose fault they are and carry the offending value.

use core::fmt;

use page_tables::AddressError;
use untyped_alloc::{Blame, CPtr, Invocation, KernelError, Refused, Rights};

use crate::types::ids::{RegionId, SpaceId, ThreadId};
use crate::types::occupant::Occupant;
use crate::types::quota::Resource;
use crate::types::region::{Escaped, Name};

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
    /// The range is not all inside the region (or inside any region).
    OutsideRegion {
        /// The first address outside.
        address: usize,
    },
    /// The range touches a guard page.
    Guard {
        /// The first address of a guard.
        address: usize,
    },
    /// Something is mapped there already.
    AlreadyMapped {
        /// The first address that is.
        address: usize,
    },
    /// Nothing is mapped there.
    NotMapped {
        /// The first address that is not.
        address: usize,
    },
    /// More rights than the ceiling allows.
    RightsExceedCeiling {
        /// What was asked for.
        asked: Rights,
        /// What is allowed.
        ceiling: Rights,
    },
    /// The region is of a kind that this operation is not for: the program's own image, an IPC
    /// buffer (released as such), a reservation that has regions inside.
    WrongKind(RegionId),
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

/// A name behind what is called so; nothing where there is none.
struct Named<'a>(&'a Name);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            name => write!(f, " \"{}\"", Escaped(name)),
        }
    }
}

/// The same of what something was wanted for.
struct For<'a>(&'a Name);

impl fmt::Display for For<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            _ => write!(f, " for{}", Named(self.0)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Address(error) => error.fmt(f),
            Error::NoSuchSpace(space) => write!(f, "no such address space: {space:?}"),
            Error::NoSuchThread(thread) => {
                write!(f, "no registered thread with badge {}", thread.badge())
            }
            Error::NoSuchIpcBuffer { address } => write!(f, "no such IPC buffer: {address:#x}"),
            Error::NoSuchRequest { ticket } => write!(f, "no fault waits under ticket {ticket}"),
            Error::NoReplySlot(slot) => write!(f, "{slot:?} is not for an answer to this thread"),
            Error::TokenInUse { token } => write!(f, "there is a pager with token {token} already"),
            Error::NoSuchPager { token } => write!(f, "no pager has the token {token}"),
            Error::TooManyPagers { most } => {
                write!(f, "there are {most} pagers, and no more can be")
            }
            Error::NoSuchRegion(region) => write!(f, "no such region: {region:?}"),
            Error::Overlap { address, region_start, name } => {
                let named = Named(name);
                write!(f, "{address:#x} belongs to the region{named} at {region_start:#x}")
            }
            Error::NoRoom { pages, align_bits, largest, name } => write!(
                f,
                "no hole of {pages} pages aligned to 2^{align_bits} bytes{}: the largest has {largest}",
                For(name)
            ),
            Error::OutsideRegion { address } => write!(f, "{address:#x} is outside the region"),
            Error::Guard { address } => write!(f, "{address:#x} is a guard page"),
            Error::AlreadyMapped { address } => write!(f, "{address:#x} is mapped already"),
            Error::NotMapped { address } => write!(f, "nothing is mapped at {address:#x}"),
            Error::RightsExceedCeiling { asked, ceiling } => {
                write!(f, "rights {asked:?} exceed the ceiling {ceiling:?}")
            }
            Error::WrongKind(region) => write!(f, "{region:?} is of another kind"),
            Error::BadTls { bytes, align } => {
                write!(f, "no TLS of {bytes} bytes aligned to {align} can be made of this image")
            }
            Error::LargePage { address } => {
                write!(f, "the large page at {address:#x} cannot be cut or misaligned")
            }
            Error::OutOfMemoryToCut { address, bytes, free_bytes } => write!(
                f,
                "cutting the large page at {address:#x} takes {bytes} bytes, and {free_bytes} are \
                 free"
            ),
            Error::NotManaged { address } => write!(f, "the memory at {address:#x} is not ours"),
            Error::Shared { address } => write!(f, "the memory at {address:#x} is shared"),
            Error::InUse { space, address } => {
                write!(f, "it is in use at {address:#x} of {space:?}")
            }
            Error::PhysicalInUse { paddr, by } => {
                write!(f, "physical address {paddr:#x} is in use: {by}")
            }
            Error::NoPage(slot) => write!(f, "{slot:?} holds no frame of the smallest page size"),
            Error::NoSuchFrameSize { bits } => write!(f, "no frames of 2^{bits} bytes here"),
            Error::BadIpcBuffer { address } => write!(f, "no IPC buffer can be at {address:#x}"),
            Error::OwnSpace(space) => write!(f, "{space:?} is the manager's own"),
            Error::Pinned(region) => write!(f, "{region:?} is pinned"),
            Error::TooManyPinned { most } => {
                write!(f, "memory of {most} threads is pinned, and no more can be")
            }
            Error::NotOnePage { region, pages } => {
                write!(f, "{region:?} has {pages} pages, where one is wanted")
            }
            Error::SpaceInUse { space, threads } => {
                write!(f, "{space:?} is used by {threads} threads or objects")
            }
            Error::NotOfSpace { space, slot } => {
                write!(f, "the object in {slot:?} was not allocated for {space:?}")
            }
            Error::AlreadyShared => f.write_str("the lock has a manager already"),
            Error::AlreadyStarted => {
                f.write_str("the program has a manager of its boot information already")
            }
            Error::StackTooSmall { bytes } => {
                write!(f, "the first stack was used up: its {bytes} bytes are too few")
            }
            Error::BadBootInfo(value) => write!(f, "unusable boot information: {value:#x}"),
            Error::OutOfAsids => f.write_str("no identifier for an address space is left"),
            Error::OutOfBadges => f.write_str("no badge for a registered thread is left"),
            Error::OutOfSpaceNumbers => f.write_str("no number for an address space is left"),
            Error::SharedTooOften { address } => {
                write!(f, "the memory at {address:#x} is shared as often as can be counted")
            }
            Error::OutOfQuota { space, resource, limit, used, wanted } => write!(
                f,
                "{space:?} is out of quota: {used} of {limit} {resource:?} used, {wanted} more are \
                 wanted"
            ),
            Error::OutOfNodes(kind) => write!(f, "out of book-keeping memory for {kind:?} nodes"),
            Error::Allocator(untyped_alloc::Error::NeedsClearing { bytes }) => write!(
                f,
                "{bytes} bytes must be cleared first, more than a request may have cleared: call \
                 Vmm::clear({bytes}) and ask again, or start_with StartOptions that clear_at_boot \
                 or clear_when_needed"
            ),
            Error::Allocator(error) => error.fmt(f),
            Error::Kernel { invocation, error, done } => {
                write!(f, "{invocation:?} refused after {done} pages: {error}")
            }
        }
    }
}

impl core::error::Error for Error {}
