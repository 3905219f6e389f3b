// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that nobody asked for page by page: brought by touches, and made of small ones.
//!
//! Checks A112, A118, A119, A210 and A212 of `MODEL.md`.

use untyped_alloc::KernelError;
use vmm::{
    Access, Backing, PageFault, PageSize, Pages, Placement, Quota, RegionId, RegionOptions,
    Resolution, Rights, SpaceId,
};

use super::cuts::refuse_from_remap;
use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    dense_touches_bring_large_pages,
    a_touch_brings_small_pages_where_a_large_one_has_no_place,
    a_refused_large_page_is_a_small_one,
    what_touches_brought_is_cut_and_cloned_as_any,
    a_region_for_large_pages_is_aligned_where_it_can_be,
    small_pages_become_large_ones,
    what_must_stay_is_not_promoted,
    promotion_is_done_or_undone,
    no_write_is_lost_in_promotion,
    told_addresses_stay_where_a_page_was_cut_in_vain,
);

/// A region on demand for this many large pages, at an aligned address, in a space of its own.
pub(super) struct Dense {
    pub space: SpaceId,
    pub region: RegionId,
    pub start: usize,
    pub per_large: usize,
}

impl Dense {
    pub(super) fn new(host: &mut Fixture<'_>, large: usize, around: u8) -> Dense {
        Dense::with(host, large, around, PageSize::Auto)
    }

    fn with(host: &mut Fixture<'_>, large: usize, around: u8, size: PageSize) -> Dense {
        let (space, bits) = (new_space(host), host.target().large_bits());
        let (per_large, start) = (1 << (bits - 12), 4 << bits);
        let options = RegionOptions::new(large * per_large).at(start).page_size(size);
        let region = host.vmm.reserve(space, &options.backed(Backing::OnDemand { around }));
        Dense { space, region: region.expect("addresses"), start, per_large }
    }

    pub(super) fn at(&self, page: usize) -> usize {
        self.start + page * PAGE
    }

    /// Touches one page for writing, which must be resolved.
    pub(super) fn touch(&self, host: &mut Fixture<'_>, page: usize) {
        let address = self.at(page) + 8;
        let fault = PageFault { address, access: Access::Write, present: false, ip: 0x1000 };
        let resolution = host.vmm.resolve_fault(self.space, &fault).expect("memory");
        assert!(matches!(resolution, Resolution::Resolved(_)), "page {page}: {resolution:?}");
        assert!(host.vmm.mapping_at(self.space, address).expect("a space").is_some());
    }

    /// Touches those of a large page's that are not there, and writes to each.
    pub(super) fn fill(&self, host: &mut Fixture<'_>, large: usize) {
        for page in large * self.per_large..(large + 1) * self.per_large {
            if host.vmm.mapping_at(self.space, self.at(page)).expect("a space").is_none() {
                self.touch(host, page);
            }
            host.write(self.space, self.at(page), page as u64 + 1);
        }
    }

    /// How many of its pages are there, and how many of those in large ones.
    pub(super) fn pages(&self, host: &Fixture<'_>) -> (usize, usize) {
        let all = host.vmm.space_summary(self.space).expect("a space").mapped_pages;
        (all, host.vmm.large_pages_in(self.region).expect("a region"))
    }
}

/// A118: upwards, downwards, in between, page by page and sixteen at a time.
fn dense_touches_bring_large_pages(target: Target) {
    for around in [1, 16] {
        for (first, then) in [(0, [1, 2]), (2, [1, 0]), (1, [2, 0])] {
            let mut host = Fixture::roomy(target);
            let dense = Dense::new(&mut host, 3, around);
            let per_large = dense.per_large;
            dense.fill(&mut host, first);
            assert_eq!(dense.pages(&host), (per_large, 0), "the first is of small ones");
            for (count, large) in then.into_iter().enumerate() {
                // Not its first page: any will do.
                dense.touch(&mut host, large * per_large + 7);
                let in_large = (count + 1) * per_large;
                assert_eq!(dense.pages(&host), (per_large + in_large, in_large));
                for page in [0, 7, per_large - 1] {
                    assert_eq!(host.read(dense.space, dense.at(large * per_large + page)), 0);
                }
                host.check();
            }
            // What was there is as it was.
            for page in first * per_large..(first + 1) * per_large {
                assert_eq!(host.read(dense.space, dense.at(page)), page as u64 + 1);
            }
            host.vmm.release(dense.region).expect("a region");
            host.check();
        }
    }
}

