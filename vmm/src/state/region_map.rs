// SPDX-License-Identifier: BSD-2-Clause
//! The map of a space's regions, and of the holes between them. Places are looked for in
//! `region_places.rs`.

use core::cell::Cell;

use page_tables::VirtAddr;

use super::extent::offset;
use super::region::{depth_of, key_at, last_at, Rank, Region, ReservationEdge, StartKey};
use super::region_tree::{next, previous, rank_of, RegionTree};
use crate::types::region::{Name, RegionSpec, MAX_NESTED};

/// A place for a region: behind this node, at this address.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(super) behind: &'p Region<'p>,
    pub start: VirtAddr,
}

/// The regions of one space.
pub(crate) struct Regions<'p> {
    pub(super) tree: RegionTree<'p>,
    /// The last node of all, by address.
    pub(super) end_node: Option<&'p Region<'p>>,
    /// The node whose hole, which lies in no reservation, regions are cut off one after another. It
    /// is not the last of all.
    pub(super) cut_node: Option<&'p Region<'p>>,
    /// The region that was looked up last: the next look-up is often for the same. Always in the
    /// map.
    last: Cell<Option<&'p Region<'p>>>,
    pub(super) page_bits: u8,
    count: usize,
}

impl<'p> Regions<'p> {
    /// A map without addresses.
    pub fn new() -> Self {
        Regions {
            tree: RegionTree::new(),
            end_node: None,
            cut_node: None,
            last: Cell::new(None),
            page_bits: 12,
            count: 0,
        }
    }

    /// Starts an empty space up to the address `end`, with the null page in `node`.
    pub fn start(&mut self, node: &'p Region<'p>, null: RegionSpec, end: usize, page_bits: u8) {
        self.page_bits = page_bits;
        self.count = 1;
        node.set_place(VirtAddr::default(), ReservationEdge::Region, 0);
        node.pages.set(null.pages);
        node.hole.set((end >> page_bits) - null.pages);
        node.reservation.set(0);
        node.serial.set(0);
        node.spec.set(null);
        self.end_node = Some(node);
        self.tree.start(node, 0);
    }

    /// The rank in the tree of the hole behind a node. The holes of two nodes have none, as they
    /// change most: so nothing above these changes then.
    #[inline(always)]
    fn rank(&self, region: &Region<'p>) -> Rank {
        match region.hole.get() {
            0 => 0,
            _ if self.is_end(region) || self.is_cut(region) => 0,
            pages => rank_of(depth_of(region.reservation.get()), pages),
        }
    }

    #[inline(always)]
    fn is_cut(&self, region: &Region<'p>) -> bool {
        self.cut_node.is_some_and(|cut| core::ptr::eq(cut, region))
    }

    /// Whether it is the last node of all.
    #[inline(always)]
    pub(super) fn is_end(&self, region: &Region<'p>) -> bool {
        self.end_node.is_some_and(|end| core::ptr::eq(end, region))
    }

    #[inline(always)]
    fn set_hole(&mut self, region: &'p Region<'p>, pages: usize) {
        region.hole.set(pages);
        self.tree.set_rank(region, self.rank(region));
    }

    /// Where the region ends and the hole behind it begins.
    pub(super) fn end(&self, region: &Region<'_>) -> usize {
        region.start.get().bits() + (region.pages.get() << self.page_bits)
    }

    /// What the region is called that covers an address, in bytes. O(log n).
    pub fn name_at(&self, address: usize) -> Name {
        let address = VirtAddr::default().checked_add(address);
        let region = address.and_then(|address| self.at(address));
        region.filter(|region| !region.is_edge()).map_or(Name::default(), |it| it.spec().name)
    }

    /// Enters a region at a place; `node` comes from the pool.
    #[inline]
    pub fn insert(
        &mut self,
        node: &'p Region<'p>,
        place: Place<'p>,
        spec: RegionSpec,
        serial: u64,
    ) {
        node.spec.set(spec);
        node.serial.set(serial);
        node.packed.set((0, 0));
        node.arena.set(None);
        node.set_place(place.start, ReservationEdge::Region, 0);
        self.insert_at(node, place, spec.pages, place.behind.reservation.get());
    }

    /// Enters a reservation at a place, as two edges; `depth` is at the most [`MAX_NESTED`].
    pub fn insert_reservation(
        &mut self,
        edges: [&'p Region<'p>; 2],
        place: Place<'p>,
        spec: RegionSpec,
        serial: u64,
        depth: u16,
    ) {
        let outer = place.behind.reservation.get();
        let [start, end] = edges;
        for edge in edges {
            edge.spec.set(spec);
            edge.serial.set(serial);
        }
        start.set_place(place.start, ReservationEdge::Start, depth);
        self.insert_at(start, place, 0, start.key());
        let behind = Place { behind: start, start: self.after(place.start, spec.pages) };
        end.set_place(behind.start, ReservationEdge::End, depth);
        self.insert_at(end, behind, 0, outer);
    }

