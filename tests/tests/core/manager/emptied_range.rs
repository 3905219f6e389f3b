// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is asked for by its address: pages that lie there move elsewhere.
//!
//! Checks A94 of `MODEL.md`.

use vmm::{Blueprint, Error, Occupant, Pages, RegionId, RegionOptions, SpaceId};

use super::compaction::like_a_boot;
use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    pages_move_out_of_memory_that_is_asked_for_by_address,
    what_lies_there_and_stays_is_in_the_way,
    objects_are_in_the_way_and_named,
    memory_asked_for_by_address_is_had_where_there_is_room_for_its_pages,
);

/// Maps regions of 64 pages, each page filled with its address.
fn filled(host: &mut Fixture<'_>, space: SpaceId, regions: usize) -> Vec<RegionId> {
    let mut all = Vec::new();
    while all.len() < regions {
        let Ok(region) = host.vmm.map(space, &RegionOptions::new(64)) else { break };
        let start = region.start().bits();
        (0..64)
            .for_each(|page| host.write(space, start + page * PAGE, (start + page * PAGE) as u64));
        all.push(region);
    }
    all
}

#[track_caller]
fn assert_filled(host: &Fixture<'_>, space: SpaceId) {
    host.check();
    for at in host.mappings(space).into_keys() {
        assert_eq!(host.read(space, at), at as u64, "the page at {at:#x}");
    }
}

/// A94: of one batch a part, of two the line between them, with free memory beside them; and none
/// is to be had at that address afterwards.
fn pages_move_out_of_memory_that_is_asked_for_by_address(target: Target) {
    for (first, count) in [(0, 16), (7, 3), (63, 1), (48, 32), (0, 300)] {
        let mut host = Fixture::new(like_a_boot(target));
        let (own, space) = (host.own(), new_space(&mut host));
        let regions = filled(&mut host, space, 4);
        let lowest = host.mappings(space).values().map(|mapping| mapping.paddr).min();
        let paddr = lowest.expect("pages") + first * PAGE;
        let region = host.vmm.map_physical(own, paddr, &RegionOptions::new(count));
        let region = region.expect("all that lies there may move");
        assert_ne!(host.vmm.stats().moved_pages, 0);
        assert_eq!(host.vmm.physical_address(own, region.start().bits()), Ok(paddr));
        assert_eq!(host.mappings(space).len(), regions.len() * 64);
        for mapping in host.mappings(space).values() {
            let outside = mapping.paddr < paddr || mapping.paddr >= paddr + count * PAGE;
            assert!(outside, "a page is at {:#x}, {count} from {paddr:#x} on", mapping.paddr);
        }
        assert_filled(&host, space);
        host.vmm.release(region).expect("a region");
        regions.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
        host.check();
    }
}

/// A94, A134: nothing moves where one page of the range may not.
fn what_lies_there_and_stays_is_in_the_way(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let (own, space) = (host.own(), new_space(&mut host));
    filled(&mut host, space, 2);
    let stays = host.vmm.map(space, &RegionOptions::new(1).movable(false)).expect("memory");
    filled(&mut host, space, 1);
    host.write(space, stays.start().bits(), stays.start().bits() as u64);
    let paddr = host.mappings(space)[&stays.start().bits()].paddr;
    for before in [0, 1, 5] {
        let in_use = paddr - before * PAGE;
        let refused = host.vmm.map_physical(own, in_use, &RegionOptions::new(1 + before));
        let refused = refused.expect_err("a page that stays lies there");
        let Error::PhysicalInUse { paddr: at, by } = refused else { panic!("{refused:?}") };
        assert!((in_use..=paddr).contains(&at), "{at:#x} was not asked for");
        let stays = Occupant::Region { region: stays, paddr };
        assert_eq!(by, stays, "not what lies beside it and may move");
    }
    // Of pages that stay and came together: the one asked for, the next, or the first.
    let more = host.vmm.map(space, &RegionOptions::new(3).movable(false)).expect("memory");
    for page in 0..3 {
        let at = more.start().bits() + page * PAGE;
        host.write(space, at, at as u64);
    }
    host.vmm.unmap(space, Pages::at(more.start().bits() + PAGE)).expect("mapped");
    for (asked, region, named) in [(0, stays, 0), (1, more, 1), (2, more, 3), (3, more, 3)]
        .into_iter()
        .chain((4..16).map(|beyond| (beyond, stays, 0)))
    {
        let asked = paddr + asked * PAGE;
        let refused = host.vmm.map_physical(own, asked, &RegionOptions::new(1));
        let by = Occupant::Region { region, paddr: paddr + named * PAGE };
        assert_eq!(refused, Err(Error::PhysicalInUse { paddr: asked, by }));
    }
    assert_eq!(host.vmm.stats().moved_pages, 0);
    assert_filled(&host, space);
}

/// A94: all RAM is asked for by address, page by page; a refusal for an object says which kind.
fn objects_are_in_the_way_and_named(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x40_0000, 22)]).slots(13));
    let own = host.own();
    let piece = Blueprint::Untyped { size_bits: 16 };
    host.vmm.allocate(piece).expect("memory");
    let (mut of_pieces, mut refused) = (0, 0);
    for paddr in (0x40_0000..0x80_0000).step_by(PAGE) {
        match host.vmm.map_physical(own, paddr, &RegionOptions::new(1)) {
            Ok(region) => host.vmm.release(region).expect("a region"),
            Err(Error::PhysicalInUse { paddr: at, by }) => {
                assert_eq!(at, paddr);
                refused += 1;
                of_pieces += usize::from(by == Occupant::Object(piece));
            }
            Err(error) => panic!("{error:?}"),
        }
        host.check();
    }
    assert_eq!(of_pieces, 16, "of {refused} pages that are in use");
}

/// A94: with all memory in use it is refused, and had once as much is free as is to be moved.
fn memory_asked_for_by_address_is_had_where_there_is_room_for_its_pages(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x40_0000, 22)]).slots(13));
    let (own, space) = (host.own(), new_space(&mut host));
    let mut regions = filled(&mut host, space, usize::MAX);
    while let Ok(rest) = host.vmm.map(space, &RegionOptions::new(1)) {
        host.write(space, rest.start().bits(), rest.start().bits() as u64);
    }
    let lowest = host.mappings(space).into_iter().min_by_key(|(_, mapping)| mapping.paddr);
    let (at, paddr) = lowest.map(|(at, mapping)| (at, mapping.paddr)).expect("pages");
    let asked = |host: &mut Fixture<'_>| {
        let region = host.vmm.map_physical(own, paddr, &RegionOptions::new(1));
        assert_filled(host, space);
        region.ok()
    };
    let mut given_back = 0;
    let had = loop {
        if let Some(region) = asked(&mut host) {
            break region;
        }
        let other = regions.pop().expect("it is had before all is given back");
        if other.start().bits() != at / (64 * PAGE) * (64 * PAGE) {
            host.vmm.release(other).expect("a region");
            given_back += 1;
        }
    };
    assert!((1..=6).contains(&given_back), "{given_back} regions were given back for it");
    assert_eq!(host.vmm.physical_address(own, had.start().bits()), Ok(paddr));
}
