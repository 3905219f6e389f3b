// SPDX-License-Identifier: BSD-2-Clause
//! What a caller can ask for when it asks for a region.

use core::ops::Range;

use untyped_alloc::{CachePolicy, Rights};

use crate::types::ids::RegionId;
use crate::types::mapping::readable;
use crate::types::region::{Backing, Kind, Name, RegionSpec};

/// Where a region is to be. Start with one of the first three, and add to it.
///
/// ```
/// use vmm::Placement;
/// let low = Placement::within(0x10_0000..0x20_0000).aligned(16);
/// # let _ = low;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "each method returns the placement changed"]
pub struct Placement {
    pub(crate) place: Place,
    pub(crate) align_bits: u8,
    pub(crate) reservation: Option<RegionId>,
}

impl Placement {
    /// Wherever there is room: the lowest place, guards included. Where an alignment is asked for
    /// it is the lowest in one of sixteen holes that may be large enough, or else in one that is.
    pub fn anywhere() -> Placement {
        Placement::default()
    }

    /// With its first page (after the guard below) at this address, in bytes, page-aligned.
    pub fn at(address: usize) -> Placement {
        Placement::default().moved_to(address)
    }

    /// The lowest place, guards included, between two addresses, in bytes.
    pub fn within(addresses: Range<usize>) -> Placement {
        Placement::default().moved_within(addresses)
    }

    /// This one, but at an address.
    pub(crate) fn moved_to(self, address: usize) -> Placement {
        Placement { place: Place::At(address), ..self }
    }

    /// This one, but between two addresses.
    pub(crate) fn moved_within(self, addresses: Range<usize>) -> Placement {
        let Range { start: from, end: to } = addresses;
        Placement { place: Place::Within { from, to }, ..self }
    }

    /// Aligned to 2^`bits` bytes: the first page that is not a guard.
    pub fn aligned(self, bits: u8) -> Placement {
        Placement { align_bits: bits, ..self }
    }

    /// Inside a reservation, under its ceiling.
    pub fn inside(self, reservation: RegionId) -> Placement {
        Placement { reservation: Some(reservation), ..self }
    }
}

/// Which addresses a region may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Place {
    #[default]
    Anywhere,
    At(usize),
    Within {
        from: usize,
        to: usize,
    },
}

/// What frames a region is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PageSize {
    /// Pages of the smallest size.
    #[default]
    Small,
    /// Large pages where alignment and length allow and memory of that shape is free without
    /// reclaiming anything; small ones elsewhere. Where the manager chooses the place of a region
    /// that is as long as a large page, it chooses one that is aligned to that, if there is one.
    ///
    /// Memory on demand in a region of this size is touched in small pages at first: a touch brings
    /// a large page where all pages of the large one before or behind it in the region are there,
    /// and nothing is mapped in its own place.
    ///
    /// Right for memory that is used, protected and given back whole. A request for a part of a
    /// large page cuts it ([`crate::Vmm::memory_to_cut`]), at more than three times what small
    /// pages would have cost from the first: so pages are small where nothing is said.
    ///
    /// In memory on demand, a large page that came by itself is given up when memory is out, if half
    /// of it or more holds nothing but zeros: these pages are absent then, as if they had been
    /// decommitted, and come with a touch.
    Auto,
    /// Large pages of 2^`bits` bytes and nothing else: refused unless an address that was asked
    /// for, and the length, are multiples of that. Where the manager chooses the place, it chooses
    /// one that is.
    Large {
        /// Logarithm of the page size in bytes: 22 on IA32.
        bits: u8,
    },
}

/// Whether the kernel must tell the whole address of faults in a region
/// ([`page_tables::Geometry::fault_end`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Told {
    /// It need not: the region's pages are mapped by request.
    #[default]
    Indifferent,
    /// It need not as far as the region goes, but for pages that are to come: where it does is
    /// better.
    Preferred,
    /// It must: faults are what maps or copies its pages.
    Needed,
}

/// A request for a region. Start with [`RegionOptions::new`] and change what differs.
///
/// ```
/// use vmm::{Rights, RegionOptions};
/// let heap = RegionOptions::new(16).named("heap").guarded(1, 1);
/// let table = RegionOptions::new(4).at(0x1000_0000).rights(Rights::READ);
/// # let _ = (heap, table);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "each method returns the options changed"]
pub struct RegionOptions {
    pub(crate) pages: usize,
    pub(crate) placement: Placement,
    pub(crate) guard_below: u16,
    pub(crate) guard_above: u16,
    pub(crate) rights: Rights,
    pub(crate) ceiling: Option<Rights>,
    pub(crate) cache: CachePolicy,
    pub(crate) page_size: PageSize,
    pub(crate) kind: Kind,
    pub(crate) backing: Backing,
    pub(crate) first_page: usize,
    pub(crate) movable: Option<bool>,
    /// Said by operations; a backing says it for itself.
    pub(crate) told: Told,
    pub(crate) name: Name,
}

impl RegionOptions {
    /// `pages` pages of the smallest size, anywhere, readable and writable, without guards. Code is
    /// not to be run from them: that is asked for by [`RegionOptions::rights`].
    pub fn new(pages: usize) -> RegionOptions {
        RegionOptions {
            pages,
            placement: Placement::anywhere(),
            guard_below: 0,
            guard_above: 0,
            rights: Rights::READ_WRITE,
            ceiling: None,
            cache: CachePolicy::WriteBack,
            page_size: PageSize::Small,
            kind: Kind::Memory,
            backing: Backing::Explicit,
            first_page: 0,
            movable: None,
            told: Told::Indifferent,
            name: Name::default(),
        }
    }

    /// A name for people: its first 15 bytes.
    pub fn named(self, name: &str) -> Self {
        RegionOptions { name: Name::new(name), ..self }
    }

