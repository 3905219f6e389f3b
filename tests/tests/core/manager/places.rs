// SPDX-License-Identifier: BSD-2-Clause
//! Where regions go.

use vmm::{AddressError, Backing, Error, Name, PageSize, Pages, Placement, RegionOptions, Rights};
use vmm_tests::support::{beyond_ceiling, no_room, outside_region, overlap, wrong_kind};

use super::FREE;
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    a_region_goes_where_it_is_told,
    anywhere_is_the_lowest_place,
    a_hole_is_found_among_many_regions,
    a_hole_that_fits_is_found_behind_many_that_do_not,
    within_is_the_lowest_place,
    near_is_below_one_table,
    what_is_aligned_is_the_first_page_after_the_guard,
    guards_belong_to_the_region,
    the_last_page_of_user_space_can_be_mapped,
    a_reservation_keeps_others_out,
    a_reservation_caps_the_rights_inside,
    reservations_nest_to_their_very_ends,
    a_reservation_goes_when_it_is_empty,
    addresses_given_back_are_used_again,
    a_hole_of_another_reservation_is_not_taken,
    large_pages_imply_their_alignment,
    a_refusal_says_what_there_is,
);

/// A297: also what is mapped when it is touched, and with a guard; until it is said otherwise.
fn near_is_below_one_table(target: Target) {
    let mut host = Fixture::small(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let (table, bytes) = (0x4000_0000, 1 << target.large_bits());
    let code = table + 3 * PAGE;
    host.vmm.reserve(space, &RegionOptions::new(2).at(code)).expect("room");
    let outside = host.vmm.place_near(space, Some(target.user_end()));
    assert!(matches!(outside, Err(Error::Address(_))), "{outside:?}");
    host.vmm.place_near(space, Some(code + PAGE)).expect("an address");
    let anywhere = |pages| RegionOptions::new(pages);
    let mut place = |options| {
        let region = host.vmm.reserve(space, &options).expect("room");
        region.start().bits()
    };
    assert_eq!(place(anywhere(3)), table);
    let touched = anywhere(1).backed(Backing::OnDemand { around: 1 }).guarded(1, 1);
    assert_eq!(place(touched), code + 2 * PAGE);
    let rest = bytes / PAGE - 8;
    // What does not fit there lies where it would, and what was asked for elsewhere, there.
    assert_eq!(place(anywhere(rest + 1)), PAGE);
    assert_eq!(place(anywhere(1).at(table + 8 * bytes)), table + 8 * bytes);
    let (from, to) = (table + 16 * bytes, table + 17 * bytes);
    assert_eq!(place(anywhere(1).within(from..to)), from);
    assert_eq!(place(anywhere(rest)), code + 5 * PAGE);
    let next = (rest + 2) * PAGE;
    assert_eq!(place(anywhere(1)), next);
    host.vmm.place_near(space, Some(table + 24 * bytes)).expect("an address");
    // A reservation keeps what lies in it.
    let at = table + 32 * bytes;
    let around = host.vmm.create_reservation(space, &anywhere(4).at(at)).expect("room");
    let inside = host.vmm.reserve(space, &anywhere(1).inside(around)).expect("room");
    assert_eq!(inside.start().bits(), at);
    host.vmm.place_near(space, None).expect("a space");
    let lowest = host.vmm.reserve(space, &anywhere(1)).expect("room");
    assert_eq!(lowest.start().bits(), next + PAGE);
    host.check();
}

/// A112: wherever the manager chooses the place.
fn large_pages_imply_their_alignment(target: Target) {
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let large = RegionOptions::new(pages).page_size(PageSize::Large { bits });
    let base = 0x4000_0000;
    for options in [large, large.within(base + PAGE..base + (4 << bits)), large.guarded(1, 1)] {
        let region = host.vmm.map(own, &options).expect("memory");
        let first = host.vmm.pages_of(region).expect("a region").start().bits();
        assert_eq!(first % (1 << bits), 0, "{first:#x}");
        let mapping = host.vmm.mapping_at(own, first).expect("an address").expect("it is mapped");
        assert_eq!(mapping.size_bits, bits);
    }
    // An address that was asked for is not moved.
    let at = base + (8 << bits) + PAGE;
    let misaligned = Error::Address(AddressError::Misaligned { address: at, bits });
    assert_eq!(host.vmm.map(own, &large.at(at)), Err(misaligned));
    host.check();
}

/// A113.
fn a_refusal_says_what_there_is(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(3).at(FREE).named("in the way")).expect("room");
    let (mut at, mut largest) = (0, 0);
    while at < target.user_end() {
        let next = host.vmm.next_region(own, at).expect("a space");
        let (start, end) = next.map_or((target.user_end(), target.user_end()), |region| {
            (region.range.start().bits(), region.range.end())
        });
        largest = largest.max((start.max(at) - at) / PAGE);
        at = end;
    }
    let most = RegionOptions::new(largest + 1).named("much");
    let error = host.vmm.reserve(own, &most).expect_err("there is no such hole");
    let pages = largest + 1;
    assert_eq!(error, Error::NoRoom { pages, align_bits: 12, largest, name: Name::new("much") });
    let told = format!(
        "no hole of {pages} pages aligned to 2^12 bytes for \"much\": the largest has {largest}"
    );
    assert_eq!(error.to_string(), told);
    host.vmm.reserve(own, &RegionOptions::new(largest)).expect("there is");

    let error = host.vmm.reserve(own, &RegionOptions::new(1).at(FREE + PAGE)).expect_err("taken");
    let (address, name) = (FREE + PAGE, Name::new("in the way"));
    assert_eq!(error, Error::Overlap { address, region_start: FREE, name });
    let told = "0x40001000 belongs to the region \"in the way\" at 0x40000000";
    assert_eq!(error.to_string(), told);
}

