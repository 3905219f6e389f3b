// SPDX-License-Identifier: BSD-2-Clause
//! The reasons why the service refuses a request.

use core::fmt;

use super::items::Resource;
use super::malformed::Malformed;

/// The reason why a request was refused. A refused request has changed nothing; pages that earlier
/// requests of the same work have done stay done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The message is not one of this protocol.
    Malformed(Malformed),
    /// No region of the sender's has this handle.
    NoSuchRegion,
    /// No client has this number, or it is not a client that the sender may ask this of.
    NoSuchClient,
    /// No such offer was made to the sender, or the offered pages are no longer there.
    NoSuchOffer,
    /// No thread waits, or no longer waits, for the sender under this ticket.
    NoSuchFault,
    /// No thread of the sender's has its IPC buffer at this address.
    NoSuchThread,
    /// The page was not taken: the thread that waited for it has one by now, or its client may have
    /// no more. The thread does not wait any longer, and the page is still the sender's.
    NotTaken,
    /// The memory is shared with other clients: a clone would show what they write later, and the
    /// memory is not the sender's alone to transfer. A copy of it is.
    Shared {
        /// The first such address.
        address: usize,
    },
    /// The sender is at its limit.
    OutOfQuota {
        /// The resource that the limit is for.
        resource: Resource,
        /// The most that the sender may have.
        limit: u32,
        /// How much it has.
        used: u32,
    },
    /// The service itself is out of memory or slots; the same request can succeed later.
    OutOfMemory,
    /// No hole of the address space is large enough.
    NoRoom,
    /// The address is outside user space or the region, not aligned, or in a guard.
    BadAddress {
        /// The first offending address.
        address: usize,
    },
    /// Another region has these addresses.
    Overlap {
        /// The first address that is not free.
        address: usize,
    },
    /// Nothing is mapped there.
    NotMapped {
        /// The first such address.
        address: usize,
    },
    /// Something is mapped there already.
    AlreadyMapped {
        /// The first such address.
        address: usize,
    },
    /// The rights are more than the region, or the offer, allows.
    BeyondRights,
    /// The request does not apply to regions of this kind.
    WrongKind,
    /// The request is beyond a limit of the protocol: for regions, open offers, threads, or pages
    /// of an offer to page.
    TooMuch {
        /// The most.
        most: u32,
    },
    /// The slot of the sender's CNode is occupied, reserved, or not there.
    BadSlot,
    /// The service met an error of its own.
    Internal,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => write!(f, "no message of this protocol: {what:?}"),
            Refusal::NoSuchRegion => f.write_str("no such region"),
            Refusal::NoSuchClient => f.write_str("no such client"),
            Refusal::NoSuchOffer => f.write_str("no such offer"),
            Refusal::NoSuchFault => f.write_str("nobody waits under this ticket"),
            Refusal::NoSuchThread => f.write_str("no thread has its IPC buffer at this address"),
            Refusal::NotTaken => {
                f.write_str("the page was not taken: whoever waited has one, or may have no more")
            }
            Refusal::Shared { address } => write!(f, "{address:#x} is shared with others"),
            Refusal::OutOfQuota { resource, limit, used } => {
                write!(f, "out of quota: {used} of {limit} {resource:?} used")
            }
            Refusal::OutOfMemory => f.write_str("the service is out of memory"),
            Refusal::NoRoom => f.write_str("no room in the address space"),
            Refusal::BadAddress { address } => write!(f, "{address:#x} cannot be used"),
            Refusal::Overlap { address } => write!(f, "{address:#x} belongs to another region"),
            Refusal::NotMapped { address } => write!(f, "nothing is mapped at {address:#x}"),
            Refusal::AlreadyMapped { address } => write!(f, "{address:#x} is mapped already"),
            Refusal::BeyondRights => f.write_str("the region, or the offer, has not these rights"),
            Refusal::WrongKind => f.write_str("wrong kind of region"),
            Refusal::TooMuch { most } => write!(f, "too much: {most} at the most"),
            Refusal::BadSlot => f.write_str("the slot is occupied or reserved, or there is none"),
            Refusal::Internal => f.write_str("the service met an error of its own"),
        }
    }
}

impl core::error::Error for Refusal {}
