// SPDX-License-Identifier: BSD-2-Clause
//! Every question that a map of regions answers, compared with the model.

use std::vec::Vec;

use super::choices::{address, Choices, PAGE};
use super::region_history::{History, NODES, WINDOW};
use super::region_model::{Area, Expected};
use crate::state::region::{Region, ReservationEdge, StartKey};

impl<'p> History<'p> {
    /// Compares all that can be seen, in an order that the choices say.
    pub fn check(&self, choices: &mut Choices<'_>) {
        self.space.watch();
        let few = !choices.one_in(4);
        let mut pages: Vec<usize> = (0..WINDOW).collect();
        pages.extend(self.model.end - WINDOW..self.model.end);
        let edges = |area: &Area| [area.start, area.end() - 1, area.end()];
        pages.extend(self.model.areas.iter().flat_map(edges));
        pages.retain(|&page| page < self.model.end);
        let asked = if few { 12 } else { pages.len() };
        let first = choices.below(3);
        for (nth, index) in choices.order(pages.len()).take(asked).enumerate() {
            self.look_at(pages[index], (first + nth) % 3);
        }
        self.check_found(choices, if few { 3 } else { NODES });
        self.check_nodes();
        assert!(self.space.is_unchanged(), "looking is no change");
    }

    /// Looks up what is at and around a page, beginning with one of three questions.
    pub fn look_at(&self, page: usize, first: usize) {
        let regions = self.space.regions();
        let serial = |region: Option<&Region<'_>>| {
            region.map(|region| (region.serial(), region.start().bits() / PAGE, region.is_edge()))
        };
        let expected = |area: Option<&Area>| area.map(|area| (area.serial, area.start, false));
        for question in 0..3 {
            let start = address(page * PAGE);
            let inside = address(page * PAGE + [0, 0x7ff, 0xfff][(first + question) % 3]);
            match (first + question) % 3 {
                0 => assert_eq!(serial(regions.at(inside)), expected(self.model.at(page))),
                1 => assert_eq!(serial(regions.from(inside)), expected(self.model.from(page))),
                _ => assert_eq!(serial(regions.before(start)), expected(self.model.before(page))),
            }
        }
    }

    /// Finds regions and reservations by start and serial number, right and wrong ones.
    fn check_found(&self, choices: &mut Choices<'_>, most: usize) {
        let regions = self.space.regions();
        let areas = &self.model.areas;
        for index in choices.order(areas.len()).take(most) {
            let start = areas[index].start;
            for page in [start, start + 1] {
                for area in areas {
                    let found = regions.find(address(page * PAGE), area.serial);
                    let expected = area.start == page;
                    assert_eq!(found.is_some(), expected, "#{} at page {page}", area.serial);
                    let node = self.nodes[&area.serial][0];
                    assert!(found.is_none_or(|found| core::ptr::eq(found, node)));
                }
            }
            assert!(regions.find(address(start * PAGE), self.last_serial + 1).is_none());
        }
    }

    fn check_nodes(&self) {
        let regions = self.space.regions();
        let seen = |region: &Region<'p>| Expected {
            start: region.start().bits() / PAGE,
            pages: region.pages(),
            serial: region.serial(),
            edge: match (region.is_edge(), region.is_start()) {
                (false, _) => ReservationEdge::Region,
                (true, true) => ReservationEdge::Start,
                (true, false) => ReservationEdge::End,
            },
            depth: region.depth(),
            hole: regions.hole_behind(region),
            reservation: region.reservation(),
            spec: region.spec(),
        };
        let expected = self.model.nodes();
        assert_eq!(regions.iter().map(seen).collect::<Vec<_>>(), expected);
        assert_eq!(regions.count(), expected.len());
        let keys: Vec<StartKey> = regions.iter().map(Region::key).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "no key is another node's");
        let holes = self.model.holes();
        assert_eq!(regions.holes_listed(), holes.len());
        assert!(regions.is_sound());
        let largest =
            holes.iter().filter(|hole| hole.reservation == 0).map(|hole| hole.pages).max();
        assert_eq!(regions.largest_hole(), largest.unwrap_or(0));
        assert_eq!(regions.largest_hole_in(0), largest.unwrap_or(0));
        for area in self.model.areas.iter().filter(|area| area.is_reservation) {
            let inside = holes.iter().filter(|hole| hole.reservation == area.key);
            let largest = inside.map(|hole| hole.pages).max().unwrap_or(0);
            assert_eq!(regions.largest_hole_in(area.key), largest);
            let used = self.model.areas.iter().any(|inner| inner.parent == area.key);
            let end = regions.end_of_empty(self.nodes[&area.serial][0]);
            assert_eq!(end.is_none(), used);
            assert!(end.is_none_or(|end| core::ptr::eq(end, self.nodes[&area.serial][1])));
        }
    }
}
