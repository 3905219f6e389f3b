// SPDX-License-Identifier: BSD-2-Clause
//! Refusals for people. What they say in a message stands in `layout`.

use core::fmt;

use super::layout::Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Malformed { what } => write!(f, "no message of this protocol: {what:?}"),
            Refusal::NoCapability { place } => write!(f, "capability {place} is missing"),
            Refusal::ForeignCapability { place } => {
                write!(f, "capability {place} is not the service's")
            }
            Refusal::TooManyCapabilities { wanted } => {
                write!(f, "more than the {wanted} capabilities that are due")
            }
            Refusal::WrongKind { place, found } => {
                write!(f, "capability {place} is to another kind of object: {found:?}")
            }
            Refusal::NoRight { place, missing } => {
                write!(f, "capability {place} lacks the right {missing:?}")
            }
            Refusal::Gone { place } => write!(f, "the object of capability {place} is gone"),
            Refusal::BeyondRights { asked } => write!(f, "{asked:?} is beyond the holder's rights"),
            Refusal::BadSlot { slot } => write!(f, "there is no slot {slot}"),
            Refusal::SlotOccupied { slot } => write!(f, "slot {slot} is occupied"),
            Refusal::OutOfAccount { resource, wanted, left } => {
                write!(f, "{wanted} {resource:?} wanted, {left} left in the account")
            }
            Refusal::Overcommitted { resource } => {
                write!(f, "no {resource:?} left above the account, which is no guarantee")
            }
            Refusal::BadLength { pages } => write!(f, "{pages} pages are no length"),
            Refusal::BeyondEnd { pages } => write!(f, "the memory object has {pages} pages"),
            Refusal::InUse { times } => write!(f, "in use, {times} times"),
            Refusal::Shared { page } => write!(f, "page {page} has other users"),
            Refusal::NoMapping { address } => write!(f, "no mapping begins at {address:#x}"),
            Refusal::BadAddress { address } => write!(f, "{address:#x} cannot be used"),
            Refusal::Overlap { address } => write!(f, "other memory lies at {address:#x}"),
            Refusal::NoRoom {} => f.write_str("no room in the address space"),
            Refusal::NoSuchPhysical { address } => {
                write!(f, "no free physical memory at {address:#x}")
            }
            Refusal::NotRelated {} => f.write_str("the one account is not the other's parent"),
            Refusal::StillMapped { pages } => write!(f, "{pages} pages are mapped"),
            Refusal::TooDeep { most } => {
                write!(f, "below {most} accounts, or in {most} reservations, already")
            }
            Refusal::WrongState { state } => write!(f, "the program or thread is {state:?}"),
            Refusal::BadImage { what, at } => {
                write!(f, "no program that can be loaded: {what:?} at {at:#x}")
            }
            Refusal::PriorityTooHigh { most } => write!(f, "a priority above {most}, the sender's"),
            Refusal::OwnCapability { place } => {
                write!(f, "capability {place} is the service's, and is to be another")
            }
            Refusal::Paged { place } => {
                write!(f, "the memory of capability {place} has a pager, and is to have none")
            }
            Refusal::NotThere { page } => write!(f, "page {page} was not supplied"),
            Refusal::IsThere { page } => write!(f, "page {page} is there already"),
            Refusal::Full { most } => write!(f, "{most} pages are there, as many as can be"),
            Refusal::BadCapability { place } => {
                write!(f, "the kernel does not take capability {place} for this")
            }
            Refusal::TooManyThreads { most } => {
                write!(f, "{most} threads beside the first already")
            }
            Refusal::TooManyWaiting { most } => {
                write!(f, "{most} requests wait already, one for each thread")
            }
            Refusal::NoClock {} => f.write_str("the service has no clock"),
            Refusal::Pinned { place } => {
                write!(f, "a physical address in the memory of capability {place} was told")
            }
            Refusal::NotPayer {} => {
                f.write_str("the account is not the one that pays for the object")
            }
            Refusal::NotReadable {} => f.write_str("pages that can be written can be read"),
            Refusal::Large { place } => {
                write!(f, "the memory of capability {place} is of large pages, which are not cut")
            }
            Refusal::Bound {} => f.write_str("a notification is bound to the thread already"),
            Refusal::NotBound {} => f.write_str("no notification was bound to the thread"),
            Refusal::OutOfMemory {} => f.write_str("the service is out of memory"),
            Refusal::Internal {} => f.write_str("the service met an error of its own"),
        }
    }
}

impl core::error::Error for Refusal {}
