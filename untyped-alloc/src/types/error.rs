// SPDX-License-Identifier: BSD-2-Clause
//! Errors that say whose fault they are and carry the offending value.

use core::fmt;

use super::blueprint::Blueprint;
use super::capability::CPtr;
use super::invocation::Invocation;
use super::kernel_error::KernelError;

/// Whose fault an error is, and so what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The request itself is wrong; repeating it will not help.
    Caller,
    /// Something ran out; the same request can succeed once some of it is given back.
    Resource,
    /// The kernel refused what it should not have: a bug of ours, or a capability that was tampered
    /// with behind our back. State is as it was; repeating is safe.
    Manager,
}

/// Which kind of book-keeping node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// One untyped of the buddy tree.
    Block,
    /// One batch of objects.
    Chunk,
    /// 4096 capability slots.
    SlotWindow,
    /// Second capabilities to the frames of one batch.
    Aliases,
}

/// Why a request to the allocator was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The architecture has no such object.
    NoSuchObject(Blueprint),
    /// Zero objects or slots were asked for.
    ZeroCount,
    /// More objects or consecutive slots than one request can have.
    TooMany {
        /// What was asked for.
        count: usize,
        /// The most there can be.
        limit: usize,
    },
    /// The slot holds nothing that this allocator handed out.
    NotAllocated(CPtr),
    /// The id names an object that was freed since.
    Stale(CPtr),
    /// An address that is not aligned to the size asked for.
    Misaligned {
        /// The physical address.
        paddr: usize,
        /// The alignment it lacks, in bits.
        size_bits: u8,
    },
    /// No untyped covers this physical address.
    NoUntypedAt(usize),
    /// The memory at this physical address is in use.
    AddressInUse(usize),
    /// The memory at this physical address is a device's, and makes frames and untypeds alone.
    DeviceMemory(usize),
    /// The boot information has no untyped memory that could be used.
    NoUntyped,
    /// The boot information describes something impossible (two untypeds overlap, a size the
    /// architecture does not have). The value is the physical address.
    BadUntyped(usize),
    /// No free block of this size is left, after merging and reclaiming.
    OutOfMemory {
        /// Logarithm of the size of the block that was needed.
        size_bits: u8,
        /// Bytes that the request wanted in all, as far as it came: those of the block at least.
        bytes: usize,
        /// Bytes that were free when it was given up, in pieces of any size: of untyped memory,
        /// and, where a request for pages is told of, also of frames that are ready.
        free_bytes: usize,
    },
    /// Memory for this is there, but the kernel must clear so many bytes of it first, in one call,
    /// and that is more than [`crate::Allocator::limit_clearing`] allows. Once they are cleared
    /// ([`crate::Allocator::clear`], which says so in words), the same request can succeed.
    NeedsClearing {
        /// The bytes of the untyped that has to be cleared whole.
        bytes: usize,
    },
    /// No run of so many consecutive free slots is left, and the CSpace cannot grow.
    OutOfSlots {
        /// Consecutive slots that were wanted.
        count: usize,
        /// Slots that were free, in runs of any length; some are held back for growing.
        free: usize,
    },
    /// Book-keeping memory ran out; adopt a page for this kind of node.
    OutOfNodes(NodeKind),
    /// The kernel refused an invocation.
    Kernel {
        /// Which.
        invocation: Invocation,
        /// What it said.
        error: KernelError,
    },
}

/// What the allocator returns.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Error::NoSuchObject(_)
            | Error::ZeroCount
            | Error::TooMany { .. }
            | Error::NotAllocated(_)
            | Error::Stale(_)
            | Error::Misaligned { .. }
            | Error::NoUntypedAt(_)
            | Error::AddressInUse(_)
            | Error::DeviceMemory(_)
            | Error::NoUntyped
            | Error::BadUntyped(_) => Blame::Caller,
            Error::OutOfMemory { .. }
            | Error::NeedsClearing { .. }
            | Error::OutOfSlots { .. }
            | Error::OutOfNodes(_) => Blame::Resource,
            Error::Kernel { .. } => Blame::Manager,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchObject(what) => write!(f, "this architecture has no {what}"),
            Error::ZeroCount => f.write_str("zero objects asked for"),
            Error::TooMany { count, limit } => {
                write!(f, "{count} asked for at once, at most {limit} can be had")
            }
            Error::NotAllocated(slot) => write!(f, "{slot:?} was not handed out"),
            Error::Stale(slot) => write!(f, "the object in {slot:?} was freed before"),
            Error::Misaligned { paddr, size_bits } => {
                write!(f, "physical address {paddr:#x} is not aligned to {size_bits} bits")
            }
            Error::NoUntypedAt(paddr) => write!(f, "no untyped covers physical address {paddr:#x}"),
            Error::AddressInUse(paddr) => write!(f, "physical address {paddr:#x} is in use"),
            Error::DeviceMemory(paddr) => {
                write!(f, "device memory at {paddr:#x} makes frames and untypeds alone")
            }
            Error::NoUntyped => f.write_str("boot information without usable untyped memory"),
            Error::BadUntyped(paddr) => write!(f, "impossible boot untyped at {paddr:#x}"),
            Error::OutOfMemory { bytes, free_bytes, .. } if bytes > free_bytes => {
                write!(f, "out of memory: {bytes} bytes are wanted, and {free_bytes} are free")
            }
            Error::OutOfMemory { size_bits, free_bytes, .. } => write!(
                f,
                "out of memory: no free block of 2^{size_bits} bytes, though {free_bytes} bytes are \
                 free"
            ),
            Error::NeedsClearing { bytes } => {
                write!(f, "{bytes} bytes must be cleared first, more than limit_clearing allows")
            }
            Error::OutOfSlots { count, free } => write!(
                f,
                "out of capability slots: {count} consecutive ones are wanted, and {free} are free"
            ),
            Error::OutOfNodes(kind) => write!(f, "out of book-keeping memory for {kind:?} nodes"),
            Error::Kernel { invocation, error } => write!(f, "{invocation:?} refused: {error}"),
        }
    }
}

impl core::error::Error for Error {}