    /// The address `pages` pages further on, known to stay in user space.
    fn after(&self, start: VirtAddr, pages: usize) -> VirtAddr {
        offset(start, pages << self.page_bits)
    }

    /// Cuts the hole of `place` in two around a new node of `pages` pages, whose place is set; the
    /// part behind the node belongs to `reservation`.
    fn insert_at(
        &mut self,
        node: &'p Region<'p>,
        place: Place<'p>,
        pages: usize,
        reservation: StartKey,
    ) {
        let behind = place.behind;
        let begin = self.end(behind);
        let before = (place.start.bits() - begin) >> self.page_bits;
        let after = behind.hole.get() - before - pages;
        behind.hole.set(before);
        node.pages.set(pages);
        node.hole.set(after);
        node.reservation.set(reservation);
        self.link(behind, node);
        if pages == 0 {
            return;
        }
        if self.last.replace(Some(node)).is_some_and(|last| core::ptr::eq(last, behind)) {
            self.cut_off_next(node);
        }
    }

    /// Has the next regions cut off the hole behind `node`, as was the one before it.
    #[inline(always)]
    fn cut_off_next(&mut self, node: &'p Region<'p>) {
        let outside = node.reservation.get() == 0 && !self.is_end(node);
        if !outside || self.is_cut(node) {
            return;
        }
        if let Some(before) = self.cut_node.replace(node) {
            self.tree.set_rank(before, self.rank(before));
        }
        self.tree.set_rank(node, 0);
    }

    /// Puts a node behind another in the tree; the holes behind both are known.
    #[inline(always)]
    fn link(&mut self, behind: &'p Region<'p>, node: &'p Region<'p>) {
        if self.is_end(behind) {
            self.end_node = Some(node);
        }
        if self.is_cut(behind) {
            self.cut_node = Some(node).filter(|node| node.reservation.get() == 0);
        }
        self.tree.insert(behind, node, (self.rank(behind), self.rank(node)));
        self.count += 1;
    }

    /// Takes a node out of the tree that is not the first; returns the one before it.
    #[inline(always)]
    fn unlink(&mut self, node: &'p Region<'p>) -> Option<&'p Region<'p>> {
        let before = previous(node);
        let is_end = self.is_end(node);
        if is_end {
            self.end_node = before;
        }
        if self.is_cut(node) || is_end && before.is_some_and(|before| self.is_cut(before)) {
            let outside = |before: &&'p Region<'p>| before.reservation.get() == 0;
            self.cut_node = before.filter(|_| !is_end).filter(outside);
        }
        self.tree.remove(node);
        // What is given back is often asked for again: behind this one.
        self.last.set(before.filter(|before| !before.is_edge()));
        self.count -= 1;
        before
    }

    /// Takes a region (or edge) out; its pages and the hole behind it join the hole before it.
    pub fn remove(&mut self, region: &'p Region<'p>) -> &'p Region<'p> {
        if let Some(before) = self.unlink(region) {
            self.set_hole(before, before.hole.get() + region.pages.get() + region.hole.get());
        }
        region
    }

    /// The region that covers an address.
    #[inline(always)]
    pub fn at(&self, address: VirtAddr) -> Option<&'p Region<'p>> {
        match self.last.get() {
            Some(last) if self.covers(last, address) => Some(last),
            _ => self.find_at(address),
        }
    }

    #[inline(always)]
    fn covers(&self, region: &Region<'_>, address: VirtAddr) -> bool {
        address >= region.start.get() && address.bits() < self.end(region)
    }

    #[inline(never)]
    fn find_at(&self, address: VirtAddr) -> Option<&'p Region<'p>> {
        let region = self.tree.last_up_to(last_at(address))?;
        if address.bits() >= self.end(region) {
            return None;
        }
        self.last.set(Some(region));
        Some(region)
    }

    /// The region or reservation that starts at `start` and has this serial number.
    pub fn find(&self, start: VirtAddr, serial: u64) -> Option<&'p Region<'p>> {
        let is_it =
            |region: &&'p Region<'p>| region.start.get() == start && region.serial.get() == serial;
        if let Some(region) = self.last.get().filter(is_it) {
            return Some(region);
        }
        let is_it = |node: &&'p Region<'p>| node.serial.get() == serial;
        let region = self.tree.find(last_at(start)).filter(is_it);
        region.or_else(|| {
            let mut edge = self.tree.first_from(key_at(start, ReservationEdge::Start, 0));
            let here = |node: &&'p Region<'p>| node.start.get() == start && node.is_edge();
            while let Some(found) = edge.filter(here) {
                if is_it(&found) {
                    return Some(found);
                }
                edge = next(found);
            }
            None
        })
    }