/// A118: each of the conditions, without which the same touch brings a large page.
fn a_touch_brings_small_pages_where_a_large_one_has_no_place(target: Target) {
    type Spoils = fn(&mut Fixture<'_>, &Dense);
    let spoils: [(&str, Spoils); 6] = [
        ("nothing", |_, _| ()),
        ("a page before it is missing", |host, dense| {
            host.vmm.unmap(dense.space, Pages::at(dense.at(dense.per_large / 2))).expect("mapped");
        }),
        ("a page of it is there", |host, dense| {
            let page = Pages::at(dense.at(dense.per_large + 100));
            host.vmm.populate(dense.space, page).expect("memory");
        }),
        ("the quota has not so much left", |host, dense| {
            let frames = 2 * dense.per_large - 1;
            host.vmm.set_quota(dense.space, Quota { frames, ..Quota::UNLIMITED }).expect("more");
        }),
        ("no memory of that size is free", |host, dense| {
            let (own, pages) = (host.own(), dense.per_large);
            let large = PageSize::Large { bits: host.target().large_bits() };
            while host.vmm.map(own, &RegionOptions::new(pages).page_size(large)).is_ok() {}
        }),
        ("it is the end of the region", |host, dense| {
            let upper = host.vmm.split_region(dense.region, 2 * dense.per_large - 1);
            host.vmm.release(upper.expect("a region")).expect("a region");
        }),
    ];
    for (why, spoil) in spoils {
        let mut host = Fixture::roomy(target);
        let dense = Dense::new(&mut host, 2, 1);
        dense.fill(&mut host, 0);
        spoil(&mut host, &dense);
        let (before, _) = dense.pages(&host);
        dense.touch(&mut host, dense.per_large + 7);
        let expected = match why {
            "nothing" => (before + dense.per_large, dense.per_large),
            _ => (before + 1, 0),
        };
        assert_eq!(dense.pages(&host), expected, "{why}");
        host.check();
    }
    // Nor where it was not asked for, nor where nothing is beside it.
    for (size, fill) in [(PageSize::Small, true), (PageSize::Auto, false)] {
        let mut host = Fixture::roomy(target);
        let dense = Dense::with(&mut host, 2, 1, size);
        if fill {
            dense.fill(&mut host, 0);
        }
        dense.touch(&mut host, dense.per_large);
        assert_eq!(dense.pages(&host).1, 0);
    }
}

/// A118: any kernel call of it is refused, and the touch is resolved all the same.
fn a_refused_large_page_is_a_small_one(target: Target) {
    let mut small = 0;
    for nth in 1.. {
        let mut host = Fixture::roomy(target);
        let dense = Dense::new(&mut host, 2, 1);
        dense.fill(&mut host, 0);
        host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        dense.touch(&mut host, dense.per_large);
        if host.kernel().disarm() {
            break;
        }
        host.check();
        small += usize::from(dense.pages(&host).1 == 0);
    }
    assert!(small != 0, "the large page was never refused");
}

/// A118: they are large pages like others.
fn what_touches_brought_is_cut_and_cloned_as_any(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = Dense::new(&mut host, 2, 1);
    dense.fill(&mut host, 0);
    dense.fill(&mut host, 1);
    let (space, per_large) = (dense.space, dense.per_large);
    assert_eq!(dense.pages(&host), (2 * per_large, per_large));
    host.vmm.protect(space, Pages::at(dense.at(per_large + 3)), Rights::READ).expect("memory");
    assert_eq!(dense.pages(&host), (2 * per_large, 0));
    let clone = host.vmm.clone_space(space).expect("memory");
    host.spaces.push(clone);
    for page in 0..2 * per_large {
        assert_eq!(host.read(clone, dense.at(page)), page as u64 + 1);
    }
    host.check();
}

/// A112: aligned if there is such a place, and elsewhere if there is none.
fn a_region_for_large_pages_is_aligned_where_it_can_be(target: Target) {
    let mut host = Fixture::roomy(target);
    let (space, bits) = (new_space(&mut host), target.large_bits());
    let per_large = 1 << (bits - 12);
    let plain = RegionOptions::new(per_large).page_size(PageSize::Auto);
    // Two holes: a tighter one that is not aligned, and one that is.
    let around = RegionOptions::new(5 * per_large).at(8 << bits);
    let around = host.vmm.create_reservation(space, &around).expect("addresses");
    let (first, wall) = (8 << bits, (8 << bits) + (per_large + 9) * PAGE);
    for (at, pages) in [(first, 5), (wall, 3)] {
        let wall = RegionOptions::new(pages).at(at).inside(around);
        host.vmm.reserve(space, &wall).expect("addresses");
    }
    let start = |host: &mut Fixture<'_>, options: &RegionOptions| {
        let region = host.vmm.reserve(space, &options.inside(around)).expect("addresses");
        region.start().bits()
    };
    let aligned = start(&mut host, &plain.guarded(1, 0)) + PAGE;
    assert_eq!(aligned % (1 << bits), 0);
    // Two more, and then one where no large page fits.
    let mut starts = Vec::new();
    while let Ok(region) = host.vmm.reserve(space, &plain.inside(around)) {
        starts.push((region.start().bits(), region));
    }
    let tight = first + 5 * PAGE;
    assert_eq!(
        starts.iter().map(|&(at, _)| at % (1 << bits)).collect::<Vec<_>>(),
        [0, 0, 5 * PAGE]
    );
    let (at, region) = starts[2];
    assert_eq!(at, tight);
    host.vmm.release(region).expect("a region");
    // A page less is no large page, and goes there too.
    let shorter = RegionOptions::new(per_large - 1).page_size(PageSize::Auto);
    assert_eq!(start(&mut host, &shorter), tight);
    host.check();
}

