// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that are made of small ones in the background, a few at a time.
//!
//! Checks A212, A326 to A331, I61 and I62 of `MODEL.md`.

use untyped_alloc::{Invocation, KernelError};
use vmm::{
    Access, Backing, Blueprint, PageFault, PageSize, Pages, Placement, RegionId, RegionOptions,
    Resolution, Rights, ShareOptions, SpaceId,
};

use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    dense_memory_becomes_large,
    what_is_not_for_it_stays_small,
    a_step_is_bounded,
    touches_meanwhile_are_served,
    no_write_is_lost,
    what_is_touched_too_often_is_left,
    any_call_may_be_refused,
    it_is_given_up_where_memory_is_short,
    it_begins_where_memory_is_plenty,
    memory_comes_back_when_its_space_ends,
);

/// Large pages of a region on demand that are all there, in small ones, page n filled with n + 1.
pub(super) struct Dense {
    pub(super) space: SpaceId,
    pub(super) region: RegionId,
    pub(super) start: usize,
    pub(super) pages: usize,
}

impl Dense {
    pub(super) fn new(host: &mut Fixture<'_>, large: usize) -> Dense {
        Dense::with(host, large, |options| options)
    }

    fn with(
        host: &mut Fixture<'_>,
        large: usize,
        options: impl Fn(RegionOptions) -> RegionOptions,
    ) -> Dense {
        let space = new_space(host);
        Dense::within(host, space, large, options)
    }

    fn within(
        host: &mut Fixture<'_>,
        space: SpaceId,
        large: usize,
        options: impl Fn(RegionOptions) -> RegionOptions,
    ) -> Dense {
        let bits = host.target().large_bits();
        let (pages, start) = (large << (bits - 12), 0x4000_0000);
        let lazy = RegionOptions::new(pages).at(start).page_size(PageSize::Auto);
        let lazy = options(lazy.backed(Backing::OnDemand { around: 1 }));
        let region = host.vmm.reserve(space, &lazy).expect("addresses");
        let dense = Dense { space, region, start: region.start().bits(), pages };
        for page in 0..pages {
            // One by one: all at once would come in large pages.
            host.vmm.populate(space, Pages::at(dense.at(page))).expect("memory");
            host.write(space, dense.at(page), page as u64 + 1);
        }
        assert_eq!(host.vmm.large_pages_in(region), Ok(0));
        dense
    }

    pub(super) fn at(&self, page: usize) -> usize {
        self.start + page * PAGE
    }

    /// A thread touches a page that may be mapped or not: it is then.
    #[track_caller]
    pub(super) fn touch(&self, host: &mut Fixture<'_>, page: usize, access: Access) {
        let (vspace, address) = (host.vmm.vspace(self.space).expect("a space"), self.at(page));
        if host.kernel().mapping(vspace, address).is_some() {
            return;
        }
        let fault = PageFault { address, access, present: false, ip: 0x1000 };
        let resolution = host.vmm.resolve_fault(self.space, &fault).expect("memory");
        assert!(matches!(resolution, Resolution::Resolved(_)), "page {page}: {resolution:?}");
    }

    /// A thread writes to a page.
    #[track_caller]
    pub(super) fn write(&self, host: &mut Fixture<'_>, page: usize, tag: u64) {
        self.touch(host, page, Access::Write);
        host.write(self.space, self.at(page), tag);
    }

    /// A thread finds this in a page.
    #[track_caller]
    pub(super) fn assert_holds(&self, host: &mut Fixture<'_>, page: usize, tag: u64) {
        self.touch(host, page, Access::Read);
        assert_eq!(host.read(self.space, self.at(page)), tag, "page {page}");
    }

    #[track_caller]
    fn assert_all_hold(&self, host: &mut Fixture<'_>) {
        (0..self.pages).for_each(|page| self.assert_holds(host, page, page as u64 + 1));
        host.check();
    }
}

/// Steps until there is no more to do; how many.
pub(super) fn run(host: &mut Fixture<'_>) -> usize {
    for steps in 1..10_000 {
        if !host.vmm.promote_further(64).expect("nothing is refused") {
            return steps;
        }
        host.check();
    }
    panic!("it does not end");
}

