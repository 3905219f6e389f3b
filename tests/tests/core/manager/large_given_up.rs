// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that came by themselves, and are given up when memory is short.
//!
//! Checks A369 to A371, A212 and I77 of `MODEL.md`.

use untyped_alloc::{Blueprint, KernelError};
use vmm::{Backing, PageSize, Pages, RegionOptions, Rights};

use super::large_on_demand::Dense;
use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    what_holds_zeros_is_given_back_when_memory_is_out,
    any_request_for_memory_has_them_given_up,
    what_must_stay_is_not_given_up,
    a_page_that_was_in_use_is_looked_at_again,
    one_that_was_given_up_is_not_joined_again,
    one_that_small_pages_became_is_given_up_too,
    the_managers_own_space_keeps_them,
    what_is_held_back_goes_where_its_address_is_asked_for,
    with_a_limit_they_are_given_up_between_requests,
    nothing_is_lost_where_the_kernel_refuses,
    no_write_is_lost_of_a_page_that_is_given_up,
    what_was_held_back_for_it_is_free_memory,
);

/// Pages of the large one that are written to: its second, two in the midst and its last.
fn used(dense: &Dense) -> [usize; 4] {
    let (first, pages) = (dense.per_large, dense.per_large);
    [first + 1, first + 100, first + 101, first + pages - 1]
}

/// Where the memory of [`machine`] lies, room for two large pages in each.
const BLOCKS: [usize; 3] = [0x100_0000, 0x400_0000, 0x800_0000];

fn machine(target: Target) -> Machine {
    Machine::with_ram(target, BLOCKS.map(|at| (at, target.large_bits() + 1)).to_vec())
}

/// A machine with room for six large pages, and memory on demand in it: a large page's worth of
/// small pages, all written to, and a large page behind them that a touch brought.
fn with_large(target: Target) -> (Fixture<'static>, Dense) {
    let mut host = Fixture::new(machine(target));
    let dense = Dense::new(&mut host, 3, 1);
    dense.fill(&mut host, 0);
    dense.touch(&mut host, dense.per_large + 7);
    assert_eq!(dense.pages(&host), (2 * dense.per_large, dense.per_large));
    for page in used(&dense) {
        host.write(dense.space, dense.at(page), page as u64 + 1);
    }
    host.check();
    (host, dense)
}

/// Pages of a caller's own that use memory up, and where the first of them is.
struct Ballast {
    start: usize,
    pages: usize,
}

/// Takes all memory that is to be had, page by page.
fn exhaust(host: &mut Fixture<'_>) -> Ballast {
    let own = host.own();
    let room = host.vmm.reserve(own, &RegionOptions::new(1 << 13)).expect("addresses");
    let mut ballast = Ballast { start: room.start().bits(), pages: 0 };
    while host.vmm.populate(own, Pages::at(ballast.start + ballast.pages * PAGE)).is_ok() {
        ballast.pages += 1;
    }
    ballast
}

impl Ballast {
    /// Gives the last `pages` of them back.
    fn shrink(&mut self, host: &mut Fixture<'_>, pages: usize) {
        self.pages -= pages;
        let last = Pages::at(self.start + self.pages * PAGE).count(pages);
        host.vmm.unmap(host.own(), last).expect("mapped");
    }
}

/// What was written is there still; these pages of the large one hold zeros, or come as such.
#[track_caller]
fn assert_holds(host: &mut Fixture<'_>, dense: &Dense, zeros: &[usize]) {
    host.check();
    for page in (0..dense.per_large).chain(used(dense)) {
        assert_eq!(host.read(dense.space, dense.at(page)), page as u64 + 1, "page {page}");
    }
    for page in zeros.iter().map(|page| dense.per_large + page) {
        if host.vmm.mapping_at(dense.space, dense.at(page)).expect("a space").is_none() {
            dense.touch(host, page);
        }
        assert_eq!(host.read(dense.space, dense.at(page)), 0, "page {page}");
    }
    host.check();
}

