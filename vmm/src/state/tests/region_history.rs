// SPDX-License-Identifier: BSD-2-Clause
//! Histories of a map of regions: operations on it and on its model.

use std::collections::BTreeMap;
use std::vec::Vec;

use page_tables::Geometry;

use super::choices::{address, Choices, GEOMETRIES, PAGE};
use super::region_model::{spec, Area, Model};
use crate::state::region::{Region, StartKey};
use crate::state::region_map::Place;
use crate::state::region_places::{NoPlace, Shape};
use crate::state::space::Space;
use crate::types::region::{Kind, RegionSpec};

/// Nodes that a history can have in the map at once.
pub(super) const NODES: usize = 64;

/// Pages at either end of user space in which things are placed.
pub(super) const WINDOW: usize = 28;

/// A map of regions and its model.
pub(super) struct History<'p> {
    pub(super) space: Space<'p>,
    pub(super) free: Vec<&'p Region<'p>>,
    /// The nodes of each area: a region has one, a reservation two.
    pub(super) nodes: BTreeMap<u64, Vec<&'p Region<'p>>>,
    pub(super) model: Model,
    pub(super) last_serial: u64,
}

/// The nodes of a history.
pub(super) fn nodes<'p>() -> Vec<Region<'p>> {
    (0..NODES).map(|_| Region::default()).collect()
}

/// Plays the history that `data` says.
pub(super) fn run(data: &[u8]) {
    let nodes = nodes();
    let mut choices = Choices::new(data);
    // A user space of few pages fills up; in a real one most is one hole.
    let small = Geometry { user_end: 40 * PAGE, ..Geometry::IA32 };
    let geometry = match choices.one_in(2) {
        false => small,
        true => choices.pick(GEOMETRIES),
    };
    let mut history = History::begin(&nodes, &geometry, 1 + choices.below(2));
    history.check(&mut choices);
    while !choices.is_empty() {
        history.step(&mut choices);
    }
    history.end();
}