/// A1.
fn a_region_goes_where_it_is_told(target: Target) {
    let mut host = Fixture::small(target);
    let region = host.vmm.reserve(host.vmm.own_space(), &RegionOptions::new(3).at(FREE));
    let info = host.vmm.region_info(region.expect("room")).expect("a region");
    assert_eq!((info.range.start().bits(), info.range.pages()), (FREE, 3));
    assert_eq!(host.mappings(host.own()).len(), 0, "reserving maps nothing");
    assert_eq!(host.vmm.stats().calls.total(), 0);
}

/// A1: in a reservation whose holes are all too small for the alignment to fit anyhow.
fn a_hole_that_fits_is_found_behind_many_that_do_not(target: Target) {
    for many in [3, 16, 17, 60] {
        let mut host = Fixture::small(target);
        let own = host.own();
        let all = RegionOptions::new(8 * (many + 2)).at(FREE);
        let all = host.vmm.create_reservation(own, &all).expect("room");
        // Holes of two pages at odd pages, and a last one of three of which the second is even.
        let mut at = FREE;
        for hole in 0..=many {
            let taken = if hole == 0 { 1 } else { 6 };
            let region = RegionOptions::new(taken).at(at).inside(all);
            host.vmm.reserve(own, &region).expect("room");
            at += (taken + 2) * PAGE;
        }
        let hole = at - 2 * PAGE;
        let end = FREE + 8 * (many + 2) * PAGE;
        let rest = RegionOptions::new((end - hole) / PAGE - 3).at(hole + 3 * PAGE).inside(all);
        host.vmm.reserve(own, &rest).expect("room");
        let two = RegionOptions::new(2).inside(all).aligned(13);
        let found = host.vmm.reserve(own, &two).expect("it fits in the last hole");
        assert_eq!(found.start().bits(), hole + PAGE);
        let none = no_room(2, 13);
        host.refuses(none, |vmm| vmm.reserve(own, &two));
        host.check();
    }
}

/// A280, I1: in a reservation, whatever lies in others inside of it, and outside of all.
fn anywhere_is_the_lowest_place(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let all = host.vmm.create_reservation(own, &RegionOptions::new(64).at(FREE)).expect("room");
    let inner = RegionOptions::new(10).at(FREE + 2 * PAGE).inside(all);
    let inner = host.vmm.create_reservation(own, &inner).expect("room");
    // Holes of 2, 3, 9, 5 and 23 pages, and one of 10 that belongs to the inner reservation.
    for page in [15, 25, 31, 40] {
        let region = RegionOptions::new(if page == 31 { 9 } else { 1 }).at(FREE + page * PAGE);
        host.vmm.reserve(own, &region.inside(all)).expect("room");
    }
    for (pages, page) in [(3, 12), (4, 16), (5, 20), (6, 41), (5, 26), (1, 0), (2, 47), (1, 1)] {
        let options = RegionOptions::new(pages).inside(all);
        let region = host.vmm.reserve(own, &options).expect("room");
        assert_eq!(region.start().bits(), FREE + page * PAGE, "{pages} pages");
    }
    let region = host.vmm.reserve(own, &RegionOptions::new(4).inside(inner)).expect("room");
    assert_eq!(region.start().bits(), FREE + 2 * PAGE);
    // What was given back is taken again, though regions were cut off another hole meanwhile.
    let outside = RegionOptions::new(3);
    let regions = [(); 4].map(|()| host.vmm.reserve(own, &outside).expect("room"));
    let starts = regions.map(|region| region.start().bits());
    assert_eq!(starts.map(|start| start - starts[0]), [0, 3, 6, 9].map(|page| page * PAGE));
    host.vmm.release(regions[1]).expect("a region");
    for expected in [starts[1], starts[3] + 3 * PAGE] {
        let region = host.vmm.reserve(own, &outside).expect("room");
        assert_eq!(region.start().bits(), expected);
    }
    host.check();
}