    /// The end edge of the reservation whose start edge is `start`, if no region lies inside.
    pub fn end_of_empty(&self, start: &'p Region<'p>) -> Option<&'p Region<'p>> {
        let next = next(start)?;
        (next.serial.get() == start.serial.get() && next.edge.get() == ReservationEdge::End)
            .then_some(next)
    }

    /// The first region (no edge) at or after an address, one that covers it included.
    pub fn from(&self, address: VirtAddr) -> Option<&'p Region<'p>> {
        if let Some(region) = self.at(address) {
            return Some(region);
        }
        let first = key_at(address, ReservationEdge::End, MAX_NESTED);
        let mut region = self.tree.first_from(first);
        while let Some(edge) = region.filter(|region| region.is_edge()) {
            region = next(edge);
        }
        region
    }

    /// The region (no edge) before the address `start`.
    pub fn before(&self, start: VirtAddr) -> Option<&'p Region<'p>> {
        let mut region = self.tree.last_up_to(last_at(start) - 1);
        while let Some(edge) = region.filter(|region| region.is_edge()) {
            region = previous(edge);
        }
        region
    }

    /// Cuts `region` in two at `pages` from its start; the upper part gets `node`, `serial` and
    /// `upper`, the lower part keeps id and node and gets `lower`.
    pub fn split(
        &mut self,
        region: &'p Region<'p>,
        node: &'p Region<'p>,
        lower: RegionSpec,
        upper: RegionSpec,
        serial: u64,
    ) {
        let hole = region.hole.replace(0);
        region.pages.set(lower.pages);
        region.spec.set(lower);
        let start = self.after(region.start.get(), lower.pages);
        node.set_place(start, ReservationEdge::Region, 0);
        node.pages.set(upper.pages);
        node.spec.set(upper);
        node.serial.set(serial);
        // The node may have been a page of packed buffers before.
        node.packed.set((0, 0));
        node.arena.set(None);
        node.hole.set(hole);
        node.reservation.set(region.reservation.get());
        self.link(region, node);
    }

    /// Joins `upper` to `lower`, which ends where it starts; the node of `upper` is returned.
    pub fn join(
        &mut self,
        lower: &'p Region<'p>,
        upper: &'p Region<'p>,
        joined: RegionSpec,
    ) -> &'p Region<'p> {
        self.unlink(upper);
        lower.pages.set(joined.pages);
        lower.spec.set(joined);
        self.set_hole(lower, upper.hole.get());
        upper
    }

    /// Makes of a region what `spec` says; its pages and guards stay.
    pub fn set_spec(&mut self, region: &'p Region<'p>, spec: RegionSpec) {
        region.set_spec(spec);
    }

    /// Every node by address, edges included.
    pub fn iter(&self) -> impl Iterator<Item = &'p Region<'p>> + '_ {
        let mut at = self.tree.first();
        core::iter::from_fn(move || {
            let region = at?;
            at = next(region);
            Some(region)
        })
    }

    /// Takes every node out, in any order.
    pub fn pop(&mut self) -> Option<&'p Region<'p>> {
        let node = self.tree.first()?;
        self.unlink(node);
        Some(node)
    }

    /// Nodes in the map, edges and the null page included.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Holes that are found by their size.
    pub fn holes_listed(&self) -> usize {
        let of_rank = |region: &&Region<'p>| self.tree.rank(region) != 0;
        let apart = [self.end_node, self.cut_node];
        let has_hole = |region: &&Region<'p>| region.hole.get() != 0;
        let apart = apart.into_iter().flatten().filter(has_hole).count();
        self.iter().filter(of_rank).count() + apart
    }

    /// Whether the tree is in order and balanced, and each node knows the largest hole of those
    /// below it. O(nodes).
    pub fn is_sound(&self) -> bool {
        let mut all = self.iter();
        let ranked = all.all(|region| self.tree.rank(region) == self.rank(region));
        let ends = self.end_node.is_none_or(|end| next(end).is_none());
        let cut_ones = self.iter().filter(|region| self.is_cut(region) && !self.is_end(region));
        let cut_ones = cut_ones.filter(|region| region.reservation.get() == 0).count();
        let cut = cut_ones == usize::from(self.cut_node.is_some());
        ranked
            && ends
            && cut
            && self.tree.is_sound()
            && self.end_node.is_some() == (self.count != 0)
    }

    /// The pages of the hole behind a region.
    pub fn hole_behind(&self, region: &Region<'_>) -> usize {
        region.hole.get()
    }
}
