//! The manager's errors as a client is told them.

use page_tables::AddressError;
use untyped_alloc::Blame;
use vmm_client::protocol::{Refusal, Resource};

use crate::Error;

/// A number in a message: what is larger than a word there is the largest.
pub(super) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What a client is told of an error of a request about its own memory.
pub(super) fn refuse(error: Error) -> Refusal {
    match error {
        Error::Address(error) => Refusal::BadAddress { address: narrow(address_of(error)) },
        Error::NoSuchRegion(_) => Refusal::NoSuchRegion,
        Error::Overlap { address, .. } => Refusal::Overlap { address: narrow(address) },
        Error::NoRoom { .. } => Refusal::NoRoom,
        Error::OutsideRegion { address }
        | Error::Guard { address }
        | Error::NoSuchIpcBuffer { address } => Refusal::BadAddress { address: narrow(address) },
        Error::AlreadyMapped { address } => Refusal::AlreadyMapped { address: narrow(address) },
        Error::NotMapped { address } => Refusal::NotMapped { address: narrow(address) },
        Error::Shared { address } => Refusal::Shared { address: narrow(address) },
        Error::RightsExceedCeiling { .. } => Refusal::BeyondRights,
        Error::WrongKind(_)
        | Error::LargePage { .. }
        | Error::NotOurs { .. }
        | Error::BadIpcBuffer { .. } => Refusal::WrongKind,
        Error::OutOfQuota { resource, limit, used, .. } => {
            let resource = match resource {
                crate::Resource::Frames => Resource::Frames,
                crate::Resource::Tables => Resource::Tables,
                crate::Resource::Slots => Resource::Slots,
                crate::Resource::Objects => Resource::Objects,
            };
            Refusal::OutOfQuota { resource, limit: narrow(limit), used: narrow(used) }
        }
        other if other.blame() == Blame::Resource => Refusal::OutOfMemory,
        _ => Refusal::Internal,
    }
}

fn address_of(error: AddressError) -> usize {
    match error {
        AddressError::OutsideUserSpace { address, .. }
        | AddressError::Misaligned { address, .. }
        | AddressError::Empty { address }
        | AddressError::Wraps { address, .. } => address,
    }
}