/// A280, I49: two thousand regions, with holes between that go and come again.
fn a_hole_is_found_among_many_regions(target: Target) {
    const COUNT: usize = 2000;
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let regions = [(); COUNT].map(|()| host.vmm.reserve(own, &RegionOptions::new(2)));
    let regions = regions.map(|region| region.expect("room"));
    assert!(regions.windows(2).all(|pair| pair[0].start() < pair[1].start()));
    // Each third is released, in no order, and the places are taken again from the lowest on.
    let third = COUNT.div_ceil(3);
    for region in (0..third).map(|nth| nth * 251 % third * 3) {
        host.vmm.release(regions[region]).expect("a region");
    }
    host.check();
    for region in (0..COUNT).step_by(3) {
        let again = host.vmm.reserve(own, &RegionOptions::new(2)).expect("room");
        assert_eq!(again.start(), regions[region].start());
    }
    host.check();
}

/// A1.
fn within_is_the_lowest_place(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(2).at(FREE)).expect("room");
    let options = RegionOptions::new(2).within(FREE - PAGE..FREE + 4 * PAGE);
    let region = host.vmm.reserve(own, &options).expect("room");
    assert_eq!(region.start().bits(), FREE + 2 * PAGE);
    let error = no_room(2, 12);
    host.refuses(error, |vmm| vmm.reserve(own, &options));
    let exact = RegionOptions::new(1).within(FREE - PAGE..FREE);
    let region = host.vmm.reserve(own, &exact).expect("room");
    assert_eq!(region.start().bits(), FREE - PAGE);
}

/// A1.
fn what_is_aligned_is_the_first_page_after_the_guard(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(2).aligned(16).guarded(1, 1);
    let tight = options.within(FREE - PAGE..FREE + 3 * PAGE);
    for options in [options, options.at(FREE + 0x10_0000), tight] {
        let region = host.vmm.map(own, &options).expect("room");
        let first = region.start().bits() + PAGE;
        assert_eq!(first % (1 << 16), 0);
        assert!(host.mappings(own).contains_key(&first));
    }
    host.check();
}

/// A5.
fn guards_belong_to_the_region(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(2).at(FREE).guarded(2, 1);
    let region = host.vmm.map(own, &options).expect("room");
    assert_eq!(region.start().bits(), FREE - 2 * PAGE);
    let mapped: Vec<usize> = host.mappings(own).into_keys().collect();
    assert_eq!(mapped, [FREE, FREE + PAGE], "guards are not mapped");
    for at in [FREE - 2 * PAGE, FREE - PAGE, FREE + 2 * PAGE] {
        let error = overlap(at, FREE - 2 * PAGE);
        host.refuses(error, |vmm| vmm.map(own, &RegionOptions::new(1).at(at)));
    }
}

fn the_last_page_of_user_space_can_be_mapped(target: Target) {
    let mut host = Fixture::small(target);
    let (own, last) = (host.own(), target.user_end() - PAGE);
    host.vmm.map(own, &RegionOptions::new(1).at(last)).expect("room");
    host.write(own, last, 5);
    host.check();
}

/// A2.
fn a_reservation_keeps_others_out(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let reservation = RegionOptions::new(8).at(FREE);
    let reservation = host.vmm.create_reservation(own, &reservation).expect("room");
    let outside = RegionOptions::new(1).at(FREE + PAGE);
    let error = outside_region(FREE + PAGE);
    host.refuses(error, |vmm| vmm.map(own, &outside));
    for _ in 0..8 {
        let region = host.vmm.map(own, &RegionOptions::new(1)).expect("room elsewhere");
        assert!(!(FREE..FREE + 8 * PAGE).contains(&region.start().bits()));
    }
    let inside = RegionOptions::new(8).inside(reservation);
    let region = host.vmm.map(own, &inside).expect("room inside");
    assert_eq!(region.start().bits(), FREE);
    let error = no_room(1, 12);
    host.refuses(error, |vmm| vmm.map(own, &RegionOptions::new(1).inside(reservation)));
    let past = RegionOptions::new(1).at(FREE + 8 * PAGE).inside(reservation);
    let error = outside_region(FREE + 8 * PAGE);
    host.refuses(error, |vmm| vmm.map(own, &past));
}

/// A2, I2.
fn a_reservation_caps_the_rights_inside(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(8).at(FREE).rights(Rights::READ).ceiling(Rights::READ);
    let reservation = host.vmm.create_reservation(own, &options).expect("room");
    let error = beyond_ceiling(Rights::READ_WRITE, Rights::READ);
    host.refuses(error, |vmm| vmm.map(own, &RegionOptions::new(1).inside(reservation)));
    let options = RegionOptions::new(1).inside(reservation).rights(Rights::READ);
    let region = host.vmm.map(own, &options).expect("room");
    let start = region.start().bits();
    host.refuses(error, |vmm| vmm.protect(own, Pages::at(start), Rights::READ_WRITE));
}

