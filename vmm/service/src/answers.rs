// SPDX-License-Identifier: BSD-2-Clause
//! The protocol's words for the manager's: numbers, rights, errors, regions.

use vmm::{AddressError, Blame, Kernel, Memory, RegionId, RegionInfo, RegionOptions, Rights, Vmm};
use vmm_client::protocol::{self, Answer, Refusal, RegionHandle, Resource, MAX_PAGES};

use crate::types::error::Error;

/// An answer, or why there is none.
pub(crate) type Answered = Result<Answer, Refusal>;

/// A number in a message, which has 32 bits there: a value that is larger is the largest.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The manager's rights for the protocol's.
pub(crate) fn rights(rights: protocol::Rights) -> Rights {
    Rights::from_bits_truncate(rights.bits() as u8)
}

/// The protocol's rights for the manager's.
pub(crate) fn to_wire(rights: Rights) -> protocol::Rights {
    protocol::Rights::from_bits_truncate(u32::from(rights.bits()))
}

// One set of bits: the conversions above only change the width.
const _: () = {
    assert!(protocol::Rights::READ.bits() == Rights::READ.bits() as u32);
    assert!(protocol::Rights::WRITE.bits() == Rights::WRITE.bits() as u32);
};

/// Asks for a region at this address, or anywhere for 0.
pub(crate) fn with_placement(options: RegionOptions, address: usize) -> RegionOptions {
    match address {
        0 => options,
        address => options.at(address),
    }
}

/// The name of a region in messages.
pub(crate) fn handle_of(region: RegionId) -> RegionHandle {
    RegionHandle { start: region.start().bits(), serial: region.serial() }
}

/// The answer about a region that was made.
pub(crate) fn region_answer<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    region: RegionId,
) -> Answered {
    let info = vmm.region_info(region).map_err(refuse)?;
    let (first, pages) = usable(vmm, &info);
    Ok(Answer::Region { handle: handle_of(region), first, pages })
}

/// The answer about a region of which so many pages are done.
pub(crate) fn partial_answer<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    region: RegionId,
    done: u32,
) -> Answered {
    let info = vmm.region_info(region).map_err(refuse)?;
    let (first, pages) = usable(vmm, &info);
    Ok(Answer::Part { handle: handle_of(region), first, pages, done })
}

/// The address of a region's first page between its guards, and how many pages those are.
fn usable<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, info: &RegionInfo) -> (usize, u32) {
    let below = info.guard_below * vmm.geometry().page_bytes();
    let pages = info.range.pages() - info.guard_below - info.guard_above;
    (info.range.start().bits() + below, narrow(pages))
}

/// Does as many of the pages as one request may have.
#[inline]
pub(crate) fn bounded(pages: u32, work: impl FnOnce(usize) -> vmm::Result<()>) -> Answered {
    let pages = pages.min(MAX_PAGES);
    work(pages as usize).map_err(refuse)?;
    Ok(Answer::Pages(pages))
}

/// What a client is told of an error of a request of its own.
pub(crate) fn refuse(error: impl Into<Error>) -> Refusal {
    match error.into() {
        Error::Manager(error) => refuse_for_manager(error),
        Error::NoSuchClient(_) => Refusal::NoSuchClient,
        Error::BadSlot { .. } | Error::SlotOccupied { .. } | Error::NoProgram(_) => {
            Refusal::BadSlot
        }
        Error::TooManyThreads { most } | Error::OutOfNumbers { most, .. } => {
            Refusal::TooMuch { most }
        }
        Error::OutOfNodes(_) => Refusal::OutOfMemory,
        Error::HasProgram(_) | Error::Image(_) | Error::Refused(_) => Refusal::Internal,
    }
}

fn refuse_for_manager(error: vmm::Error) -> Refusal {
    use vmm::Error;
    match error {
        Error::Address(error) => Refusal::BadAddress { address: address_of(error) },
        Error::NoSuchRegion(_) => Refusal::NoSuchRegion,
        Error::Overlap { address, .. } => Refusal::Overlap { address },
        Error::NoRoom { .. } => Refusal::NoRoom,
        Error::FaultsNotTold { address, .. }
        | Error::OutsideRegion { address, .. }
        | Error::Guard { address, .. }
        | Error::NoSuchIpcBuffer { address } => Refusal::BadAddress { address },
        Error::AlreadyMapped { address, .. } => Refusal::AlreadyMapped { address },
        Error::NotMapped { address, .. } => Refusal::NotMapped { address },
        Error::Shared { address } => Refusal::Shared { address },
        Error::RightsExceedCeiling { .. } => Refusal::BeyondRights,
        Error::WrongKind { .. }
        | Error::LargePage { .. }
        | Error::NotManaged { .. }
        | Error::BadIpcBuffer { .. } => Refusal::WrongKind,
        Error::OutOfQuota { resource, limit, used, .. } => {
            let resource = match resource {
                vmm::Resource::Frames => Resource::Frames,
                vmm::Resource::Tables => Resource::Tables,
                vmm::Resource::Slots => Resource::Slots,
                vmm::Resource::Objects => Resource::Objects,
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
