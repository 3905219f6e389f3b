// SPDX-License-Identifier: BSD-2-Clause
//! The map of a space's regions, and the index of its holes. Places are looked for in
//! `region_places.rs`.

use core::cell::Cell;

use intrusive_collections::{Bound, RBTree};
use page_tables::VirtAddr;

use super::extent::offset;
use super::region::adapters::{ByHole, ByStart};
use super::region::{hole_key, key_at, last_at, least_hole};
use super::region::{Region, ReservationEdge, StartKey};
use crate::types::region::{Name, RegionSpec, MAX_NESTED};

/// A place for a region: behind this node, at this address.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(super) behind: &'p Region<'p>,
    pub start: VirtAddr,
}

/// The regions of one space.
pub(crate) struct Regions<'p> {
    pub(super) by_start: RBTree<ByStart<'p>>,
    pub(super) holes: RBTree<ByHole<'p>>,
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
            by_start: RBTree::new(ByStart::new()),
            holes: RBTree::new(ByHole::new()),
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
        self.by_start.insert(node);
        self.list_hole(node);
    }

    fn list_hole(&mut self, region: &'p Region<'p>) {
        if region.hole.get() != 0 {
            self.holes.insert(region);
        }
    }

    fn unlist_hole(&mut self, region: &'p Region<'p>) {
        if region.by_hole.is_linked() {
            self.holes.find_mut(&hole_key(region)).remove();
        }
    }

    fn set_hole(&mut self, region: &'p Region<'p>, pages: usize, reservation: StartKey) {
        self.unlist_hole(region);
        region.hole.set(pages);
        region.reservation.set(reservation);
        self.list_hole(region);
    }

    /// Where the region ends and the hole behind it begins.
    pub(super) fn end(&self, region: &Region<'_>) -> usize {
        region.start.get().bits() + (region.pages.get() << self.page_bits)
    }

    /// Pages of the largest hole in a reservation (0 for outside of all). O(log n).
    pub fn largest_hole_in(&self, reservation: StartKey) -> usize {
        let beyond = least_hole(reservation, usize::MAX);
        let hole = self.holes.upper_bound(Bound::Excluded(&beyond)).get();
        let hole = hole.filter(|hole| hole.reservation.get() == reservation);
        hole.map_or(0, |hole| hole.hole.get())
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
        node.pages.set(pages);
        node.hole.set(after);
        node.reservation.set(reservation);
        if before != 0 || !self.hand_on_hole(behind, node) {
            self.set_hole(behind, before, behind.reservation.get());
            self.list_hole(node);
        }
        self.by_start.insert(node);
        if pages != 0 {
            self.last.set(Some(node));
        }
        self.count += 1;
    }

    /// Puts `node` with the hole behind it where `behind` and its larger hole are in the order of
    /// holes, which leaves `behind` with none, if that keeps the order: mostly, as most regions are
    /// cut off the largest hole. Spares taking one out and finding a place for the other.
    fn hand_on_hole(&mut self, behind: &'p Region<'p>, node: &'p Region<'p>) -> bool {
        if node.hole.get() == 0 || node.reservation.get() != behind.reservation.get() {
            return false;
        }
        let mut cursor = self.holes.find_mut(&hole_key(behind));
        let in_order = |before: &Region<'_>| hole_key(before) < hole_key(node);
        if !cursor.peek_prev().get().is_none_or(in_order) || cursor.replace_with(node).is_err() {
            return false;
        }
        behind.hole.set(0);
        true
    }

    /// Takes a region (or edge) out; its pages and the hole behind it join the hole before it.
    pub fn remove(&mut self, region: &'p Region<'p>) -> &'p Region<'p> {
        let mut cursor = self.by_start.find_mut(&region.key());
        let before = cursor.peek_prev().clone_pointer();
        cursor.remove();
        self.last.set(None);
        self.count -= 1;
        if let Some(before) = before {
            let joined = before.hole.get() + region.pages.get() + region.hole.get();
            if self.hand_back_hole(region, before, joined) {
                return region;
            }
            self.set_hole(before, joined, before.reservation.get());
        }
        self.unlist_hole(region);
        region
    }

    /// Undoes [`Regions::hand_on_hole`]: puts `before`, which has no hole, where `region` and the
    /// hole behind it are in the order of holes, with one of `joined` pages, if that keeps the
    /// order.
    fn hand_back_hole(
        &mut self,
        region: &'p Region<'p>,
        before: &'p Region<'p>,
        joined: usize,
    ) -> bool {
        let alike = before.reservation.get() == region.reservation.get();
        if before.hole.get() != 0 || region.hole.get() == 0 || !alike {
            return false;
        }
        let mut cursor = self.holes.find_mut(&hole_key(region));
        // It is larger than before, so only the next one can be in the way.
        let key = (before.reservation.get(), joined, before.key());
        let in_order = cursor.peek_next().get().is_none_or(|next| key < hole_key(next));
        if !in_order || cursor.replace_with(before).is_err() {
            return false;
        }
        before.hole.set(joined);
        true
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
        let cursor = self.by_start.upper_bound(Bound::Included(&last_at(address)));
        let region = cursor.clone_pointer()?;
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
        let region = self.by_start.find(&last_at(start)).clone_pointer().filter(is_it);
        region.or_else(|| {
            let mut cursor = self.by_start.lower_bound(Bound::Included(&key_at(
                start,
                ReservationEdge::Start,
                0,
            )));
            let here = |node: &&'p Region<'p>| node.start.get() == start && node.is_edge();
            while let Some(edge) = cursor.clone_pointer().filter(here) {
                if is_it(&edge) {
                    return Some(edge);
                }
                cursor.move_next();
            }
            None
        })
    }

    /// The end edge of the reservation whose start edge is `start`, if no region lies inside.
    pub fn end_of_empty(&self, start: &'p Region<'p>) -> Option<&'p Region<'p>> {
        let next = self.by_start.find(&start.key()).peek_next().clone_pointer()?;
        (next.serial.get() == start.serial.get() && next.edge.get() == ReservationEdge::End)
            .then_some(next)
    }

    /// The first region (no edge) at or after an address, one that covers it included.
    pub fn from(&self, address: VirtAddr) -> Option<&'p Region<'p>> {
        if let Some(region) = self.at(address) {
            return Some(region);
        }
        let mut cursor = self.by_start.lower_bound(Bound::Included(&key_at(
            address,
            ReservationEdge::End,
            MAX_NESTED,
        )));
        while cursor.get().is_some_and(Region::is_edge) {
            cursor.move_next();
        }
        cursor.clone_pointer()
    }

    /// The region (no edge) before the address `start`.
    pub fn before(&self, start: VirtAddr) -> Option<&'p Region<'p>> {
        let mut cursor = self.by_start.upper_bound(Bound::Excluded(&last_at(start)));
        while cursor.get().is_some_and(Region::is_edge) {
            cursor.move_prev();
        }
        cursor.clone_pointer()
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
        let (hole, reservation) = (region.hole.get(), region.reservation.get());
        self.set_hole(region, 0, reservation);
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
        self.by_start.insert(node);
        self.set_hole(node, hole, reservation);
        self.count += 1;
    }

    /// Joins `upper` to `lower`, which ends where it starts; the node of `upper` is returned.
    pub fn join(
        &mut self,
        lower: &'p Region<'p>,
        upper: &'p Region<'p>,
        joined: RegionSpec,
    ) -> &'p Region<'p> {
        let (hole, reservation) = (upper.hole.get(), upper.reservation.get());
        self.unlist_hole(upper);
        self.by_start.find_mut(&upper.key()).remove();
        self.last.set(None);
        self.count -= 1;
        lower.pages.set(joined.pages);
        lower.spec.set(joined);
        self.set_hole(lower, hole, reservation);
        upper
    }

    /// Makes of a region what `spec` says; its pages and guards stay.
    pub fn set_spec(&mut self, region: &'p Region<'p>, spec: RegionSpec) {
        region.set_spec(spec);
    }

    /// Every node by address, edges included.
    pub fn iter(&self) -> impl Iterator<Item = &'p Region<'p>> + '_ {
        let mut cursor = self.by_start.front();
        core::iter::from_fn(move || {
            let region = cursor.clone_pointer();
            cursor.move_next();
            region
        })
    }

    /// Takes every node out, in any order.
    pub fn pop(&mut self) -> Option<&'p Region<'p>> {
        let node = self.by_start.front_mut().remove()?;
        self.unlist_hole(node);
        self.last.set(None);
        self.count -= 1;
        Some(node)
    }

    /// Nodes in the map, edges and the null page included.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What [`Regions::iter`] and the tree of holes must agree on: holes listed.
    pub fn holes_listed(&self) -> usize {
        self.holes.iter().count()
    }

    /// The pages of the hole behind a region.
    pub fn hole_behind(&self, region: &Region<'_>) -> usize {
        region.hole.get()
    }

    /// The largest hole that belongs to no reservation, in pages.
    pub fn largest_hole(&self) -> usize {
        let past = least_hole(1, 0);
        self.holes.upper_bound(Bound::Excluded(&past)).get().map_or(0, |node| node.hole.get())
    }
}
