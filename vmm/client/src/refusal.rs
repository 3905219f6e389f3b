//! Why the service refused a request.

use core::fmt;

use crate::protocol::{Malformed, Resource};

/// Why a request was refused. Nothing was changed by it, except that pages which a request in
/// pieces did before stay done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The message is none of this protocol.
    Malformed(Malformed),
    /// No region of the sender's has this id.
    NoSuchRegion,
    /// There is no such client, or it is not the sender's to ask this of.
    NoSuchClient,
    /// No such offer was made to the sender, or what was offered is no longer there.
    NoSuchOffer,
    /// No thread waits for the sender under this ticket, or no more.
    NoSuchFault,
    /// No thread of the sender's is known by this address.
    NoSuchThread,
    /// The page was not taken: whoever waited for it has one by now, or may have no more. Its thread
    /// does not wait any longer, and the page is still the sender's.
    NotTaken,
    /// The memory is shared with others: a clone would show what they write, and it is not the
    /// sender's alone to give away. A copy is.
    Shared {
        /// The first such address.
        address: u32,
    },
    /// The sender is at its limit.
    OutOfQuota {
        /// Of what.
        resource: Resource,
        /// The most it may have.
        limit: u32,
        /// What it has.
        used: u32,
    },
    /// The service itself is out of memory or slots; the same request can succeed later.
    OutOfMemory,
    /// No hole of the address space is large enough.
    NoRoom,
    /// The address is outside user space or the region, not aligned, or a guard.
    BadAddress {
        /// The first offending address.
        address: u32,
    },
    /// Another region has these addresses.
    Overlap {
        /// The first address taken.
        address: u32,
    },
    /// Nothing is mapped there.
    NotMapped {
        /// The first such address.
        address: u32,
    },
    /// Something is mapped there already.
    AlreadyMapped {
        /// The first such address.
        address: u32,
    },
    /// More rights than the region, or the offer, allows.
    BeyondRights,
    /// The region is of a kind this cannot be asked for.
    WrongKind,
    /// More than one request can have: regions, open offers, threads, pages of an
    /// offer to page.
    TooMuch {
        /// The most.
        most: u32,
    },
    /// The slot of the sender's CNode is occupied, reserved, or not there.
    BadSlot,
    /// The service met an error of its own.
    Internal,
}

impl Refusal {
    /// The number of the refusal, and what goes with it.
    pub(crate) fn words(self) -> [u32; 4] {
        match self {
            Refusal::Malformed(what) => [1, what as u32, 0, 0],
            Refusal::NoSuchRegion => [2, 0, 0, 0],
            Refusal::NoSuchClient => [3, 0, 0, 0],
            Refusal::NoSuchOffer => [4, 0, 0, 0],
            Refusal::OutOfQuota { resource, limit, used } => [5, resource as u32, limit, used],
            Refusal::OutOfMemory => [6, 0, 0, 0],
            Refusal::NoRoom => [7, 0, 0, 0],
            Refusal::BadAddress { address } => [8, address, 0, 0],
            Refusal::Overlap { address } => [9, address, 0, 0],
            Refusal::NotMapped { address } => [10, address, 0, 0],
            Refusal::AlreadyMapped { address } => [11, address, 0, 0],
            Refusal::BeyondRights => [12, 0, 0, 0],
            Refusal::WrongKind => [13, 0, 0, 0],
            Refusal::TooMuch { most } => [14, most, 0, 0],
            Refusal::BadSlot => [15, 0, 0, 0],
            Refusal::Internal => [16, 0, 0, 0],
            Refusal::NoSuchFault => [17, 0, 0, 0],
            Refusal::NoSuchThread => [18, 0, 0, 0],
            Refusal::NotTaken => [19, 0, 0, 0],
            Refusal::Shared { address } => [20, address, 0, 0],
        }
    }

    pub(crate) fn parse([number, a, b, c]: [u32; 4]) -> Result<Refusal, Malformed> {
        let refusal = match number {
            1 => Refusal::Malformed(Malformed::parse(a)?),
            2 => Refusal::NoSuchRegion,
            3 => Refusal::NoSuchClient,
            4 => Refusal::NoSuchOffer,
            5 => Refusal::OutOfQuota { resource: Resource::parse(a)?, limit: b, used: c },
            6 => Refusal::OutOfMemory,
            7 => Refusal::NoRoom,
            8 => Refusal::BadAddress { address: a },
            9 => Refusal::Overlap { address: a },
            10 => Refusal::NotMapped { address: a },
            11 => Refusal::AlreadyMapped { address: a },
            12 => Refusal::BeyondRights,
            13 => Refusal::WrongKind,
            14 => Refusal::TooMuch { most: a },
            15 => Refusal::BadSlot,
            16 => Refusal::Internal,
            17 => Refusal::NoSuchFault,
            18 => Refusal::NoSuchThread,
            19 => Refusal::NotTaken,
            20 => Refusal::Shared { address: a },
            _ => return Err(Malformed::Value),
        };
        // What a refusal does not use is zero.
        (refusal.words() == [number, a, b, c]).then_some(refusal).ok_or(Malformed::Value)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => write!(f, "no message of this protocol: {what:?}"),
            Refusal::NoSuchRegion => f.write_str("no such region"),
            Refusal::NoSuchClient => f.write_str("no such client"),
            Refusal::NoSuchOffer => f.write_str("no such offer"),
            Refusal::NoSuchFault => f.write_str("nobody waits under this ticket"),
            Refusal::NoSuchThread => f.write_str("no such thread"),
            Refusal::NotTaken => f.write_str("whoever waited has one, or may have no more"),
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
            Refusal::BeyondRights => f.write_str("beyond the rights there are"),
            Refusal::WrongKind => f.write_str("wrong kind of region"),
            Refusal::TooMuch { most } => write!(f, "too much: {most} at the most"),
            Refusal::BadSlot => f.write_str("the slot cannot be used"),
            Refusal::Internal => f.write_str("the service met an error of its own"),
        }
    }
}

impl core::error::Error for Refusal {}