fn reservations_nest_to_their_very_ends(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let outer = host.vmm.create_reservation(own, &RegionOptions::new(8).at(FREE)).expect("room");
    let low = RegionOptions::new(2).at(FREE).inside(outer);
    let low = host.vmm.create_reservation(own, &low).expect("room");
    let high = RegionOptions::new(2).at(FREE + 6 * PAGE).inside(outer);
    let high = host.vmm.create_reservation(own, &high).expect("room");
    host.check();
    for (reservation, at) in [(low, 0), (outer, 2), (high, 6)] {
        let options = RegionOptions::new(2).inside(reservation);
        let region = host.vmm.map(own, &options).expect("room");
        assert_eq!(region.start().bits(), FREE + at * PAGE);
        host.check();
        host.vmm.release(region).expect("a region");
    }
    for reservation in [low, high, outer] {
        host.vmm.release(reservation).expect("it is empty");
        host.check();
    }
}

fn a_reservation_goes_when_it_is_empty(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let reservation = RegionOptions::new(8).at(FREE);
    let reservation = host.vmm.create_reservation(own, &reservation).expect("room");
    let inside = RegionOptions::new(2).inside(reservation);
    let region = host.vmm.map(own, &inside).expect("room");
    host.refuses(wrong_kind(reservation), |vmm| vmm.release(reservation));
    host.vmm.release(region).expect("a region");
    host.vmm.release(reservation).expect("it is empty");
    host.refuses(Error::NoSuchRegion(reservation), |vmm| vmm.release(reservation));
    host.vmm.map(own, &RegionOptions::new(8).at(FREE)).expect("its addresses are free");
}

/// A6, I1.
fn addresses_given_back_are_used_again(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    assert_eq!(Placement::default(), Placement::anywhere());
    let first = host.vmm.reserve(own, &RegionOptions::new(4).at(FREE)).expect("room");
    host.vmm.release(first).expect("a region");
    let second = host.vmm.reserve(own, &RegionOptions::new(4).at(FREE)).expect("room");
    assert_ne!(first, second, "an id is never used again");
    host.refuses(Error::NoSuchRegion(first), |vmm| vmm.release(first));
}

/// A2: whichever of the two was made first, lies lower, or has the larger hole.
fn a_hole_of_another_reservation_is_not_taken(target: Target) {
    for own_is_first in [true, false] {
        for own_is_lower in [true, false] {
            for theirs in [3, 9] {
                let mut host = Fixture::small(target);
                let own = host.own();
                let low = if own_is_lower { 2 } else { theirs };
                let (mine, other) = if own_is_lower { (0, low) } else { (low, 0) };
                let make = |host: &mut Fixture<'_>, page: usize, pages: usize| {
                    let options = RegionOptions::new(pages).at(FREE + page * PAGE);
                    host.vmm.create_reservation(own, &options).expect("room")
                };
                let (reservation, others) = if own_is_first {
                    let reservation = make(&mut host, mine, 2);
                    (reservation, make(&mut host, other, theirs))
                } else {
                    let others = make(&mut host, other, theirs);
                    (make(&mut host, mine, 2), others)
                };
                let inside = |pages: usize| RegionOptions::new(pages).inside(reservation);
                let from = FREE + other * PAGE;
                // Larger than its own hole, or with an alignment for which that has no room.
                let none = |pages, align_bits| no_room(pages, align_bits);
                host.refuses(none(3, 12), |vmm| vmm.reserve(own, &inside(3)));
                host.refuses(none(2, 16), |vmm| {
                    vmm.reserve(own, &inside(1).guarded(1, 0).aligned(16))
                });
                // In a place that is the other's.
                let to = from + theirs * PAGE;
                host.refuses(none(1, 12), |vmm| vmm.reserve(own, &inside(1).within(from..to)));
                for at in [from, to - PAGE] {
                    let outside = outside_region(at);
                    host.refuses(outside, |vmm| vmm.reserve(own, &inside(1).at(at)));
                }
                // All of its own serves, and then nothing does.
                let region = host.vmm.reserve(own, &inside(2)).expect("its own hole");
                assert_eq!(region.start().bits(), FREE + mine * PAGE);
                let aligned = inside(1).aligned(13);
                let within = inside(1).within(0..to);
                for (options, align_bits) in [(inside(1), 12), (aligned, 13), (within, 12)] {
                    host.refuses(none(1, align_bits), |vmm| vmm.reserve(own, &options));
                }
                host.vmm.release(others).expect("nobody took of it");
                host.check();
            }
        }
    }
}
