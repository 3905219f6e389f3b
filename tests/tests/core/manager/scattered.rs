// SPDX-License-Identifier: BSD-2-Clause
//! Pages one by one, in no order: what is remembered of them is shared by neighbours.
//!
//! Checks I22 and I29 of `MODEL.md`.

use vmm::{Error, Pages, RegionOptions, Rights, SpaceId};

use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    pages_that_come_singly_share_what_is_remembered,
    pages_of_a_block_have_rights_and_lives_of_their_own,
    a_region_that_changes_is_looked_at_again,
);

/// Pages of the region.
const PAGES: usize = 256;

/// An order in which no two neighbours follow each other.
fn turned(turn: usize) -> usize {
    turn * 101 % PAGES
}

fn reserved(host: &mut Fixture<'_>, space: SpaceId, pages: usize) -> usize {
    let region = host.vmm.reserve(space, &RegionOptions::new(pages)).expect("addresses");
    region.start().bits()
}

/// Bytes of book-keeping for each of the pages that are mapped at `place`.
fn bytes_a_page(host: &mut Fixture<'_>, space: SpaceId, place: impl Fn(usize) -> usize) -> usize {
    let before = host.vmm.bookkeeping_bytes_used();
    for turn in 0..PAGES {
        host.vmm.populate(space, Pages::at(place(turn))).expect("a page");
    }
    host.check();
    (host.vmm.bookkeeping_bytes_used() - before) / PAGES
}

/// I22: pages that end as neighbours cost less than half of what pages cost that have none.
fn pages_that_come_singly_share_what_is_remembered(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target));
    let space = new_space(&mut host);
    let (close, far) = (reserved(&mut host, space, PAGES), reserved(&mut host, space, 16 * PAGES));
    let close_bytes = bytes_a_page(&mut host, space, |turn| close + turned(turn) * PAGE);
    let far_bytes = bytes_a_page(&mut host, space, |turn| far + turned(turn) * 16 * PAGE);
    assert!(
        2 * close_bytes < far_bytes,
        "{close_bytes} bytes a page, {far_bytes} without neighbours"
    );
}

/// I22: any of them is protected, unmapped and mapped again, and the others are as they were.
fn pages_of_a_block_have_rights_and_lives_of_their_own(target: Target) {
    let mut host = Fixture::new(Machine::small(target));
    let space = new_space(&mut host);
    let start = reserved(&mut host, space, 16);
    let at = |page: usize| start + page * PAGE;
    let order = |turn: usize| turn * 7 % 16;
    for turn in 0..16 {
        let page = at(order(turn));
        host.vmm.populate(space, Pages::at(page)).expect("a page");
        host.write(space, page, page as u64);
        let again = host.vmm.populate(space, Pages::at(page));
        let mapped =
            |error| matches!(error, Error::AlreadyMapped { address, .. } if address == page);
        assert!(again.is_err_and(mapped), "{again:?}");
    }
    for turn in (0..16).step_by(2) {
        host.vmm.protect(space, Pages::at(at(order(turn))), Rights::READ).expect("a page");
        host.check();
    }
    for turn in (0..16).step_by(3) {
        host.vmm.unmap(space, Pages::at(at(order(turn)))).expect("a page");
        host.check();
    }
    for turn in 0..16 {
        let page = at(order(turn));
        let mapping = host.vmm.mapping_at(space, page).expect("an address");
        match turn % 3 {
            0 => assert_eq!(mapping, None, "unmapped: {page:#x}"),
            _ => {
                let rights = if turn % 2 == 0 { Rights::READ } else { Rights::READ_WRITE };
                assert_eq!(mapping.expect("a page").rights, rights, "at {page:#x}");
                assert_eq!(host.read(space, page), page as u64);
            }
        }
    }
    // All of them in one request, holes and all.
    host.vmm.decommit(space, Pages::at(start).count(16)).expect("a range");
    host.check();
    assert!(host.mappings(space).is_empty());
}

fn is_outside(error: Error, page: usize) -> bool {
    matches!(error, Error::OutsideRegion { address, .. } if address == page)
}

/// I29: between two pages the region is split, loses a part, is protected, or goes.
fn a_region_that_changes_is_looked_at_again(target: Target) {
    let mut host = Fixture::new(Machine::small(target));
    let space = new_space(&mut host);
    let region = host.vmm.reserve(space, &RegionOptions::new(16)).expect("addresses");
    let start = region.start().bits();
    host.vmm.populate(space, Pages::at(start + 8 * PAGE)).expect("a page");
    // Its upper half becomes another region, and goes.
    let upper = host.vmm.split_region(region, 8).expect("two regions");
    host.vmm.populate(space, Pages::at(start + 2 * PAGE)).expect("a page of the lower half");
    host.check();
    host.vmm.release(upper).expect("a region");
    let page = start + 9 * PAGE;
    let gone = host.vmm.populate(space, Pages::at(page));
    assert!(gone.is_err_and(|error| is_outside(error, page)), "{gone:?}");
    host.vmm.populate(space, Pages::at(start + 4 * PAGE)).expect("a page");
    host.vmm.release(region).expect("a region");
    let page = start + 5 * PAGE;
    let gone = host.vmm.populate(space, Pages::at(page));
    assert!(gone.is_err_and(|error| is_outside(error, page)), "{gone:?}");
    // Addresses of a space that is no more.
    let there = host.vmm.reserve(space, &RegionOptions::new(4)).expect("addresses").start().bits();
    host.vmm.populate(space, Pages::at(there + PAGE)).expect("a page");
    host.vmm.destroy_space(space).expect("a space");
    let gone = host.vmm.populate(space, Pages::at(there + 3 * PAGE));
    assert_eq!(gone, Err(Error::NoSuchSpace(space)));
    host.check();
}
