// SPDX-License-Identifier: BSD-2-Clause
//! Errors as tests expect them: what they say besides of how much there was, and of names, is for
//! people, and is checked where it is the point.

use untyped_alloc::Error as AllocError;
use vmm::{Error, Name, RegionId, Rights};

/// No hole of so many pages.
pub fn no_room(pages: usize, align_bits: u8) -> Error {
    Error::NoRoom { pages, align_bits, largest: 0, name: Name::default() }
}

/// An address that belongs to the region at another.
pub fn overlap(address: usize, region_start: usize) -> Error {
    Error::Overlap { address, region_start, name: Name::default() }
}

/// An address of whose faults the kernel tells too little.
pub fn not_told(address: usize, end: usize) -> Error {
    Error::FaultsNotTold { address, end, name: Name::default() }
}

/// An address that is outside the region asked about.
pub fn outside_region(address: usize) -> Error {
    Error::OutsideRegion { address, name: Name::default() }
}

/// An address of a guard page.
pub fn in_guard(address: usize) -> Error {
    Error::Guard { address, name: Name::default() }
}

/// An address at which something is mapped.
pub fn already_mapped(address: usize) -> Error {
    Error::AlreadyMapped { address, name: Name::default() }
}

/// An address at which nothing is mapped.
pub fn not_mapped(address: usize) -> Error {
    Error::NotMapped { address, name: Name::default() }
}

/// More rights than are allowed.
pub fn beyond_ceiling(asked: Rights, ceiling: Rights) -> Error {
    Error::RightsExceedCeiling { asked, ceiling, name: Name::default() }
}

/// A region that an operation is not for.
pub fn wrong_kind(region: RegionId) -> Error {
    Error::WrongKind { region, name: Name::default() }
}

/// No block of this size.
pub fn out_of_memory(size_bits: u8) -> AllocError {
    AllocError::OutOfMemory { size_bits, bytes: 0, free_bytes: 0 }
}

/// The same error without what was there, and without names.
pub fn without_amounts(error: Error) -> Error {
    match error {
        Error::NoRoom { pages, align_bits, .. } => no_room(pages, align_bits),
        Error::Overlap { address, region_start, .. } => overlap(address, region_start),
        Error::FaultsNotTold { address, end, .. } => not_told(address, end),
        Error::OutsideRegion { address, .. } => outside_region(address),
        Error::Guard { address, .. } => in_guard(address),
        Error::AlreadyMapped { address, .. } => already_mapped(address),
        Error::NotMapped { address, .. } => not_mapped(address),
        Error::RightsExceedCeiling { asked, ceiling, .. } => beyond_ceiling(asked, ceiling),
        Error::WrongKind { region, .. } => wrong_kind(region),
        Error::Allocator(AllocError::OutOfMemory { size_bits, .. }) => {
            out_of_memory(size_bits).into()
        }
        Error::OutOfMemoryToCut { address, bytes, .. } => {
            Error::OutOfMemoryToCut { address, bytes, free_bytes: 0 }
        }
        other => other,
    }
}