/// A369: all but what is used, whoever wants the memory; what held nothing comes with a touch.
fn what_holds_zeros_is_given_back_when_memory_is_out(target: Target) {
    let (mut host, dense) = with_large(target);
    let free = host.vmm.stats().free_bytes() / PAGE;
    let mut ballast = exhaust(&mut host);
    let zeros = dense.per_large - used(&dense).len();
    assert_eq!(host.vmm.stats().reclaimed_pages, zeros as u64);
    assert_eq!(dense.pages(&host), (dense.per_large + used(&dense).len(), 0));
    // But for what page tables and book-keeping took.
    assert!(ballast.pages + 50 > free + zeros, "{} of {free} and {zeros}", ballast.pages);
    ballast.shrink(&mut host, 4);
    assert_holds(&mut host, &dense, &[7, 102]);
}

/// A369: a touch, a region, an object, a space, pages with contents.
fn any_request_for_memory_has_them_given_up(target: Target) {
    type Wants = fn(&mut Fixture<'_>, &Dense) -> bool;
    let wants: [(&str, Wants); 5] = [
        ("a touch", |host, dense| {
            dense.touch(host, 2 * dense.per_large + 3);
            true
        }),
        ("a region", |host, _| host.vmm.map(host.own(), &RegionOptions::new(40)).is_ok()),
        ("an object", |host, _| host.vmm.allocate(Blueprint::Untyped { size_bits: 16 }).is_ok()),
        ("a space", |host, _| match host.vmm.create_space() {
            Ok(space) => {
                host.spaces.push(space);
                true
            }
            Err(_) => false,
        }),
        ("what pages hold", |host, dense| {
            let start = dense.at(2 * dense.per_large + 9);
            host.vmm.populate_from(dense.space, start, &[1; 2 * PAGE]).is_ok()
        }),
    ];
    for (what, want) in wants {
        let (mut host, dense) = with_large(target);
        // All but the last: the memory that is free is too little for the request.
        let own = host.own();
        let room = host.vmm.reserve(own, &RegionOptions::new(1 << 13)).expect("addresses");
        let mut pages = (0..).map(|page| Pages::at(room.start().bits() + page * PAGE));
        while host.vmm.stats().reclaimed_pages == 0 && dense.pages(&host).1 != 0 {
            let free = host.vmm.stats().free_bytes();
            if free <= 17 * PAGE || host.vmm.populate(own, pages.next().expect("more")).is_err() {
                break;
            }
        }
        let mut met = 0;
        while dense.pages(&host).1 != 0 {
            assert!(met < 100, "{what}: it is met without");
            assert!(want(&mut host, &dense), "{what}: refused");
            met += 1;
            if what == "a touch" || what == "what pages hold" {
                let rest = Pages::at(dense.at(2 * dense.per_large)).count(dense.per_large);
                host.vmm.decommit(dense.space, rest).expect("a region");
                host.vmm.populate(own, pages.next().expect("more")).expect("as much is free");
            }
        }
        assert_ne!(host.vmm.stats().reclaimed_pages, 0, "{what}");
        assert_holds(&mut host, &dense, &[]);
    }
}

/// A370: shared, told, with a capability that others have, more than half of it in use, cut by a
/// caller; and one that was asked for.
fn what_must_stay_is_not_given_up(target: Target) {
    type Holds = fn(&mut Fixture<'_>, &Dense);
    let large = |dense: &Dense| Pages::at(dense.at(dense.per_large)).count(dense.per_large);
    let holds: [(&str, Holds); 6] = [
        ("nothing", |_, _| ()),
        ("a share", |host, dense| {
            let to = new_space(host);
            let pages = Pages::at(dense.at(dense.per_large)).count(dense.per_large);
            let room = RegionOptions::new(dense.per_large).at(pages.start());
            let room = host.vmm.reserve(to, &room).expect("addresses");
            host.vmm.share_into(dense.space, pages, room, 0).expect("memory");
        }),
        ("a physical address", |host, dense| {
            let at = dense.at(dense.per_large + 3);
            host.vmm.physical_address(dense.space, at).expect("mapped");
        }),
        ("a capability", |host, dense| {
            let at = dense.at(dense.per_large + 3);
            let page = host.vmm.mapping_at(dense.space, at).unwrap().unwrap();
            let slot = host.vmm.alloc_slots(1).expect("a slot");
            let to = host.vmm.allocator().path(slot);
            host.vmm.copy_cap(to, page.frame, Rights::READ_WRITE).expect("a copy");
        }),
        ("more than half in use", |host, dense| {
            let half = dense.per_large / 2;
            for page in (dense.per_large..).take(half + 1) {
                host.write(dense.space, dense.at(page), page as u64 + 1);
            }
        }),
        ("a part that is split off", |host, dense| {
            // It is cut for that; so it is small pages, all of which are a caller's wish.
            host.vmm.split_region(dense.region, dense.per_large + 5).expect("memory");
        }),
    ];
    for (why, hold) in holds {
        let (mut host, dense) = with_large(target);
        hold(&mut host, &dense);
        let mapped = |host: &Fixture<'_>| {
            let pages = large(&dense);
            let at = (0..pages.pages()).map(|page| pages.start() + page * PAGE);
            at.filter(|&at| host.vmm.mapping_at(dense.space, at).unwrap().is_some()).count()
        };
        exhaust(&mut host);
        let expected = if why == "nothing" { used(&dense).len() } else { dense.per_large };
        assert_eq!(mapped(&host), expected, "{why}");
        assert_holds(&mut host, &dense, &[]);
    }
    // Of a region that is mapped by request, though all of it is zeros.
    let mut host = Fixture::new(machine(target));
    let (space, bits) = (new_space(&mut host), target.large_bits());
    let asked = RegionOptions::new(1 << (bits - 12)).page_size(PageSize::Auto);
    let asked = host.vmm.map(space, &asked).expect("memory");
    let in_large = host.vmm.large_pages_in(asked);
    assert_eq!(in_large, Ok(1 << (bits - 12)));
    exhaust(&mut host);
    assert_eq!(host.vmm.large_pages_in(asked), in_large);
    // Half of it is not more than half.
    let (mut host, dense) = with_large(target);
    for page in (dense.per_large..).take(dense.per_large / 2 - 1) {
        host.write(dense.space, dense.at(page), page as u64 + 1);
    }
    // Room for what is in use: more than is held back.
    let own = host.own();
    let half = RegionOptions::new(dense.per_large / 2 + 8);
    let room = host.vmm.map(own, &half).expect("memory");
    exhaust(&mut host);
    assert_eq!(dense.pages(&host).1, dense.per_large, "there was no room to copy it to");
    host.vmm.release(room).expect("a region");
    let wanted = host.vmm.map(own, &RegionOptions::new(dense.per_large / 2 + 20));
    wanted.expect("it is given up");
    assert_eq!(dense.pages(&host).1, 0);
    assert_holds(&mut host, &dense, &[]);
}

/// A369: the first is in use when the second is given up; then it is cleared.
fn a_page_that_was_in_use_is_looked_at_again(target: Target) {
    let (mut host, dense) = with_large(target);
    let own = host.own();
    dense.touch(&mut host, 2 * dense.per_large);
    assert_eq!(dense.pages(&host).1, 2 * dense.per_large);
    let first = dense.per_large..2 * dense.per_large;
    first.clone().for_each(|page| host.write(dense.space, dense.at(page), page as u64 + 1));
    let room = host.vmm.reserve(own, &RegionOptions::new(1 << 13)).expect("addresses");
    let mut pages = (0..).map(|page| Pages::at(room.start().bits() + page * PAGE));
    while host.vmm.stats().reclaimed_pages == 0 {
        host.vmm.populate(own, pages.next().expect("more")).expect("the second is given up");
    }
    assert_eq!(dense.pages(&host).1, dense.per_large, "the first is in use");
    let rest = first.filter(|page| !used(&dense).contains(page));
    rest.for_each(|page| host.write(dense.space, dense.at(page), 0));
    exhaust(&mut host);
    assert_eq!(dense.pages(&host).1, 0);
    assert_holds(&mut host, &dense, &[]);
}

/// A369: not by a request that is refused later, once all of it is there again.
fn one_that_was_given_up_is_not_joined_again(target: Target) {
    let (mut host, dense) = with_large(target);
    let mut ballast = exhaust(&mut host);
    assert_eq!(dense.pages(&host).1, 0);
    let all = ballast.pages;
    ballast.shrink(&mut host, all);
    host.vmm.limit_compaction(0);
    let pages = dense.per_large..2 * dense.per_large;
    for page in pages.clone() {
        if host.vmm.mapping_at(dense.space, dense.at(page)).expect("a space").is_none() {
            dense.touch(&mut host, page);
        }
    }
    let range = Pages::at(dense.at(pages.start)).count(dense.per_large);
    host.kernel().fail_nth(1, KernelError::IllegalOperation);
    host.vmm.protect(dense.space, range, Rights::READ).expect_err("refused");
    assert!(!host.kernel().disarm());
    assert_eq!(dense.pages(&host).1, 0);
    assert_holds(&mut host, &dense, &[]);
}

/// A369: once most of what it held is zeros.
fn one_that_small_pages_became_is_given_up_too(target: Target) {
    let mut host = Fixture::new(machine(target));
    let dense = Dense::new(&mut host, 1, 1);
    dense.fill(&mut host, 0);
    while host.vmm.promote_further(64).expect("nothing is refused") {}
    assert_eq!(dense.pages(&host), (dense.per_large, dense.per_large));
    for page in 0..dense.per_large - 9 {
        host.write(dense.space, dense.at(page), 0);
    }
    exhaust(&mut host);
    assert_eq!(dense.pages(&host), (9, 0));
    for page in dense.per_large - 9..dense.per_large {
        assert_eq!(host.read(dense.space, dense.at(page)), page as u64 + 1);
    }
    host.check();
}

/// A370: who runs in it could not have a touch of its resolved.
fn the_managers_own_space_keeps_them(target: Target) {
    let mut host = Fixture::new(machine(target));
    let (space, bits) = (host.own(), target.large_bits());
    let (per_large, start) = (1 << (bits - 12), 16 << bits);
    let options = RegionOptions::new(2 * per_large).at(start).page_size(PageSize::Auto);
    let options = options.backed(Backing::OnDemand { around: 1 }).movable(true);
    let region = host.vmm.reserve(space, &options).expect("addresses");
    let dense = Dense { space, region, start, per_large };
    dense.fill(&mut host, 0);
    dense.touch(&mut host, per_large);
    let in_large = |host: &Fixture<'_>| host.vmm.large_pages_in(region);
    assert_eq!(in_large(&host), Ok(per_large));
    exhaust(&mut host);
    assert_eq!(in_large(&host), Ok(per_large));
    host.check();
}

/// A371: then it is held back no more.
fn what_is_held_back_goes_where_its_address_is_asked_for(target: Target) {
    let (mut host, dense) = with_large(target);
    let (own, size) = (host.own(), 16 * PAGE);
    let held = |host: &Fixture<'_>| host.vmm.stats().allocator.held_bytes;
    let before = held(&host);
    // One place after the other, as it is told nowhere.
    let places =
        BLOCKS.iter().rev().flat_map(|at| (*at..*at + (2 << target.large_bits())).step_by(size));
    for paddr in places {
        match host.vmm.map_physical(own, paddr, &RegionOptions::new(16)) {
            Ok(_) if held(&host) + size <= before => break,
            Ok(region) => host.vmm.release(region).expect("a region"),
            Err(_) => {}
        }
    }
    assert!(held(&host) + size <= before, "nobody was given what is held back");
    host.check();
    exhaust(&mut host);
    host.check();
    assert_eq!(host.read(dense.space, dense.at(0)), 1);
}

/// A371: not by the request that finds no memory, which is refused; it is met afterwards.
fn with_a_limit_they_are_given_up_between_requests(target: Target) {
    let (mut host, dense) = with_large(target);
    host.vmm.limit_compaction(64);
    exhaust(&mut host);
    assert_eq!(dense.pages(&host), (2 * dense.per_large, dense.per_large));
    assert!(host.vmm.compaction_is_due());
    let mut calls = 0;
    while host.vmm.compact_further(64).expect("nothing is refused") {
        calls += 1;
        assert!(calls < 10, "it comes to an end");
    }
    assert_eq!(dense.pages(&host), (dense.per_large + used(&dense).len(), 0));
    assert_ne!(host.vmm.stats().reclaimed_pages, 0);
    // Once there is none left, what is refused is refused for good.
    let mut rounds = 0;
    while !host.vmm.compaction_is_due() || rounds == 0 {
        exhaust(&mut host);
        while host.vmm.compact_further(64).expect("nothing is refused") {}
        rounds += 1;
        assert!(rounds < 10, "it comes to an end");
        if host.vmm.map(host.own(), &RegionOptions::new(1)).is_err() {
            break;
        }
    }
    assert!(!host.vmm.compaction_is_due());
    host.vmm.map(host.own(), &RegionOptions::new(1)).expect_err("memory is out");
    assert_holds(&mut host, &dense, &[]);
}

/// A369: each call refused, once and from then on.
fn nothing_is_lost_where_the_kernel_refuses(target: Target) {
    for all in [false, true] {
        let (mut nth, mut kept) = (1, 0);
        loop {
            let (mut host, dense) = with_large(target);
            host.vmm.limit_compaction(64);
            exhaust(&mut host);
            let before = host.kernel().injected_failures();
            match all {
                false => host.kernel().fail_nth(nth, KernelError::IllegalOperation),
                true => host.kernel().fail_from(nth, KernelError::IllegalOperation),
            }
            while host.vmm.compact_further(64).expect("no error of the caller's") {}
            host.kernel().disarm();
            let refused = host.kernel().injected_failures() != before;
            host.vmm.validate().expect("what could not be undone is recorded");
            if all {
                host.vmm.trim().expect("nothing is refused any more");
            }
            kept += usize::from(dense.pages(&host).1 != 0);
            assert_holds(&mut host, &dense, &[]);
            if !refused {
                assert_eq!(dense.pages(&host).1, 0);
                break;
            }
            nth += 1;
        }
        assert!(kept > 5, "it was refused {kept} times");
    }
}

/// A212, for a page that is given up: a thread writes to it all the while; to the first once it was
/// seen to hold zeros.
fn no_write_is_lost_of_a_page_that_is_given_up(target: Target) {
    for page in [0, 3, 100, 200] {
        let (mut host, dense) = with_large(target);
        let (at, vspace) = (dense.at(dense.per_large + page), host.vmm.vspace(dense.space));
        host.kernel().write_beside(vspace.expect("a space"), at);
        exhaust(&mut host);
        let written = host.kernel().written_beside();
        assert_ne!(written, 0, "it was looked at");
        assert_eq!(host.words(dense.space, at)[0], written, "page {page}");
        host.check();
    }
}

/// A371: once no large page is left that could be given up, and before: it is free, and the last
/// that is to be had.
fn what_was_held_back_for_it_is_free_memory(target: Target) {
    let (mut host, dense) = with_large(target);
    let held = host.vmm.stats().allocator.held_bytes;
    assert!(held >= 16 * PAGE, "{held} bytes are held back");
    // More than half of it is in use: so it stays.
    for page in dense.per_large..2 * dense.per_large {
        host.write(dense.space, dense.at(page), page as u64 + 1);
    }
    exhaust(&mut host);
    assert_eq!(dense.pages(&host).1, dense.per_large);
    assert!(host.vmm.stats().free_bytes() < 16 * PAGE, "{}", host.vmm.stats());
    assert_holds(&mut host, &dense, &[]);
    // Where memory came back, it is held back again, by who tidies up or has nothing else to do.
    for idle in [false, true] {
        let (mut host, dense) = with_large(target);
        let pages = dense.per_large..2 * dense.per_large;
        pages.for_each(|page| host.write(dense.space, dense.at(page), page as u64 + 1));
        let mut ballast = exhaust(&mut host);
        let all = ballast.pages;
        ballast.shrink(&mut host, all);
        assert!(host.vmm.stats().allocator.held_bytes < 16 * PAGE);
        match idle {
            false => host.vmm.trim().expect("nothing is refused"),
            true => while host.vmm.promote_further(64).expect("nothing is refused") {},
        }
        assert!(host.vmm.stats().allocator.held_bytes >= 16 * PAGE, "{}", host.vmm.stats());
        host.check();
    }
    // Given back by `trim` where the large page is gone.
    let (mut host, dense) = with_large(target);
    host.vmm.release(dense.region).expect("a region");
    host.vmm.trim().expect("nothing is refused");
    assert_eq!(host.vmm.stats().allocator.held_bytes, 0);
    host.check();
}