    /// Where it is to be, in place of what was said of that before.
    pub fn placed(self, placement: Placement) -> Self {
        RegionOptions { placement, ..self }
    }

    /// Where it is to be.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// At this address (bytes, page-aligned): of the first page that is not a guard.
    pub fn at(self, address: usize) -> Self {
        self.placed(self.placement.moved_to(address))
    }

    /// Between these addresses (bytes).
    pub fn within(self, addresses: Range<usize>) -> Self {
        self.placed(self.placement.moved_within(addresses))
    }

    /// Aligned to 2^`bits` bytes: the first page that is not a guard.
    pub fn aligned(self, bits: u8) -> Self {
        self.placed(self.placement.aligned(bits))
    }

    /// Inside a reservation, under its ceiling.
    pub fn inside(self, reservation: RegionId) -> Self {
        self.placed(self.placement.inside(reservation))
    }

    /// With pages on either side that are never mapped.
    pub fn guarded(self, below: u16, above: u16) -> Self {
        RegionOptions { guard_below: below, guard_above: above, ..self }
    }

    /// The rights its pages are mapped with: what may be written or run may be read too. No rights
    /// at all is allowed: such pages fault. Without [`Rights::EXECUTE`] no instruction is fetched
    /// from them, where the architecture can forbid that: [`crate::Mapping::executable`] says
    /// whether it does.
    pub fn rights(self, rights: Rights) -> Self {
        RegionOptions { rights: readable(rights), ..self }
    }

    /// The most rights its pages can ever be given: where that is writing, also reading. Without
    /// it: reading and writing, and executing if its rights have that; or what the reservation
    /// around it allows.
    pub fn ceiling(self, ceiling: Rights) -> Self {
        RegionOptions { ceiling: Some(readable(ceiling)), ..self }
    }

    /// How its pages are cached.
    pub fn cached(self, cache: CachePolicy) -> Self {
        RegionOptions { cache, ..self }
    }

    /// What frames it is made of.
    pub fn page_size(self, page_size: PageSize) -> Self {
        RegionOptions { page_size, ..self }
    }

    /// What happens when a page of it is touched that is not mapped. An `around` that is no power
    /// of two from 1 to 16 is rounded down to one. A region whose pages are mapped by touches lies
    /// where the kernel tells the address of a touch: on x86_64 of seL4 5.0.0 below 4 GiB. The
    /// manager chooses a place there, and refuses others
    /// ([`FaultsNotTold`](crate::Error::FaultsNotTold)).
    pub fn backed(self, backing: Backing) -> Self {
        let backing = match backing {
            Backing::OnDemand { around } => {
                Backing::OnDemand { around: 1 << around.clamp(1, 16).ilog2() }
            }
            other => other,
        };
        RegionOptions { backing, ..self }
    }

    /// Says whether the manager may *move* its pages when memory is short: put other frames with
    /// the same contents in the place of theirs, so that large pieces of memory come back
    /// ([`crate::Vmm::compact`]). For a moment such a page is not mapped, so a thread that touches
    /// it then must have its faults resolved: it goes on without noticing.
    ///
    /// Without this option, pages move where faults are known to be resolved: in a space other than
    /// the manager's own, if the region is [backed](RegionOptions::backed) on demand or by a pager,
    /// or if all threads that are taken to run there (those with IPC buffers) are registered
    /// ([`crate::Vmm::register_thread`]). Say `false` for memory that a thread uses which is
    /// neither, or a device. Say `true` in the manager's own space only for memory that neither the
    /// manager nor whoever calls it uses meanwhile.
    ///
    /// Whatever is said here, these stay: IPC buffers, pages that are shared or not cached in the
    /// ordinary way, large pages, frames of the caller's, pages whose
    /// [physical address](crate::Vmm::physical_address) was told, and pinned memory.
    pub fn movable(self, movable: bool) -> Self {
        RegionOptions { movable: Some(movable), ..self }
    }

    /// Makes it a stack's region: memory that is reported as a stack, and grows as one.
    pub fn stack(self) -> Self {
        self.kind(Kind::Stack)
    }

    pub(crate) fn kind(self, kind: Kind) -> Self {
        RegionOptions { kind, ..self }
    }

    /// What makes a region that is like one with `spec`, but for where it is.
    pub(crate) fn like(spec: &RegionSpec, placement: Placement) -> RegionOptions {
        let guards = usize::from(spec.guard_below) + usize::from(spec.guard_above);
        RegionOptions {
            pages: spec.pages - guards,
            placement,
            guard_below: spec.guard_below,
            guard_above: spec.guard_above,
            rights: spec.rights,
            ceiling: Some(spec.ceiling),
            cache: spec.cache,
            page_size: match spec.large_pages {
                true => PageSize::Auto,
                false => PageSize::Small,
            },
            kind: spec.kind,
            backing: spec.backing,
            first_page: spec.first_page,
            movable: spec.movable,
            told: Told::Indifferent,
            name: spec.name,
        }
    }

    /// Pages with guards; `None` when that is more than can be counted.
    pub(crate) fn total_pages(&self) -> Option<usize> {
        self.pages.checked_add(usize::from(self.guard_below) + usize::from(self.guard_above))
    }

    pub(crate) fn spec(&self, pages: usize, ceiling: Rights) -> RegionSpec {
        RegionSpec {
            pages,
            guard_below: self.guard_below,
            guard_above: self.guard_above,
            rights: self.rights,
            ceiling,
            cache: self.cache,
            kind: self.kind,
            backing: self.backing,
            first_page: self.first_page,
            movable: self.movable,
            large_pages: self.page_size == PageSize::Auto,
            name: self.name,
        }
    }
}