impl<'p> History<'p> {
    /// An empty space, in which the pages of the null pointer are taken.
    pub fn begin(nodes: &'p [Region<'p>], geometry: &Geometry, null_pages: usize) -> History<'p> {
        let mut free: Vec<&Region<'_>> = nodes.iter().collect();
        let null = free.pop().unwrap();
        let space = Space::default();
        let null_spec = spec(null_pages, 0, Kind::Boot);
        space.regions_mut().start(null, null_spec, geometry.user_end, geometry.page_bits);
        let null_area =
            Area { start: 0, serial: 0, spec: null_spec, parent: 0, is_reservation: false, key: 0 };
        let model = Model { areas: [null_area].into(), end: geometry.user_end / PAGE };
        let nodes = BTreeMap::from([(0, [null].into())]);
        History { space, free, nodes, model, last_serial: 0 }
    }

    /// One look-up, which may leave a short cut behind; one operation; and a comparison.
    pub fn step(&mut self, choices: &mut Choices<'_>) {
        let page = self.some_page(choices);
        self.look_at(page, choices.below(3));
        self.space.watch();
        let changed = match choices.below(16) {
            0..=4 => self.place_anywhere(choices),
            5..=7 => self.place_at(choices),
            8 | 9 => self.place_within(choices),
            10 | 11 => self.split(choices),
            12 => self.join(choices),
            13 => self.set_spec(choices),
            _ => self.remove(choices),
        };
        assert_eq!(!self.space.is_unchanged(), changed, "changes are seen");
        self.check(choices);
    }

    /// A page of the window at either end of user space.
    pub(super) fn some_page(&self, choices: &mut Choices<'_>) -> usize {
        let page = choices.below(2 * WINDOW);
        if page < WINDOW {
            page
        } else {
            self.model.end - (page - WINDOW) - 1
        }
    }

    fn some_area(&self, choices: &mut Choices<'_>) -> Area {
        self.model.areas[choices.below(self.model.areas.len())]
    }

    /// No reservation, one that there is, or the key of something else.
    pub(super) fn some_reservation(&self, choices: &mut Choices<'_>) -> StartKey {
        let areas = self.model.areas.iter();
        let reservations = areas.filter(|area| area.is_reservation).map(|area| area.key);
        let reservations: Vec<StartKey> = reservations.collect();
        match choices.below(8) {
            0..=3 => 0,
            4..=6 if !reservations.is_empty() => choices.pick(&reservations),
            _ => self.key_of(self.some_area(choices).serial),
        }
    }

    /// The key of a region or of the start edge of a reservation.
    pub fn key_of(&self, serial: u64) -> StartKey {
        self.nodes[&serial][0].key()
    }

    pub(super) fn insert(&mut self, place: Place<'p>, shape: Shape, is_reservation: bool) -> u64 {
        self.last_serial += 1;
        let (start, serial) = (place.start.bits() / PAGE, self.last_serial);
        let mut regions = self.space.regions_mut();
        let (spec, nodes) = if is_reservation {
            let spec = spec(shape.pages, serial, Kind::Reservation);
            let edges = [self.free.pop().unwrap(), self.free.pop().unwrap()];
            let depth = self.model.depth_of(shape.reservation) + 1;
            regions.insert_reservation(edges, place, spec, serial, depth);
            (spec, Vec::from(edges))
        } else {
            let spec = spec(shape.pages, serial, Kind::Memory);
            let node = self.free.pop().unwrap();
            regions.insert(node, place, spec, serial);
            assert_eq!(node.packed.get(), (0, 0), "no buffer was handed out");
            (spec, [node].into())
        };
        self.nodes.insert(serial, nodes);
        let parent = shape.reservation;
        let key = if is_reservation { self.key_of(serial) } else { 0 };
        self.model.areas.push(Area { start, serial, spec, parent, is_reservation, key });
        serial
    }

    /// Places a region or a reservation at a page, which must be possible; returns its serial.
    #[cfg(test)]
    pub fn put(
        &mut self,
        start: usize,
        pages: usize,
        reservation: StartKey,
        is_reservation: bool,
    ) -> u64 {
        let place = self.space.regions().place_at(address(start * PAGE), pages, reservation);
        self.model.check_at(start, pages, reservation, place.map(|_| ()));
        let shape = Shape { pages, guard: 0, align_bits: 12, reservation };
        let serial = self.insert(place.unwrap(), shape, is_reservation);
        self.check(&mut Choices::new(&[]));
        serial
    }

    /// The space.
    #[cfg(test)]
    pub fn space(&self) -> &Space<'p> {
        &self.space
    }

    /// Asks for a place anywhere; the answer is checked.
    #[cfg(test)]
    pub fn anywhere(&self, shape: Shape) -> Option<usize> {
        let place = self.space.regions().place_anywhere(shape);
        let start = place.map(|place| place.start.bits() / PAGE);
        self.model.check_anywhere(&shape, start);
        start
    }

    fn remove(&mut self, choices: &mut Choices<'_>) -> bool {
        let area = self.some_area(choices);
        let used = self.model.areas.iter().any(|inner| inner.parent == area.key);
        // The null page stays.
        if area.serial == 0 || (area.is_reservation && used) {
            return false;
        }
        self.take_out(area, choices.one_in(2));
        true
    }

    /// Gives a node back, with the traces of a page of packed buffers in it.
    fn give(&mut self, node: &'p Region<'p>) {
        node.packed.set((7, 5));
        self.free.push(node);
    }

    /// Removes an area; of a reservation the two ends in one order or the other.
    fn take_out(&mut self, area: Area, start_first: bool) {
        let mut nodes = self.nodes.remove(&area.serial).unwrap();
        if !start_first {
            nodes.reverse();
        }
        for node in nodes {
            let removed = self.space.regions_mut().remove(node);
            assert!(core::ptr::eq(removed, node));
            self.give(node);
        }
        self.model.areas.retain(|other| other.serial != area.serial);
    }

    /// Removes the area with this serial.
    #[cfg(test)]
    pub fn delete(&mut self, serial: u64) {
        let area = *self.model.areas.iter().find(|area| area.serial == serial).unwrap();
        self.take_out(area, false);
        self.check(&mut Choices::new(&[]));
    }

    fn split(&mut self, choices: &mut Choices<'_>) -> bool {
        let area = self.some_area(choices);
        if area.is_reservation || area.spec.pages < 2 || self.free.is_empty() {
            return false;
        }
        let pages = 1 + choices.below(area.spec.pages.min(9) - 1);
        self.last_serial += 1;
        let serial = self.last_serial;
        let lower = RegionSpec { pages, guard_above: 0, ..area.spec };
        let upper = RegionSpec { pages: area.spec.pages - pages, guard_below: 0, ..area.spec };
        let (old, new) = (self.nodes[&area.serial][0], self.free.pop().unwrap());
        self.space.regions_mut().split(old, new, lower, upper, serial);
        assert_eq!(new.packed.get(), (0, 0), "no buffer was handed out");
        self.nodes.insert(serial, [new].into());
        self.change(area.serial, |area| area.spec = lower);
        self.model.areas.push(Area { start: area.start + pages, serial, spec: upper, ..area });
        true
    }

    /// Joins two neighbours that lie in the same reservation, where there are any.
    fn join(&mut self, choices: &mut Choices<'_>) -> bool {
        let count = self.model.areas.len();
        let lower_first = choices.order(count).map(|index| self.model.areas[index]);
        let pair = lower_first.filter(|area| !area.is_reservation).find_map(|lower| {
            let next = |upper: &&Area| {
                upper.start == lower.end() && upper.parent == lower.parent && upper.serial != 0
            };
            self.model.regions().find(next).map(|upper| (lower, *upper))
        });
        let Some((lower, upper)) = pair else { return false };
        let joined = RegionSpec {
            pages: lower.spec.pages + upper.spec.pages,
            guard_above: upper.spec.guard_above,
            ..lower.spec
        };
        let (first, second) = (self.nodes[&lower.serial][0], self.nodes[&upper.serial][0]);
        let freed = self.space.regions_mut().join(first, second, joined);
        assert!(core::ptr::eq(freed, second), "the upper node is free");
        self.give(freed);
        self.nodes.remove(&upper.serial);
        self.model.areas.retain(|area| area.serial != upper.serial);
        self.change(lower.serial, |area| area.spec = joined);
        true
    }

    fn set_spec(&mut self, choices: &mut Choices<'_>) -> bool {
        let area = self.some_area(choices);
        let spec = RegionSpec { kind: Kind::Quarantine, ..area.spec };
        for node in &self.nodes[&area.serial] {
            self.space.regions_mut().set_spec(node, spec);
        }
        self.change(area.serial, |area| area.spec = spec);
        true
    }

    fn change(&mut self, serial: u64, change: impl Fn(&mut Area)) {
        self.model.areas.iter_mut().filter(|area| area.serial == serial).for_each(change);
    }

    /// Takes every node out; the map can then be started again.
    pub fn end(&mut self) {
        let mut regions = self.space.regions_mut();
        let mut popped = Vec::new();
        while let Some(node) = regions.pop() {
            popped.push(node);
            assert_eq!(regions.count() + popped.len(), self.model.nodes().len());
        }
        for nodes in self.nodes.values() {
            for node in nodes {
                let same = popped.iter().filter(|popped| core::ptr::eq(**popped, *node));
                assert_eq!(same.count(), 1, "each node comes out once");
            }
        }
        assert_eq!((regions.count(), regions.holes_listed(), regions.largest_hole()), (0, 0, 0));
        assert!(regions.at(address(0)).is_none() && regions.iter().next().is_none());
        regions.start(popped[0], spec(1, 0, Kind::Boot), 4 * PAGE, 12);
        assert_eq!((regions.count(), regions.largest_hole()), (1, 3));
        assert_eq!(regions.place_at(address(0), 1, 0).err(), Some(first_page_is_taken()));
    }
}

fn first_page_is_taken() -> NoPlace {
    NoPlace::Taken { address: 0, region_start: 0 }
}
