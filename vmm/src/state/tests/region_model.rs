// SPDX-License-Identifier: BSD-2-Clause
//! Regions as a plain list, which every question is answered from by a walk over all of it.

use std::vec::Vec;

use untyped_alloc::{CachePolicy, Rights};

use super::choices::PAGE;
use crate::state::region::{ReservationEdge, StartKey};
use crate::state::region_places::{NoPlace, Shape};
use crate::types::region::{Backing, Kind, Name, RegionSpec};

/// A region or a reservation. Addresses are numbers of pages.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Area {
    pub start: usize,
    pub serial: u64,
    pub spec: RegionSpec,
    /// The reservation that it lies in, or 0.
    pub parent: StartKey,
    pub is_reservation: bool,
    /// What a reservation is called by those in it: the key of its start edge. 0 for a region.
    pub key: StartKey,
}

impl Area {
    pub fn end(&self) -> usize {
        self.start + self.spec.pages
    }

    fn covers(&self, page: usize) -> bool {
        self.start <= page && page < self.end()
    }
}

/// What the map must have in its order: a region, or one end of a reservation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Expected {
    pub start: usize,
    pub pages: usize,
    pub serial: u64,
    pub edge: ReservationEdge,
    pub depth: u16,
    /// Pages of the hole behind it.
    pub hole: usize,
    /// The reservation that this hole belongs to.
    pub reservation: StartKey,
    pub spec: RegionSpec,
}

/// A hole: its first page, how many, and the reservation that it belongs to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Hole {
    pub start: usize,
    pub pages: usize,
    pub reservation: StartKey,
}

impl Hole {
    /// The lowest page from `from` (bytes) on at which the shape lies in the hole.
    pub fn fit(&self, shape: &Shape, from: usize) -> Option<usize> {
        let from = (from as u128).div_ceil(PAGE as u128).max(self.start as u128);
        let (guard, align) = ((shape.guard / PAGE) as u128, (1u128 << shape.align_bits) >> 12);
        let usable = (from + guard).div_ceil(align) * align;
        let start = usable - guard;
        let end = start + shape.pages as u128;
        (end <= (self.start + self.pages) as u128).then_some(start as usize)
    }
}

/// The regions of a space that ends at page `end`.
pub(super) struct Model {
    pub areas: Vec<Area>,
    pub end: usize,
}

/// What a region of `pages` pages is, different for each serial number.
pub(super) fn spec(pages: usize, serial: u64, kind: Kind) -> RegionSpec {
    RegionSpec {
        pages,
        guard_below: serial as u16 % 3,
        guard_above: serial as u16 % 2,
        rights: Rights::from_bits_truncate(serial as u8 & 3),
        ceiling: Rights::READ_WRITE,
        cache: CachePolicy::WriteBack,
        kind,
        backing: Backing::Pager { token: serial as u32 },
        first_page: 0,
        movable: None,
        large_pages: false,
        name: Name::new("some region"),
    }
}

impl Model {
    /// The nodes in order, with the holes between them.
    pub fn nodes(&self) -> Vec<Expected> {
        let mut nodes = Vec::new();
        self.nodes_in(0, 0, &mut nodes);
        for index in 0..nodes.len() {
            let next = nodes.get(index + 1).map_or(self.end, |next| next.start);
            nodes[index].hole = next - (nodes[index].start + nodes[index].pages);
        }
        nodes
    }

    fn nodes_in(&self, parent: StartKey, depth: u16, nodes: &mut Vec<Expected>) {
        let mut inside: Vec<&Area> = self.areas.iter().filter(|a| a.parent == parent).collect();
        inside.sort_by_key(|area| area.start);
        for area in inside {
            let node = Expected {
                start: area.start,
                pages: 0,
                serial: area.serial,
                edge: ReservationEdge::Start,
                depth: depth + 1,
                hole: 0,
                reservation: area.key,
                spec: area.spec,
            };
            if area.is_reservation {
                nodes.push(node);
                self.nodes_in(area.key, depth + 1, nodes);
                let edge = ReservationEdge::End;
                nodes.push(Expected { start: area.end(), edge, reservation: parent, ..node });
            } else {
                let (pages, edge) = (area.spec.pages, ReservationEdge::Region);
                nodes.push(Expected { pages, edge, depth: 0, reservation: parent, ..node });
            }
        }
    }

    /// The holes that have pages, by address.
    pub fn holes(&self) -> Vec<Hole> {
        let nodes = self.nodes().into_iter().filter(|node| node.hole != 0);
        let hole = |node: Expected| {
            let start = node.start + node.pages;
            Hole { start, pages: node.hole, reservation: node.reservation }
        };
        nodes.map(hole).collect()
    }

