// SPDX-License-Identifier: BSD-2-Clause
//! Everything that a request which failed must leave as it was.

use std::collections::BTreeMap;

use crate::model::{Mapping, ObjectKind};
use untyped_alloc::kernel::Rights;
use vmm::{Kind, RegionInfo, SpaceId};

use super::fixture::Fixture;
use super::machine::PAGE;

/// The visible state of a manager and the machine below it.
///
/// Not part of it are kernel calls made and bytes cleared, which only grow, and how free memory is
/// cut: blocks that were split for a request that then failed may stay split until they are needed
/// whole. [`Snapshot::settled`] takes a snapshot in which not even that may differ.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// By space: what is mapped, where, and what it holds.
    pub pages: BTreeMap<SpaceId, BTreeMap<usize, (Mapping, Vec<u64>)>>,
    /// By space: its regions, as the manager tells.
    pub regions: BTreeMap<SpaceId, Vec<RegionInfo>>,
    /// Memory that can be had, in bytes, with what book-keeping and tables kept empty hold.
    pub free_bytes: usize,
    /// Live objects by kind.
    pub live: String,
    /// Objects and runs in quarantine.
    pub quarantined: usize,
    /// Pages that the manager mapped for itself.
    pub bookkeeping_pages: usize,
    /// Only in a settled one: free slots, bytes in free untypeds, book-keeping nodes in use, and
    /// the kernel's objects by kind.
    pub settled: Option<Settled>,
}

/// What depends on nothing but what callers hold, once nothing is kept for speed.
#[derive(Clone, PartialEq, Debug)]
pub struct Settled {
    free_slots: usize,
    untyped_bytes: usize,
    free_by_size: Vec<u32>,
    bookkeeping_bytes_used: usize,
    objects: Vec<(ObjectKind, usize)>,
}

/// Address, size, rights and contents of a page.
type Page = (usize, u8, Rights, Vec<u64>);

/// What of a settled [`Snapshot`] does not depend on which frames, blocks and ids were taken.
#[derive(Clone, PartialEq, Debug)]
pub struct Essence {
    /// By space: every page.
    pages: Vec<Vec<Page>>,
    /// By space: ranges, guards and kinds of its regions.
    regions: Vec<Vec<(usize, usize, usize, Kind)>>,
    free_bytes: usize,
    free_slots: usize,
    live: String,
    quarantined: usize,
    bookkeeping_bytes_used: usize,
    objects: Vec<(ObjectKind, usize)>,
}

impl Essence {
    /// # Panics
    /// With the first part that differs.
    #[track_caller]
    pub fn assert_is(&self, expected: &Essence, why: &str) {
        assert_eq!(self.regions, expected.regions, "{why}: regions");
        assert_eq!(self.pages, expected.pages, "{why}: pages");
        assert_eq!(self.live, expected.live, "{why}: live objects");
        assert_eq!(self.objects, expected.objects, "{why}: the kernel's objects");
        let sums = |of: &Essence| {
            (of.free_bytes, of.free_slots, of.quarantined, of.bookkeeping_bytes_used)
        };
        assert_eq!(sums(self), sums(expected), "{why}: bytes, slots, quarantined, node bytes");
    }

    /// Without what depends on how free frames are spread over batches.
    #[must_use]
    pub fn outside(&self) -> Essence {
        Essence { free_slots: 0, bookkeeping_bytes_used: 0, objects: Vec::new(), ..self.clone() }
    }

    /// Regions for the manager's own use; one, the window, is there from the start.
    pub fn own_regions(&self) -> usize {
        let regions = self.regions.iter().flatten();
        regions.filter(|(.., kind)| *kind == Kind::Bookkeeping).count()
    }

    /// Pages and regions alone, not the manager's own, and not where they are.
    #[must_use]
    pub fn callers(&self) -> Essence {
        let own: Vec<_> = self
            .regions
            .iter()
            .map(|regions| {
                let own = regions.iter().filter(|(.., kind)| *kind == Kind::Bookkeeping);
                own.map(|&(start, pages, ..)| start..start + pages * PAGE).collect::<Vec<_>>()
            })
            .collect();
        let mut callers = Essence { free_bytes: 0, live: String::new(), ..self.outside() };
        for (pages, own) in callers.pages.iter_mut().zip(&own) {
            pages.retain(|(at, ..)| !own.iter().any(|range| range.contains(at)));
            pages.iter_mut().for_each(|(at, ..)| *at = 0);
        }
        for regions in &mut callers.regions {
            regions.retain(|(.., kind)| *kind != Kind::Bookkeeping);
            regions.iter_mut().for_each(|(start, ..)| *start = 0);
            regions.sort_by_key(|&(_, pages, guard, kind)| (pages, guard, kind as u8));
        }
        callers
    }
}