/// A region of small pages in its own space, page n filled with n + 1.
fn tagged(
    host: &mut Fixture<'_>,
    large: usize,
    options: fn(RegionOptions) -> RegionOptions,
) -> Dense {
    let (space, bits) = (new_space(host), host.target().large_bits());
    let (per_large, start) = (1 << (bits - 12), 4 << bits);
    let plain = RegionOptions::new(large * per_large).at(start);
    let region = host.vmm.map(space, &options(plain)).expect("memory");
    let made = Dense { space, region, start, per_large };
    (0..large * per_large).for_each(|page| host.write(space, made.at(page), page as u64 + 1));
    made
}

impl Dense {
    fn promote(&self, host: &mut Fixture<'_>) -> vmm::Result<usize> {
        let pages = host.vmm.region_info(self.region).expect("a region").usable().pages();
        host.vmm.promote(self.space, Pages::at(self.start).count(pages))
    }

    #[track_caller]
    fn assert_holds(&self, host: &Fixture<'_>, large: usize) {
        for page in 0..large * self.per_large {
            assert_eq!(host.read(self.space, self.at(page)), page as u64 + 1, "page {page}");
        }
        host.check();
    }
}

/// A119: those of which all is there, with what they hold and their rights; the rest stays.
fn small_pages_become_large_ones(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = tagged(&mut host, 3, |plain| plain);
    let (space, per_large) = (dense.space, dense.per_large);
    let (second, third) = (dense.at(per_large), dense.at(2 * per_large));
    host.vmm.protect(space, Pages::at(second).count(per_large), Rights::READ).expect("mapped");
    host.vmm.protect(space, Pages::at(third + 5 * PAGE), Rights::READ).expect("mapped");
    assert_eq!(dense.promote(&mut host), Ok(2), "the third has two kinds of pages");
    assert_eq!(dense.pages(&host), (3 * per_large, 2 * per_large));
    dense.assert_holds(&host, 3);
    let rights = |host: &Fixture<'_>, at| host.vmm.mapping_at(space, at).unwrap().unwrap().rights;
    assert_eq!(rights(&host, second + 9 * PAGE), Rights::READ);
    assert_eq!(rights(&host, dense.start), Rights::READ_WRITE);
    // Alike again, and asked for from the midst of the second on.
    host.vmm.protect(space, Pages::at(third), Rights::READ_WRITE).expect("mapped");
    host.vmm.protect(space, Pages::at(third + 5 * PAGE), Rights::READ_WRITE).expect("mapped");
    let rest = Pages::at(second + PAGE).count(2 * per_large - 1);
    assert_eq!(host.vmm.promote(space, rest), Ok(1));
    assert_eq!(dense.pages(&host), (3 * per_large, 3 * per_large));
    assert_eq!(host.vmm.promote(space, rest), Ok(0), "they are large");
    dense.assert_holds(&host, 3);
    // Less than a large page, and with a hole.
    let less = Pages::at(dense.start).count(per_large - 1);
    assert_eq!(host.vmm.promote(space, less), Ok(0));
    host.vmm.unmap(space, Pages::at(third + PAGE)).expect("memory");
    assert_eq!(host.vmm.promote(space, rest), Ok(0));
    host.check();
}