/// Steps until a promotion has copied some pages, and not all.
pub(super) fn run_into_it(host: &mut Fixture<'_>, pieces: usize) {
    while !host.vmm.promotion_is_under_way() {
        assert!(host.vmm.promote_further(64).expect("nothing is refused"), "it is to begin");
    }
    for _ in 0..pieces {
        assert!(host.vmm.promote_further(64).expect("nothing is refused"));
    }
    assert!(host.vmm.promotion_is_under_way());
    host.check();
}

/// A326.
fn dense_memory_becomes_large(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = Dense::new(&mut host, 2);
    let last = dense.at(dense.pages / 2 + 9);
    host.vmm
        .protect(
            dense.space,
            Pages::at(dense.at(dense.pages / 2)).count(dense.pages / 2),
            Rights::READ,
        )
        .expect("mapped");
    let mapped = host.vmm.space_stats(dense.space).expect("a space").mapped_pages;
    run(&mut host);
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages));
    assert_eq!(host.vmm.space_stats(dense.space).expect("a space").mapped_pages, mapped);
    let rights = |at| host.vmm.mapping_at(dense.space, at).unwrap().unwrap().rights;
    assert_eq!((rights(last), rights(dense.start)), (Rights::READ, Rights::READ_WRITE));
    dense.assert_all_hold(&mut host);
    assert_eq!(host.vmm.promote_further(64), Ok(false), "all are large");
    // And they are large pages like others.
    host.vmm.protect(dense.space, Pages::at(dense.at(3)), Rights::READ).expect("memory");
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages / 2));
    dense.assert_all_hold(&mut host);
    run(&mut host);
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages / 2), "two kinds of pages");
    host.vmm.release(dense.region).expect("a region");
    host.check();
}

/// A326: each of the conditions.
fn what_is_not_for_it_stays_small(target: Target) {
    type Spoils = fn(&mut Fixture<'_>, &Dense);
    let spoils: [(&str, Spoils); 7] = [
        ("nothing", |_, _| ()),
        ("a page is missing", |host, dense| {
            host.vmm.unmap(dense.space, Pages::at(dense.at(5))).expect("mapped");
        }),
        ("a page has other rights", |host, dense| {
            host.vmm.protect(dense.space, Pages::at(dense.at(5)), Rights::READ).expect("mapped");
        }),
        ("a share", |host, dense| {
            let (to, page) = (new_space(host), Pages::at(dense.at(3)));
            host.vmm.share(dense.space, page, to, &ShareOptions::new()).expect("memory");
        }),
        ("a clone", |host, dense| {
            let to = new_space(host);
            host.vmm.clone_region(dense.region, to, Placement::at(dense.start)).expect("memory");
        }),
        ("a physical address", |host, dense| {
            host.vmm.physical_address(dense.space, dense.at(3)).expect("mapped");
        }),
        ("a capability", |host, dense| {
            let page = host.vmm.mapping_at(dense.space, dense.at(3)).unwrap().unwrap();
            let slot = host.vmm.alloc_slots(1).expect("a slot");
            let to = host.vmm.allocator().path(slot);
            host.vmm.copy_cap(to, page.frame, Rights::READ).expect("a copy");
        }),
    ];
    for (why, spoil) in spoils {
        let mut host = Fixture::roomy(target);
        let dense = Dense::new(&mut host, 1);
        spoil(&mut host, &dense);
        run(&mut host);
        let expected = if why == "nothing" { dense.pages } else { 0 };
        assert_eq!(host.vmm.large_pages_in(dense.region), Ok(expected), "{why}");
        host.check();
    }
    type Likes = fn(RegionOptions) -> RegionOptions;
    let likes: [Likes; 4] = [
        |options| options.page_size(PageSize::Small),
        |options| options.movable(false),
        |options| options.backed(Backing::Explicit),
        |options| options.at(0x4000_0000 + 5 * PAGE),
    ];
    for (number, like) in likes.into_iter().enumerate() {
        let mut host = Fixture::roomy(target);
        let dense = Dense::with(&mut host, 1, like);
        run(&mut host);
        assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0), "{number}");
    }
    // Nor in the manager's own space, nor in stores.
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let dense = Dense::within(&mut host, own, 1, |options| options);
    run(&mut host);
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0));
    host.check();
}