    pub fn regions(&self) -> impl Iterator<Item = &Area> {
        self.areas.iter().filter(|area| !area.is_reservation)
    }

    /// The region that covers a page.
    pub fn at(&self, page: usize) -> Option<&Area> {
        self.regions().find(|area| area.covers(page))
    }

    /// The first region that does not end before a page.
    pub fn from(&self, page: usize) -> Option<&Area> {
        self.regions().filter(|area| area.end() > page).min_by_key(|area| area.start)
    }

    /// The last region that starts before a page.
    pub fn before(&self, page: usize) -> Option<&Area> {
        self.regions().filter(|area| area.start < page).max_by_key(|area| area.start)
    }

    /// The innermost reservation that a page lies in, or 0.
    pub fn reservation_at(&self, page: usize) -> StartKey {
        let around = self.areas.iter().filter(|area| area.is_reservation && area.covers(page));
        // Of two that cover a page the inner one is made later.
        around.max_by_key(|area| area.serial).map_or(0, |area| area.key)
    }

    /// In how many reservations what lies in the one of this key is.
    pub fn depth_of(&self, key: StartKey) -> u16 {
        let outer = self.areas.iter().find(|area| area.is_reservation && area.key == key);
        outer.map_or(0, |area| 1 + self.depth_of(area.parent))
    }

    /// Panics unless `answer` is one that "anywhere" may give.
    pub fn check_anywhere(&self, shape: &Shape, answer: Option<usize>) {
        let large =
            |hole: &Hole| hole.reservation == shape.reservation && hole.pages >= shape.pages;
        let holes: Vec<Hole> = self.holes().into_iter().filter(large).collect();
        let lowest = holes.iter().find_map(|hole| hole.fit(shape, 0));
        let slack = (1usize << (shape.align_bits - 12)) - 1;
        let certain = |hole: &&Hole| hole.pages >= shape.pages.saturating_add(slack);
        let certain = holes.iter().find(certain).map(|hole| hole.fit(shape, 0));
        let Some(start) = answer else {
            assert_eq!(certain, None, "a hole that must fit is found");
            assert_eq!(lowest, None, "a hole in which it fits is found");
            return;
        };
        let few = holes.iter().take(16).any(|hole| hole.fit(shape, 0) == Some(start));
        match certain {
            Some(certain) if !few => {
                let none = holes.iter().take(16).all(|hole| hole.fit(shape, 0).is_none());
                assert!(none, "the lowest place of sixteen holes is taken");
                assert_eq!(Some(start), certain, "the lowest hole in which it must fit");
            }
            _ => assert_eq!(Some(start), lowest, "the lowest place"),
        }
    }

    /// The lowest place between two addresses (bytes).
    pub fn within(&self, shape: &Shape, from: usize, to: usize) -> Option<usize> {
        let holes = self.holes().into_iter().filter(|hole| hole.reservation == shape.reservation);
        let places = holes.filter_map(|hole| hole.fit(shape, from));
        places.filter(|&start| start + shape.pages <= to / PAGE).min()
    }

    /// Panics unless `answer` is right for the place at page `start`: nothing is in the way, or the
    /// refusal tells the first page that is.
    pub fn check_at(
        &self,
        start: usize,
        pages: usize,
        reservation: StartKey,
        answer: Result<(), NoPlace>,
    ) {
        let free =
            |page: usize| self.at(page).is_none() && self.reservation_at(page) == reservation;
        // Nothing changes but where an area begins or ends.
        let mut edges: Vec<usize> = self.areas.iter().flat_map(|a| [a.start, a.end()]).collect();
        edges.push(start);
        edges.retain(|&edge| start <= edge && edge < self.end);
        edges.sort();
        let obstacle = edges.into_iter().find(|&page| !free(page)).unwrap_or(self.end);
        if obstacle.saturating_sub(start) >= pages {
            assert_eq!(answer, Ok(()), "nothing is in the way");
            return;
        }
        let address = obstacle * PAGE;
        let taken = self.at(obstacle).map(|area| area.start * PAGE);
        match answer.expect_err("something is in the way") {
            NoPlace::NoRoom => assert_eq!(obstacle, self.end, "what is in the way is told"),
            NoPlace::Taken { address: told, region_start } => {
                assert_eq!((told, Some(region_start)), (address, taken));
            }
            NoPlace::Outside { address: told } => {
                assert_eq!(told, address);
                let other = obstacle == self.end || self.reservation_at(obstacle) != reservation;
                assert!(other, "{address:#x} lies in the reservation that was asked for");
            }
        }
    }
}