/// A119: shared, under copy-on-write, told, not movable.
fn what_must_stay_is_not_promoted(target: Target) {
    type Holds = fn(&mut Fixture<'_>, &Dense);
    let holds: [(&str, Holds); 4] = [
        ("nothing", |_, _| ()),
        ("a share", |host, dense| {
            let (to, page) = (new_space(host), Pages::at(dense.at(3)));
            let options = vmm::ShareOptions::new();
            host.vmm.share(dense.space, page, to, &options).expect("memory");
        }),
        ("a clone", |host, dense| {
            let to = new_space(host);
            let place = Placement::at(dense.start);
            host.vmm.clone_region(dense.region, to, place).expect("memory");
        }),
        ("a physical address", |host, dense| {
            host.vmm.physical_address(dense.space, dense.at(3)).expect("mapped");
        }),
    ];
    for (why, hold) in holds {
        let mut host = Fixture::roomy(target);
        let dense = tagged(&mut host, 1, |plain| plain);
        hold(&mut host, &dense);
        assert_eq!(dense.promote(&mut host), Ok(usize::from(why == "nothing")), "{why}");
        dense.assert_holds(&host, 1);
    }
    let mut host = Fixture::roomy(target);
    let dense = tagged(&mut host, 1, |plain| plain.movable(false));
    assert_eq!(dense.promote(&mut host), Ok(0));
    let mut host =
        Fixture::new(Machine::with_ram(target, vec![(0x100_0000, target.large_bits() + 1)]));
    let dense = tagged(&mut host, 1, |plain| plain);
    let own = host.own();
    while host.vmm.map(own, &RegionOptions::new(1)).is_ok() {}
    let refused = dense.promote(&mut host).expect_err("no memory for a large page");
    assert!(matches!(refused, vmm::Error::Allocator(_)), "{refused:?}");
    dense.assert_holds(&host, 1);
}

/// A119: each call refused, once and from then on.
fn promotion_is_done_or_undone(target: Target) {
    for all in [false, true] {
        let (mut nth, mut refused) = (1, 0);
        loop {
            let mut host = Fixture::roomy(target);
            let dense = tagged(&mut host, 1, |plain| plain);
            let before = host.kernel().injected_failures();
            match all {
                false => host.kernel().fail_nth(nth, KernelError::IllegalOperation),
                true => host.kernel().fail_from(nth, KernelError::IllegalOperation),
            }
            let promoted = dense.promote(&mut host);
            host.kernel().disarm();
            if host.kernel().injected_failures() == before {
                assert_eq!(promoted, Ok(1));
                break;
            }
            host.vmm.validate().expect("what could not be undone is recorded");
            if all {
                host.vmm.trim().expect("nothing is refused any more");
            }
            if promoted.is_err() {
                refused += 1;
                assert_eq!(dense.pages(&host), (dense.per_large, 0));
            }
            dense.assert_holds(&host, 1);
            nth += 1 + nth / 3;
        }
        assert!(refused > 10, "refused {refused} times");
    }
}

/// A212, for a page that is promoted.
fn no_write_is_lost_in_promotion(target: Target) {
    let small = 1 << (target.large_bits() - 12);
    for page in [0, small / 2, small - 1] {
        let mut host = Fixture::roomy(target);
        let dense = tagged(&mut host, 1, |plain| plain);
        let (at, vspace) = (dense.at(page), host.vmm.vspace(dense.space));
        host.kernel().write_beside(vspace.expect("a space"), at);
        assert_eq!(dense.promote(&mut host), Ok(1));
        let written = host.kernel().written_beside();
        let expected = if written == 0 { page as u64 + 1 } else { written };
        assert_eq!(host.words(dense.space, at)[0], expected, "page {page}");
    }
}

/// A210: a physical address that was told stays right, also where a later `trim` would have joined
/// the small pages around it.
fn told_addresses_stay_where_a_page_was_cut_in_vain(target: Target) {
    let mut host = Fixture::roomy(target);
    let (space, bits) = (new_space(&mut host), target.large_bits());
    let (pages, start) = (1 << (bits - 12), 4 << bits);
    let options = RegionOptions::new(pages).at(start).page_size(PageSize::Large { bits });
    let region = host.vmm.map(space, &options).expect("memory");
    let other = new_space(&mut host);
    // The last step of a clone is refused, and what would undo those before.
    refuse_from_remap(&mut host);
    host.vmm.clone_region(region, other, Placement::at(start)).expect_err("refused");
    host.kernel().disarm();
    assert_eq!(host.vmm.large_pages_in(region), Ok(0), "it was cut, and could not be joined");
    let told = host.vmm.physical_address(space, start + 5 * PAGE).expect("mapped");
    host.vmm.trim().expect("nothing is refused");
    assert_eq!(host.vmm.physical_address(space, start + 5 * PAGE), Ok(told));
    host.check();
}