/// A327.
fn a_step_is_bounded(target: Target) {
    for direct in [false, true] {
        let mut host = Fixture::roomy(target);
        if direct {
            host.vmm.make_direct_map().expect("memory");
        }
        let dense = Dense::new(&mut host, 1);
        let (mut copies, mut most, mut all) = (0, 0, 0);
        loop {
            let before = host.vmm.kernel_calls();
            let more = host.vmm.promote_further(48).expect("nothing is refused");
            let calls = host.vmm.kernel_calls().since(&before);
            most = most.max(calls.total());
            all += calls.total();
            let unmapped = calls.of(Invocation::PageUnmap);
            copies += usize::from(unmapped > 5);
            assert!(calls.total() <= 3 * 48 + 8, "{calls:?}");
            if !more {
                break;
            }
        }
        assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages));
        assert_eq!(copies, dense.pages.div_ceil(48));
        let each = if direct { 1 } else { 3 };
        assert!(all as usize >= each * dense.pages, "{all}");
        assert!((all as usize) < each * dense.pages + 40 + 2 * usize::from(direct) * dense.pages);
        dense.assert_all_hold(&mut host);
    }
}

/// A328: at each step, pages that are copied, and pages that are not.
fn touches_meanwhile_are_served(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = Dense::new(&mut host, 1);
    let mut holds: Vec<u64> = (1..).take(dense.pages).collect();
    run_into_it(&mut host, 0);
    let mut step = 0;
    while host.vmm.promotion_is_under_way() {
        for (number, page) in [step * 64, step * 61 + 3, dense.pages - 1].into_iter().enumerate() {
            if step < 7 {
                let page = page % dense.pages;
                dense.assert_holds(&mut host, page, holds[page]);
                holds[page] += 10_000 + number as u64;
                dense.write(&mut host, page, holds[page]);
                host.check();
            }
        }
        host.vmm.promote_further(64).expect("nothing is refused");
        host.check();
        step += 1;
    }
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages));
    for (page, &tag) in holds.iter().enumerate() {
        dense.assert_holds(&mut host, page, tag);
    }
}

/// A212, for a page that is promoted in the background.
fn no_write_is_lost(target: Target) {
    let small = 1 << (target.large_bits() - 12);
    for page in [0, 63, small / 2, small - 1] {
        let mut host = Fixture::roomy(target);
        let dense = Dense::new(&mut host, 1);
        run_into_it(&mut host, 0);
        // They are all away, so it is touched first.
        dense.touch(&mut host, page, Access::Write);
        let vspace = host.vmm.vspace(dense.space).expect("a space");
        host.kernel().write_beside(vspace, dense.at(page));
        while host.vmm.promotion_is_under_way() {
            host.vmm.promote_further(64).expect("nothing is refused");
        }
        assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages));
        let written = host.kernel().written_beside();
        let expected = if written == 0 { page as u64 + 1 } else { written };
        assert_eq!(host.words(dense.space, dense.at(page))[0], expected, "page {page}");
    }
}

/// A328: it ends, and all is small as before.
fn what_is_touched_too_often_is_left(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = Dense::new(&mut host, 1);
    run_into_it(&mut host, 0);
    let mut steps = 0;
    while host.vmm.promotion_is_under_way() {
        (0..dense.pages).for_each(|page| dense.touch(&mut host, page, Access::Write));
        host.vmm.promote_further(64).expect("nothing is refused");
        steps += 1;
        assert!(steps <= 2 * dense.pages / 64 + 1, "it does not end");
    }
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0));
    dense.assert_all_hold(&mut host);
    // The round goes on behind it; the next one may find it idle.
    run(&mut host);
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0));
    run(&mut host);
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages));
    dense.assert_all_hold(&mut host);
}

