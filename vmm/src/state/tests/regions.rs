// SPDX-License-Identifier: BSD-2-Clause
//! Maps of regions: single cases, at the edges.

use std::vec::Vec;

use super::choices::{address, GEOMETRIES, PAGE};
use super::region_history::{nodes, History};
use crate::state::region::{Region, StartKey};
use crate::state::region_places::{NoPlace, Shape};
use crate::types::region::{Kind, MAX_NESTED};

fn shape(pages: usize, guard: usize, align_bits: u8, reservation: StartKey) -> Shape {
    Shape { pages, guard: guard * PAGE, align_bits, reservation }
}

fn refusal(
    history: &History<'_>,
    page: usize,
    pages: usize,
    reservation: StartKey,
) -> Option<NoPlace> {
    history.space().regions().place_at(address(page * PAGE), pages, reservation).err()
}

#[test]
fn the_lowest_hole_that_is_large_enough_is_taken() {
    for geometry in GEOMETRIES {
        let nodes = nodes();
        let mut history = History::begin(&nodes, geometry, 1);
        // Holes of 1, 3, 2, 5 and many pages.
        for start in [2, 6, 9, 15] {
            history.put(start, 1, 0, false);
        }
        let anywhere = |pages| history.anywhere(shape(pages, 0, 12, 0));
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(anywhere),
            [Some(1), Some(3), Some(3), Some(10), Some(10), Some(16)],
            "none before it has as many pages"
        );
        let end = geometry.user_end / PAGE;
        assert_eq!(anywhere(end - 16), Some(16));
        assert_eq!(anywhere(end - 15), None);
    }
}

#[test]
fn the_page_after_the_guard_is_aligned() {
    let nodes = nodes();
    let mut history = History::begin(&nodes, &GEOMETRIES[0], 1);
    history.put(9, 1, 0, false);
    // The hole from page 1 to 8: with a guard of one page, page 4 is the first that is aligned.
    assert_eq!(history.anywhere(shape(5, 1, 14, 0)), Some(3));
    assert_eq!(history.anywhere(shape(6, 1, 14, 0)), Some(3));
    assert_eq!(history.anywhere(shape(7, 1, 14, 0)), Some(11), "it does not fit in the hole");
    assert_eq!(history.anywhere(shape(8, 1, 12, 0)), Some(1));
}

#[test]
fn a_place_that_is_asked_for_tells_the_first_page_in_the_way() {
    for geometry in GEOMETRIES {
        let nodes = nodes();
        let mut history = History::begin(&nodes, geometry, 1);
        let end = geometry.user_end / PAGE;
        let outer = history.put(end - 10, 8, 0, true);
        let outer = history.key_of(outer);
        let inner = history.put(end - 7, 2, outer, true);
        let inner = history.key_of(inner);
        history.put(end - 4, 1, outer, false);
        let outside = |page: usize| Some(NoPlace::Outside { address: page * PAGE });
        let taken = |page: usize, start: usize| {
            Some(NoPlace::Taken { address: page * PAGE, region_start: start * PAGE })
        };
        assert_eq!(refusal(&history, 0, 1, 0), taken(0, 0), "the null page");
        assert_eq!(refusal(&history, end - 12, 3, 0), outside(end - 10));
        assert_eq!(refusal(&history, end - 12, 2, 0), None);
        assert_eq!(refusal(&history, end - 10, 3, outer), None);
        assert_eq!(refusal(&history, end - 10, 4, outer), outside(end - 7));
        assert_eq!(refusal(&history, end - 7, 2, inner), None);
        assert_eq!(refusal(&history, end - 7, 3, inner), outside(end - 5));
        assert_eq!(refusal(&history, end - 5, 2, outer), taken(end - 4, end - 4));
        assert_eq!(refusal(&history, end - 3, 1, outer), None);
        assert_eq!(refusal(&history, end - 3, 2, outer), outside(end - 2));
        assert_eq!(refusal(&history, end - 2, 2, 0), None, "the last pages of user space");
        assert_eq!(refusal(&history, end - 1, 2, 0), Some(NoPlace::NoRoom));
        assert_eq!(refusal(&history, end - 1, 1, outer), outside(end - 1));
    }
}

#[test]
fn user_space_can_be_full_and_empty_again() {
    for geometry in GEOMETRIES {
        let nodes = nodes();
        let mut history = History::begin(&nodes, geometry, 1);
        let end = geometry.user_end / PAGE;
        let all = history.put(1, end - 1, 0, false);
        assert_eq!(history.anywhere(shape(1, 0, 12, 0)), None);
        assert_eq!(history.space().regions().largest_hole(), 0);
        assert!(history.space().regions().at(address(geometry.user_end - 1)).is_some());
        history.delete(all);
        let around = history.put(1, end - 1, 0, true);
        assert_eq!(history.anywhere(shape(1, 0, 12, 0)), None, "all is reserved");
        let key = history.key_of(around);
        assert_eq!(history.anywhere(shape(end - 1, 0, 12, key)), Some(1));
        history.delete(around);
        assert_eq!(history.space().regions().largest_hole(), end - 1);
        history.end();
    }
}