impl Snapshot {
    /// What of a settled one can be compared with another machine's.
    ///
    /// # Panics
    /// When it is not settled.
    pub fn essence(&self) -> Essence {
        let settled = self.settled.clone().expect("a settled snapshot");
        let page = |(&at, (mapping, tags)): (&usize, &(Mapping, Vec<u64>))| {
            (at, mapping.size_bits, mapping.rights, tags.clone())
        };
        let region = |info: &RegionInfo| {
            let (start, pages) = (info.range.start().bits(), info.range.pages());
            (start, pages, info.guard_below, info.kind)
        };
        Essence {
            pages: self.pages.values().map(|pages| pages.iter().map(page).collect()).collect(),
            regions: self.regions.values().map(|r| r.iter().map(region).collect()).collect(),
            free_bytes: self.free_bytes,
            free_slots: settled.free_slots,
            live: self.live.clone(),
            quarantined: self.quarantined,
            bookkeeping_bytes_used: settled.bookkeeping_bytes_used,
            objects: settled.objects,
        }
    }
}

const KINDS: [ObjectKind; 7] = [
    ObjectKind::Tcb,
    ObjectKind::Endpoint,
    ObjectKind::Notification,
    ObjectKind::CNode,
    ObjectKind::Frame,
    ObjectKind::Table,
    ObjectKind::AsidPool,
];

impl Snapshot {
    /// A snapshot of the state as it is.
    pub fn of(host: &Fixture<'_>) -> Snapshot {
        let spaces = &host.spaces;
        let stats = host.vmm.stats();
        Snapshot {
            pages: spaces.iter().map(|&space| (space, pages(host, space))).collect(),
            regions: spaces.iter().map(|&space| (space, regions(host, space))).collect(),
            free_bytes: stats.free_bytes(),
            live: format!("{:?}", stats.allocator.live),
            quarantined: stats.allocator.quarantined,
            bookkeeping_pages: stats.bookkeeping_pages,
            settled: None,
        }
    }

    /// A snapshot after everything that is kept for speed was given back: then free memory, slots
    /// and nodes depend on nothing but what callers hold.
    pub fn settled(host: &mut Fixture<'_>) -> Snapshot {
        // Slots are entered 4096 at a time, the first at the first request.
        let slot = host.vmm.alloc_slots(1).expect("a slot");
        host.vmm.free_slots(slot, 1).expect("it was taken");
        host.vmm.trim().expect("trimming");
        let allocator = host.vmm.stats().allocator;
        let settled = Settled {
            free_slots: allocator.free_slots,
            untyped_bytes: allocator.untyped_bytes,
            free_by_size: allocator.free_by_size.to_vec(),
            bookkeeping_bytes_used: host.vmm.bookkeeping_bytes_used(),
            objects: KINDS.map(|kind| (kind, host.kernel().live(kind))).to_vec(),
        };
        Snapshot { settled: Some(settled), ..Snapshot::of(host) }
    }

    /// # Panics
    /// With the first difference.
    #[track_caller]
    pub fn assert_same(&self, now: &Snapshot) {
        assert_eq!(self.pages, now.pages, "mapped pages changed");
        assert_eq!(self.regions, now.regions, "regions changed");
        assert_eq!(self.live, now.live, "live objects changed");
        assert_eq!(self.settled, now.settled, "free memory, slots or nodes changed");
        assert_eq!(self, now);
    }
}

fn pages(host: &Fixture<'_>, space: SpaceId) -> BTreeMap<usize, (Mapping, Vec<u64>)> {
    let readable = |mapping: &Mapping| mapping.rights.contains(Rights::READ);
    let tags = |vaddr: usize, mapping: &Mapping| {
        let pages = if readable(mapping) { 1usize << mapping.size_bits } else { 0 };
        (0..pages).step_by(PAGE).map(|at| host.digest(space, vaddr + at)).collect()
    };
    let found = host.mappings(space).into_iter();
    found.map(|(vaddr, mapping)| (vaddr, (mapping, tags(vaddr, &mapping)))).collect()
}

fn regions(host: &Fixture<'_>, space: SpaceId) -> Vec<RegionInfo> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(info) = host.vmm.next_region(space, at).expect("a space") {
        at = info.range.end();
        found.push(info);
    }
    found
}
