// SPDX-License-Identifier: BSD-2-Clause
//! What lies in physical memory that somebody asked for by its address.

use core::fmt;

use untyped_alloc::Blueprint;

use crate::types::ids::RegionId;

/// What is in the way of a request for memory by its address. Memory comes back as a whole that was
/// made into objects together: so it is at this address, or came together with what is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Occupant {
    /// A page that is mapped in a region: one that may not move, where there is one; and the one
    /// that was asked for or comes next in memory, where there is one.
    Region {
        /// The region.
        region: RegionId,
        /// The physical address of the page, in bytes.
        paddr: usize,
    },
    /// Objects of this kind, a caller's or the manager's own; frames are in no region.
    Object(Blueprint),
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Occupant::Region { region, paddr } => write!(f, "a page of {region:?} at {paddr:#x}"),
            Occupant::Object(blueprint) => write!(f, "an object: {blueprint}"),
        }
    }
}