#[test]
fn more_holes_than_are_tried_hide_none_that_must_fit() {
    let nodes = nodes();
    let mut history = History::begin(&nodes, &GEOMETRIES[0], 1);
    // Twenty holes of two pages, none of which holds an aligned pair; then one of just as many as
    // hold one wherever they begin.
    for hole in 0..20 {
        history.put(4 + 4 * hole - 2, 1, 0, false);
        history.put(4 + 4 * hole + 1, 1, 0, false);
    }
    history.put(82, 1, 0, false);
    history.put(86, 1, 0, false);
    // Pages 3 and 4, 7 and 8, …: an aligned pair would begin at an even page.
    let place = history.anywhere(shape(2, 0, 13, 0));
    assert_eq!(place, Some(84), "the hole from page 83 to 85 must fit");
}

#[test]
fn the_lowest_place_between_two_addresses_is_found() {
    let nodes = nodes();
    let mut history = History::begin(&nodes, &GEOMETRIES[0], 1);
    // One region without holes up to page 4; pages 5 and 6 are a hole; 20 regions without holes;
    // pages 28 and 29 are the next hole. Then another region, and the rest.
    history.put(1, 4, 0, false);
    (7..28).for_each(|page| {
        history.put(page, 1, 0, false);
    });
    history.put(30, 1, 0, false);
    let within = |shape, from, to| {
        let place = history.space().regions().place_within(shape, from * PAGE, to * PAGE);
        place.map(|place| place.start.bits() / PAGE)
    };
    let (plain, aligned) = (shape(2, 0, 12, 0), shape(2, 0, 13, 0));
    assert_eq!(within(plain, 0, 40), Some(5));
    assert_eq!(within(aligned, 0, 40), Some(28), "the first hole of this size is not aligned");
    assert_eq!(within(plain, 6, 40), Some(28), "half of the first hole is below");
    assert_eq!(within(plain, 8, 29), None, "half of the second is above");
    assert_eq!(within(shape(3, 0, 12, 0), 1, 40), Some(31), "a larger hole that is the last");
    assert_eq!(within(shape(3, 0, 12, 0), 1, 33), None);
}

#[test]
fn reservations_nest_as_deep_as_is_allowed() {
    let depth = if cfg!(miri) { 40 } else { usize::from(MAX_NESTED) };
    let nodes: Vec<Region<'_>> = (0..2 * depth + 2).map(|_| Region::default()).collect();
    let mut nodes = nodes.iter();
    let mut regions = crate::state::region_map::Regions::new();
    let spec = super::region_model::spec;
    regions.start(nodes.next().unwrap(), spec(1, 0, Kind::Boot), GEOMETRIES[0].user_end, 12);
    // Each fills the one around it: all begin at one address, and all end at one.
    let mut edges = Vec::new();
    let mut keys = Vec::from([0]);
    for serial in 1..=depth as u64 {
        let outer = keys[serial as usize - 1];
        let place = regions.place_at(address(8 * PAGE), 4, outer).unwrap();
        let pair = [nodes.next().unwrap(), nodes.next().unwrap()];
        let spec = spec(4, serial, Kind::Reservation);
        regions.insert_reservation(pair, place, spec, serial, serial as u16);
        edges.push(pair);
        keys.push(pair[0].key());
    }
    let expected = (1..=depth as u64).chain((1..=depth as u64).rev());
    let order: Vec<u64> = regions.iter().skip(1).map(Region::serial).collect();
    assert_eq!(order, expected.collect::<Vec<_>>(), "the inner one begins later and ends before");
    let innermost = depth as u64;
    for outer in [0, keys[1], keys[depth - 1]] {
        let inside = regions.place_at(address(8 * PAGE), 1, outer).err();
        assert_eq!(inside, Some(NoPlace::Outside { address: 8 * PAGE }));
    }
    let place = regions.place_at(address(8 * PAGE), 4, keys[depth]).unwrap();
    let node = nodes.next().unwrap();
    regions.insert(node, place, spec(4, innermost + 1, Kind::Memory), innermost + 1);
    for serial in 1..=innermost {
        let found = regions.find(address(8 * PAGE), serial).unwrap();
        assert!(core::ptr::eq(found, edges[serial as usize - 1][0]));
        assert_eq!((found.depth(), found.is_start()), (serial as u16, true));
    }
    assert!(core::ptr::eq(regions.from(address(2 * PAGE)).unwrap(), node));
    assert!(core::ptr::eq(regions.from(address(8 * PAGE)).unwrap(), node));
    assert!(core::ptr::eq(regions.before(address(12 * PAGE)).unwrap(), node));
    assert_eq!(regions.before(address(8 * PAGE)).unwrap().serial(), 0);
    assert!(regions.from(address(12 * PAGE)).is_none());
    regions.remove(node);
    for pair in edges.into_iter().rev() {
        let end = regions.end_of_empty(pair[0]).unwrap();
        assert!(core::ptr::eq(end, pair[1]));
        regions.remove(end);
        regions.remove(pair[0]);
    }
    assert_eq!((regions.count(), regions.holes_listed()), (1, 1));
    assert_eq!(regions.largest_hole(), GEOMETRIES[0].user_end / PAGE - 1);
}

#[test]
fn a_node_without_a_spec_is_nobodys_memory() {
    let region = Region::default();
    assert!(!region.is_callers() && !region.is_edge());
    assert_eq!((region.spec().kind, region.spec().pages), (Kind::Boot, 0));
    for (kind, callers) in [
        (Kind::Memory, true),
        (Kind::Stack, true),
        (Kind::IpcBuffer, false),
        (Kind::Boot, false),
        (Kind::Bookkeeping, false),
        (Kind::Reservation, false),
        (Kind::Quarantine, false),
    ] {
        region.set_spec(super::region_model::spec(1, 1, kind));
        assert_eq!(region.is_callers(), callers, "{kind:?}");
    }
}
