// SPDX-License-Identifier: BSD-2-Clause
//! Regions: who owns which addresses of a space, and where its holes are.
//!
//! ```text
//!   ├ null ┤      ├── image ──┤ ├ ipc ┤            ├ g ├── stack ──┤ g ┤
//!   0      ▲                   ▲       ▲                                ▲          user end
//!          hole after "null"   hole    hole after "ipc"                 hole after "stack"
//! ```
//!
//! The regions of a space lie in one flat map ordered by address. Each carries the size of the hole
//! behind it, and knows the largest hole of those below it in the tree (see `region_tree.rs`), so
//! the lowest one that is large enough is found in O(log n). The page of the null pointer is a
//! region from the start; so every hole lies behind some region.
//!
//! A *reservation* is a range in which others place regions. It appears in the map as two edges
//! without pages, one at either end. A hole belongs to the reservation it lies in (or to none, 0):
//! nobody else is given addresses there.
//!
//! ```text
//!   ──┤ hole of 0 ├[ hole of R ├─ region ─┤ hole of R ]┤ hole of 0 ├──
//! ```

use core::cell::Cell;

use page_tables::VirtAddr;

use crate::types::region::{RegionSpec, MAX_NESTED};

/// How a region's node stands in the order at one address: edges stand before the region that may
/// start there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum ReservationEdge {
    /// The end of a reservation.
    End,
    /// The start of a reservation.
    Start,
    #[default]
    Region,
}

/// What a hole is looked for by: greater for one in fewer reservations, and among those of as many
/// for one of more pages. 0 for none.
pub(super) type Rank = usize;

/// A node's place in the tree, and what is known of the nodes below.
#[derive(Default)]
pub(super) struct Links<'p> {
    pub parent: Cell<Option<&'p Region<'p>>>,
    /// The nodes before it that are below it, and those behind it.
    pub below: [Cell<Option<&'p Region<'p>>>; 2],
    /// The rank of the hole behind it, as the tree knows it.
    pub rank: Cell<Rank>,
    /// The greatest rank of it and of all below.
    pub greatest: Cell<Rank>,
    /// Of the tree of which it is the root: 1 without nodes below it.
    pub height: Cell<u8>,
}

/// A region's node.
#[derive(Default)]
pub(crate) struct Region<'p> {
    pub next_free: Cell<Option<&'p Region<'p>>>,
    pub(super) links: Links<'p>,
    pub(super) start: Cell<VirtAddr>,
    /// Pages, guards included; 0 for an edge.
    pub(super) pages: Cell<usize>,
    /// Pages of the hole behind it.
    pub(super) hole: Cell<usize>,
    /// The reservation that hole belongs to: the key of its start edge, or 0.
    pub(super) reservation: Cell<StartKey>,
    pub(super) serial: Cell<u64>,
    /// What it is ordered by: made of start, edge and depth, which are set together.
    pub(super) key: Cell<StartKey>,
    pub(super) edge: Cell<ReservationEdge>,
    /// For an edge: in how many reservations its own lies, itself included.
    pub(super) depth: Cell<u16>,
    /// For a page of packed IPC buffers: how many were handed out, and which were given back.
    pub packed: Cell<(u8, u8)>,
    /// For an arena of IPC buffers: how many were handed out, and how many were given back.
    pub arena: Cell<Option<(u8, u8)>>,
    pub(super) spec: Cell<RegionSpec>,
}

// On IA32: elsewhere words of 64 bits lie apart by as many.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Region<'_>>() <= 108 || align_of::<u64>() == 8);

impl Region<'_> {
    pub fn start(&self) -> VirtAddr {
        self.start.get()
    }

    /// Its pages, guards included; 0 for an edge.
    pub fn pages(&self) -> usize {
        self.pages.get()
    }

    pub fn serial(&self) -> u64 {
        self.serial.get()
    }

    pub fn is_edge(&self) -> bool {
        self.edge.get() != ReservationEdge::Region
    }

    /// Whether a reservation starts here.
    pub fn is_start(&self) -> bool {
        self.edge.get() == ReservationEdge::Start
    }

    /// In how many reservations the reservation of this edge lies, itself included; 0 for a region.
    pub fn depth(&self) -> u16 {
        self.depth.get()
    }

    /// The reservation the region lies in, or 0: that of the hole behind it.
    pub fn reservation(&self) -> StartKey {
        self.reservation.get()
    }

    /// What the node is ordered by. No other node of its space has the same, and it stays, so that
    /// of a start edge stands for the reservation.
    #[inline(always)]
    pub fn key(&self) -> StartKey {
        self.key.get()
    }

    pub(super) fn set_place(&self, start: VirtAddr, edge: ReservationEdge, depth: u16) {
        self.start.set(start);
        self.edge.set(edge);
        self.depth.set(depth);
        self.key.set(key_at(start, edge, depth));
    }

    /// Whether the caller may map, unmap and protect its pages one by one.
    pub fn is_callers(&self) -> bool {
        self.spec().is_callers()
    }

    /// What the region is. An edge answers for its reservation.
    #[inline(always)]
    pub fn spec(&self) -> RegionSpec {
        self.spec.get()
    }

    pub(super) fn set_spec(&self, spec: RegionSpec) {
        self.spec.set(spec);
    }
}

/// Address and edge in one word, so that a step down a tree is one comparison: nodes start at
/// pages, which leaves 12 low bits to the edge. Where reservations begin or end at one address, the
/// inner one begins after the outer one and ends before it.
pub(crate) type StartKey = usize;

pub(super) fn key_at(address: VirtAddr, edge: ReservationEdge, depth: u16) -> StartKey {
    let rank = match edge {
        ReservationEdge::End => DEPTHS - usize::from(depth),
        ReservationEdge::Start => 0x400 + usize::from(depth),
        ReservationEdge::Region => 0xfff,
    };
    (address.bits() & !0xfff) | rank
}

/// The bits of a start edge's key that are its depth.
const DEPTHS: usize = 0x3ff;

const _: () = assert!((MAX_NESTED as usize) < DEPTHS);

/// Not less than the key of any node at this address.
pub(super) fn last_at(address: VirtAddr) -> StartKey {
    key_at(address, ReservationEdge::Region, 0)
}

/// In how many reservations the one whose start edge has this key lies, itself included; 0 for
/// none.
#[inline(always)]
pub(super) fn depth_of(reservation: StartKey) -> u16 {
    match reservation {
        0 => 0,
        start => (start & DEPTHS) as u16,
    }
}
