// SPDX-License-Identifier: BSD-2-Clause
//! Errors in words: addresses in hexadecimal, how much was wanted and how much there was, and the
//! name of the region.

use core::fmt;

use crate::types::error::Error;
use crate::types::region::{Escaped, Name};

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

/// The same of what is part of a region.
struct Of<'a>(&'a Name);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            _ => write!(f, " of{}", Named(self.0)),
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
            Error::FaultsNotTold { address, end, name } => write!(
                f,
                "{address:#x}{} would be mapped or copied by its faults, and the kernel does not \
                 tell addresses from {end:#x} on with a fault: place it below, or map it by request",
                Of(name)
            ),
            Error::OutsideRegion { address, name } => {
                write!(f, "{address:#x} is outside the region{}", Named(name))
            }
            Error::Guard { address, name } => {
                write!(f, "{address:#x} is a guard page{}", Of(name))
            }
            Error::AlreadyMapped { address, name } => {
                write!(f, "{address:#x}{} is mapped already", Of(name))
            }
            Error::NotMapped { address, name } => {
                write!(f, "nothing is mapped at {address:#x}{}", Of(name))
            }
            Error::RightsExceedCeiling { asked, ceiling, name } => {
                write!(f, "rights {asked:?} exceed the ceiling {ceiling:?}{}", Of(name))
            }
            Error::WrongKind { region, name } => {
                write!(f, "{region:?}{} is of another kind", Named(name))
            }
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
            Error::StoreSpace(space) => write!(f, "no thread can run in {space:?}, a store"),
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
