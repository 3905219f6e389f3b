// SPDX-License-Identifier: BSD-2-Clause
//! The protocol's words for the manager's, and what things cost.

use vmm::{Blame, Geometry, Invocation, KernelError, Rights as PageRights};
use vmm_client::objects::{Amounts, Answer, Refusal, Resource, Rights, PAGE_BYTES};

use super::state::charge;

/// Why a request is refused: an alias that says so in signatures.
pub(crate) type Refused = Refusal;

/// An answer, or why there is none.
pub(crate) type Answered = Result<Answer, Refusal>;

/// A record, which every object and every mapping has.
pub(crate) const NODE: Amounts = Amounts::NONE.with(Resource::Nodes, 1);

/// A number in a message, which has 32 bits there: a value that is larger is the largest.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The manager's rights on pages.
pub(crate) fn page_rights(rights: Rights) -> PageRights {
    match rights.contains(Rights::WRITE) {
        true => PageRights::READ_WRITE,
        false => PageRights::READ,
    }
}

/// Logarithm of the bytes of a large page; where a machine has none, of one of the smallest.
pub(crate) fn large_bits(geometry: &Geometry) -> u8 {
    geometry.larger_frame(geometry.page_bits).unwrap_or(geometry.page_bits)
}

/// The most page tables that so many pages need, wherever they lie.
pub(crate) fn tables(geometry: &Geometry, pages: u32) -> u32 {
    tables_above(geometry, pages, geometry.page_bits)
}

/// The same of pages that are mapped as such of 2^`bits` bytes: each of those takes an entry of a
/// table that covers more.
pub(crate) fn tables_above(geometry: &Geometry, pages: u32, bits: u8) -> u32 {
    let Some(behind) = (pages as usize).checked_sub(1) else { return 0 };
    let below_root = geometry.levels.iter().skip(1).filter(|level| level.span_bits() > bits);
    let each = below_root.map(|level| {
        let covered = u32::from(level.span_bits() - geometry.page_bits);
        // The first page may be the last that a table has room for.
        let covered = 1usize.checked_shl(covered).unwrap_or(usize::MAX);
        1 + narrow(behind.div_ceil(covered))
    });
    each.sum()
}

/// Why an account was not charged.
pub(crate) fn short(refused: charge::Refused) -> Refusal {
    match refused {
        charge::Refused::Own(short) => Refusal::OutOfAccount {
            resource: short.resource,
            wanted: short.wanted,
            left: short.left,
        },
        charge::Refused::Above(short) => Refusal::Overcommitted { resource: short.resource },
    }
}

/// What a client is told of an error of the manager's.
pub(crate) fn refuse(error: vmm::Error) -> Refusal {
    use vmm::{AddressError, Error};
    match error {
        Error::Address(error) => Refusal::BadAddress {
            address: match error {
                AddressError::Misaligned { address, .. }
                | AddressError::OutsideUserSpace { address, .. }
                | AddressError::Empty { address }
                | AddressError::Wraps { address, .. } => address,
            },
        },
        Error::FaultsNotTold { address, .. }
        | Error::OutsideRegion { address, .. }
        | Error::Guard { address, .. } => Refusal::BadAddress { address },
        Error::Overlap { address, .. } => Refusal::Overlap { address },
        Error::NoRoom { .. } => Refusal::NoRoom {},
        Error::Shared { address } => Refusal::Shared { page: narrow(address / PAGE_BYTES) },
        other if other.blame() == Blame::Resource => Refusal::OutOfMemory {},
        _ => Refusal::Internal {},
    }
}

/// What a client is told when a capability was not put into the slot that it named.
pub(crate) fn refuse_slot(error: vmm::Error, slot: u32) -> Refusal {
    match error {
        vmm::Error::Kernel { invocation, error: KernelError::DeleteFirst, .. } => {
            debug_assert!(matches!(invocation, Invocation::CNodeCopy | Invocation::CNodeMint));
            Refusal::SlotOccupied { slot }
        }
        other => refuse(other),
    }
}