/// A330: each call refused, once and from then on.
fn any_call_may_be_refused(target: Target) {
    for all in [false, true] {
        let (mut nth, mut refused) = (1, 0);
        loop {
            let mut host = Fixture::roomy(target);
            let dense = Dense::new(&mut host, 1);
            let before = host.kernel().injected_failures();
            match all {
                false => host.kernel().fail_nth(nth, KernelError::IllegalOperation),
                true => host.kernel().fail_from(nth, KernelError::IllegalOperation),
            }
            let mut steps = 0;
            while let Ok(true) = host.vmm.promote_further(64) {
                steps += 1;
            }
            assert!(steps < 100);
            host.kernel().disarm();
            if host.kernel().injected_failures() == before {
                break;
            }
            refused += 1;
            host.vmm.validate().expect("what could not be undone is recorded");
            // Touches come before anybody tidies up.
            (0..dense.pages).for_each(|page| dense.touch(&mut host, page, Access::Read));
            if all {
                host.vmm.trim().expect("nothing is refused any more");
            }
            host.check();
            dense.assert_all_hold(&mut host);
            run(&mut host);
            run(&mut host);
            assert_eq!(host.vmm.large_pages_in(dense.region), Ok(dense.pages), "call {nth}");
            dense.assert_all_hold(&mut host);
            nth += 1 + nth / 3;
        }
        assert!(refused > 10, "refused {refused} times");
    }
}

/// A machine with so many blocks of the size of a large page, and smaller ones for a large page
/// in small ones.
fn with_blocks(target: Target, large: usize) -> Fixture<'static> {
    let bits = target.large_bits();
    let ram = (0..large).map(|number| (0x400_0000 + (number << bits), bits));
    let small = (0..3).map(|number| (0x200_0000 + (number << (bits - 1)), bits - 1));
    Fixture::new(Machine::with_ram(target, ram.chain(small).collect()))
}

/// A machine with memory for so many large pages, and a little more.
fn with_large(target: Target, large: usize) -> Fixture<'static> {
    let bits = target.large_bits();
    let ram = (0..large).map(|number| (0x400_0000 + (number << bits), bits));
    Fixture::new(Machine::with_ram(target, ram.chain([(0x100_0000, 20)]).collect()))
}

/// A331: a request that finds no memory has that of the large page.
fn it_is_given_up_where_memory_is_short(target: Target) {
    let mut host = with_large(target, 3);
    let (dense, bits) = (Dense::new(&mut host, 1), target.large_bits());
    run_into_it(&mut host, 2);
    let own = host.own();
    let large = RegionOptions::new(dense.pages).page_size(PageSize::Large { bits });
    while host.vmm.promotion_is_under_way() {
        host.vmm.map(own, &large).expect("memory that is not in use");
        host.check();
    }
    assert_eq!(host.vmm.promote_further(64), Ok(false), "there is no memory to spare");
    assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0));
    dense.assert_all_hold(&mut host);
}

/// A331: as much again stays free.
fn it_begins_where_memory_is_plenty(target: Target) {
    for (large, begins) in [(1, false), (2, true)] {
        let mut host = with_blocks(target, large);
        // They are held meanwhile, so that the small pages come of the other blocks.
        let (own, bits) = (host.own(), target.large_bits());
        let whole = RegionOptions::new(1 << (bits - 12)).page_size(PageSize::Large { bits });
        let held: Vec<_> =
            (0..large).map(|_| host.vmm.map(own, &whole).expect("a block")).collect();
        let dense = Dense::new(&mut host, 1);
        held.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
        while !host.vmm.promotion_is_under_way() {
            if !host.vmm.promote_further(64).expect("nothing is refused") {
                break;
            }
        }
        assert_eq!(host.vmm.promotion_is_under_way(), begins, "{large}");
        assert!(host.vmm.stats().free_bytes() >> target.large_bits() != 0, "{large}");
        run(&mut host);
        dense.assert_all_hold(&mut host);
    }
}

/// A329: a region, or a whole space, that ends.
fn memory_comes_back_when_its_space_ends(target: Target) {
    for whole in [false, true] {
        let mut host = Fixture::roomy(target);
        let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory");
        host.vmm.free(tcb).expect("an object");
        host.vmm.trim().expect("nothing is refused");
        let free = host.vmm.stats().free_bytes();
        let dense = Dense::new(&mut host, 2);
        run_into_it(&mut host, 3);
        if !whole {
            host.vmm.release(dense.region).expect("a region");
        }
        host.check();
        host.vmm.destroy_space(dense.space).expect("idle");
        host.spaces.retain(|&space| space != dense.space);
        host.check();
        run(&mut host);
        assert!(!host.vmm.promotion_is_under_way());
        host.check();
        host.vmm.trim().expect("nothing is refused");
        let kept = free - host.vmm.stats().free_bytes();
        assert!(kept <= 32 * PAGE, "{kept} bytes are gone");
    }
}
