// SPDX-License-Identifier: BSD-2-Clause
//! The decision about a page fault: one pure function, by which all of this room goes.

use page_tables::Geometry;
use untyped_alloc::Rights;

use crate::types::fault::{Access, FaultClass};
use crate::types::mapping::Mapping;
use crate::types::region::{Backing, Kind, RegionInfo, RegionSpec};

/// What is known about the region that covers a fault's address.
#[derive(Clone, Copy)]
pub(crate) struct Covering {
    /// What the region is for.
    pub kind: Kind,
    /// What is mapped in it by itself.
    pub backing: Backing,
    /// The rights its pages are mapped with.
    pub rights: Rights,
    /// The first address behind its guard below, in bytes.
    pub low: usize,
    /// The first address of its guard above, in bytes.
    pub high: usize,
}

impl Covering {
    /// Of a region whose pages between the guards lie at `low..high`.
    #[inline(always)]
    pub fn of(spec: &RegionSpec, low: usize, high: usize) -> Covering {
        Covering { kind: spec.kind, backing: spec.backing, rights: spec.rights, low, high }
    }
}

/// What is known about the page that is mapped at a fault's address.
#[derive(Clone, Copy)]
pub(crate) struct Present {
    /// What it may be used for.
    pub rights: Rights,
    /// Whether it is under copy-on-write.
    pub cow: bool,
}

/// Decides which class a fault at `address`, in user space, is. Pure: what it depends on is all in
/// its arguments; `needed` are the rights that the access needs.
#[inline(always)]
pub(crate) fn decide(
    address: usize,
    (access, needed): (Access, Rights),
    region: Option<Covering>,
    page: Option<Present>,
) -> FaultClass {
    let Some(Covering { kind, backing, rights, low, high }) = region else {
        return FaultClass::NoRegion;
    };
    if address < low || address >= high {
        return FaultClass::Guard;
    }
    match kind {
        Kind::Boot => return FaultClass::Boot,
        // Given up by its owner, and only not let go by the kernel yet.
        Kind::Quarantine => return FaultClass::NoRegion,
        _ => {}
    }
    if let Some(page) = page {
        return match (page.rights.contains(needed), access) {
            (false, _) => FaultClass::BeyondRights,
            (true, Access::Write) if page.cow => FaultClass::CopyOnWrite,
            (true, _) => FaultClass::Recorded,
        };
    }
    if kind == Kind::IpcBuffer {
        // Between two buffers, or where one was.
        return FaultClass::Guard;
    }
    if !rights.contains(needed) {
        return FaultClass::BeyondRights;
    }
    match (backing, kind) {
        (Backing::OnDemand { around }, Kind::Stack) => FaultClass::StackGrowth { around },
        (Backing::OnDemand { around }, _) => FaultClass::DemandZero { around },
        (Backing::Pager { token }, _) => FaultClass::Pager { token },
        (Backing::Explicit, _) => FaultClass::NotPopulated,
    }
}

/// Decides which class a fault at `address` (bytes) is, by what the manager's queries say. Pure.
///
/// `region` covers the address, `page` is mapped there; both as far as the manager knows.
/// `in_user` says whether the address lies in user space.
pub fn classify(
    address: usize,
    access: Access,
    region: Option<&RegionInfo>,
    page: Option<&Mapping>,
    geometry: &Geometry,
    in_user: bool,
) -> FaultClass {
    if !in_user {
        return FaultClass::OutsideUserSpace;
    }
    let page_bytes = geometry.page_bytes();
    let region = region.map(|region| Covering {
        kind: region.kind,
        backing: region.backing,
        rights: region.rights,
        low: region.range.start().bits() + region.guard_below * page_bytes,
        high: region.range.end() - region.guard_above * page_bytes,
    });
    let page = page.map(|page| Present { rights: page.rights, cow: page.copy_on_write });
    decide(address, (access, access.needs(geometry)), region, page)
}
