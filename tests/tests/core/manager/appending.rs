// SPDX-License-Identifier: BSD-2-Clause
//! Pages mapped one behind the other, and what comes in between.

use untyped_alloc::KernelError;
use vmm::{
    Access, Backing, Blame, Blueprint, Error, PageFault, Pages, Quota, RegionId, RegionOptions,
    Resolution, Result, Rights, ShareOptions, SpaceId, Vmm,
};
use vmm_tests::model::{CallKind, SharedModel};
use vmm_tests::support::{already_mapped, in_guard, outside_region};

use super::FREE;
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    page_after_page_is_as_pages_at_once,
    appending_ends_with_its_region,
    appending_ends_where_something_is_mapped,
    appending_ends_with_the_quota,
    a_refused_page_leaves_the_append_cursor_as_it_was,
    what_comes_between_is_seen,
    memory_that_others_take_is_not_mapped_twice,
    where_there_is_no_append_cursor_no_address_goes_on,
    a_kept_table_ahead_is_taken_into_use,
    a_heap_grows_and_shrinks_over_a_line_again_and_again,
);

type Manager<'a> = Vmm<'a, SharedModel<'a>>;

/// Maps the pages `from..to` of the region at [`FREE`], one call each. Nothing in between looks up
/// a space, so it is one run of the append cursor as far as it goes.
#[track_caller]
fn one_by_one(host: &mut Fixture<'_>, space: SpaceId, from: usize, to: usize) {
    for page in from..to {
        host.vmm.populate(space, Pages::at(FREE + page * PAGE)).expect("memory");
        host.vmm.validate().expect("I14, and all others");
    }
}

fn page_after_page_is_as_pages_at_once(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    // More than a batch of frames and than a page table has entries.
    let pages = 1100;
    host.vmm.reserve(own, &RegionOptions::new(pages).at(FREE)).expect("room");
    one_by_one(&mut host, own, 0, pages);
    let mapped = host.mappings(own);
    assert_eq!(mapped.len(), pages);
    for page in 0..pages {
        let mapping = mapped[&(FREE + page * PAGE)];
        assert_eq!((mapping.size_bits, mapping.rights), (12, Rights::READ_WRITE));
        assert_eq!(host.read(own, FREE + page * PAGE), 0);
    }
    assert_eq!(host.vmm.usage(own).expect("a space").frames, pages);
    host.assert_no_frame_twice(&[own]);
    host.check();
}

fn appending_ends_with_its_region(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(4).at(FREE).guarded(0, 1);
    host.vmm.reserve(own, &options).expect("room");
    host.vmm.reserve(own, &RegionOptions::new(4).at(FREE + 5 * PAGE)).expect("room");
    one_by_one(&mut host, own, 0, 4);
    let guard = FREE + 4 * PAGE;
    host.refuses(in_guard(guard), |vmm| vmm.populate(own, Pages::at(guard)));
    one_by_one(&mut host, own, 5, 9);
    let end = FREE + 9 * PAGE;
    host.refuses(outside_region(end), |vmm| vmm.populate(own, Pages::at(end)));
}

fn appending_ends_where_something_is_mapped(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(8).at(FREE)).expect("room");
    let ahead = FREE + 5 * PAGE;
    host.vmm.populate(own, Pages::at(ahead)).expect("memory");
    one_by_one(&mut host, own, 0, 5);
    host.refuses(already_mapped(ahead), |vmm| vmm.populate(own, Pages::at(ahead)));
    one_by_one(&mut host, own, 6, 8);
}

fn appending_ends_with_the_quota(target: Target) {
    let mut host = Fixture::small(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    host.vmm.reserve(space, &RegionOptions::new(8).at(FREE)).expect("room");
    host.vmm.set_quota(space, Quota { frames: 5, ..Quota::UNLIMITED }).expect("a space");
    one_by_one(&mut host, space, 0, 5);
    let resource = vmm::Resource::Frames;
    let error = Error::OutOfQuota { space, resource, limit: 5, used: 5, wanted: 1 };
    host.refuses(error, |vmm| vmm.populate(space, Pages::at(FREE + 5 * PAGE)));
}

fn a_refused_page_leaves_the_append_cursor_as_it_was(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(8).at(FREE)).expect("room");
    one_by_one(&mut host, own, 0, 4);
    let used = host.vmm.stats().free_bytes();
    for _ in 0..3 {
        host.kernel().fail_when(|kind| kind == CallKind::PageMap, KernelError::NotEnoughMemory);
        let refused = host.vmm.populate(own, Pages::at(FREE + 4 * PAGE));
        let code = KernelError::NotEnoughMemory;
        assert!(
            matches!(refused, Err(Error::Kernel { error, .. }) if error == code),
            "{refused:?}"
        );
        host.kernel().disarm();
        host.check();
        assert_eq!(host.vmm.stats().free_bytes(), used, "a frame was lost");
    }
    one_by_one(&mut host, own, 4, 8);
    assert_eq!(host.mappings(own).len(), 8);
}

/// Whatever is done between two pages of a append cursor, the second is mapped as if there were
/// none.
fn what_comes_between_is_seen(target: Target) {
    type Between = fn(&mut Manager<'_>, SpaceId, RegionId) -> Result;
    let between: &[(&str, Between)] = &[
        ("unmap the last", |vmm, space, _| vmm.unmap(space, Pages::at(FREE + 3 * PAGE))),
        ("unmap all", |vmm, space, _| vmm.unmap(space, Pages::at(FREE).count(4))),
        ("protect the last", |vmm, space, _| {
            vmm.protect(space, Pages::at(FREE + 3 * PAGE), Rights::READ)
        }),
        ("protect all", |vmm, space, _| vmm.protect(space, Pages::at(FREE).count(4), Rights::READ)),
        ("clone", |vmm, space, region| {
            let clone = RegionOptions::new(1).at(FREE + 64 * PAGE);
            vmm.clone_region(region, space, clone.placement()).map(|_| ())
        }),
        ("share the last", |vmm, space, _| {
            let options = ShareOptions::new().at(FREE + 64 * PAGE);
            vmm.share(space, Pages::at(FREE + 3 * PAGE), space, &options).map(|_| ())
        }),
        ("split behind", |vmm, _, region| vmm.split_region(region, 4).map(|_| ())),
        ("split before", |vmm, _, region| vmm.split_region(region, 2).map(|_| ())),
        ("map the next but one", |vmm, space, _| vmm.populate(space, Pages::at(FREE + 5 * PAGE))),
        ("allocate", |vmm, _, _| vmm.allocate(Blueprint::Tcb).map(|_| ())),
        ("take slots", |vmm, _, _| vmm.alloc_slots(200).map(|_| ())),
        ("map elsewhere", |vmm, space, _| vmm.map(space, &RegionOptions::new(40)).map(|_| ())),
        ("another space", |vmm, _, _| {
            let other = vmm.create_space()?;
            vmm.map(other, &RegionOptions::new(9).at(FREE))?;
            vmm.destroy_space(other)
        }),
    ];
    for (what, between) in between {
        let mut host = Fixture::roomy(target);
        let own = host.own();
        let region = host.vmm.reserve(own, &RegionOptions::new(8).at(FREE)).expect("room");
        one_by_one(&mut host, own, 0, 4);
        between(&mut host.vmm, own, region).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        host.vmm.validate().unwrap_or_else(|violation| panic!("{what}: {violation:?}"));
        let rights = |host: &Fixture<'_>, page: usize| {
            host.mappings(own).get(&(FREE + page * PAGE)).map(|mapping| mapping.rights)
        };
        let before: Vec<_> = (0..4).map(|page| rights(&host, page)).collect();
        one_by_one(&mut host, own, 4, 5);
        assert_eq!(rights(&host, 4), Some(Rights::READ_WRITE), "{what}");
        let after: Vec<_> = (0..4).map(|page| rights(&host, page)).collect();
        assert_eq!(before, after, "{what}");
        assert_eq!(host.read(own, FREE + 4 * PAGE), 0, "{what}");
        host.check();
    }
}

/// Whatever stands for no append cursor inside the manager is a number that somebody may ask for.
fn where_there_is_no_append_cursor_no_address_goes_on(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(8).at(FREE)).expect("room");
    one_by_one(&mut host, own, 0, 3);
    for start in [0, 1, PAGE, usize::MAX, usize::MAX - PAGE + 1, FREE + 4 * PAGE + 1] {
        // Ends the append cursor, if there is one.
        host.vmm.usage(own).expect("a space");
        let calls = host.vmm.kernel_calls();
        let refused = host.vmm.populate(own, Pages::at(start)).expect_err("nobody's address");
        assert_eq!(refused.blame(), Blame::Caller, "{start:#x}: {refused:?}");
        assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0, "{start:#x}");
        let fault = PageFault { address: start, access: Access::Write, present: false, ip: 0 };
        let resolved = host.vmm.resolve_fault(own, &fault).expect("a space");
        assert!(matches!(resolved, Resolution::Unresolved(_)), "{start:#x}: {resolved:?}");
        assert_eq!(host.mappings(own).len(), 3);
        host.check();
    }
}

/// Frames of the batch that the append cursor takes from go elsewhere in between.
fn memory_that_others_take_is_not_mapped_twice(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    for space in [own, other] {
        host.vmm.reserve(space, &RegionOptions::new(300).at(FREE)).expect("room");
    }
    for page in 0..300 {
        // Runs of different lengths, in turn.
        let space = if page * page % 7 < 3 { own } else { other };
        host.vmm.populate(space, Pages::at(FREE + page * PAGE)).expect("memory");
        host.vmm.validate().expect("I14, and all others");
    }
    assert_eq!(host.mappings(own).len() + host.mappings(other).len(), 300);
    host.assert_no_frame_twice(&[own, other]);
    host.check();
}

/// An address at which a page table begins, with nothing near it.
fn line(target: Target) -> usize {
    FREE + (1 << target.large_bits())
}

/// The heap grew over the line before and shrank again: behind the line lies a table that is kept.
fn a_kept_table_ahead_is_taken_into_use(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, line) = (host.own(), line(target));
    let heap = host.vmm.reserve(own, &RegionOptions::new(8).at(line - 4 * PAGE)).expect("room");
    host.vmm.populate(own, Pages::at(line)).expect("memory");
    host.vmm.unmap(own, Pages::at(line)).expect("it is mapped");
    for page in 0..5 {
        host.vmm.populate(own, Pages::at(line - 4 * PAGE + page * PAGE)).expect("memory");
        host.vmm.validate().expect("I5, I14");
    }
    host.write(own, line, 42);
    host.vmm.trim().expect("no call is refused");
    assert_eq!(host.read(own, line), 42, "the page is not lost with its table");
    host.vmm.release(heap).expect("no call is refused");
    host.check();
}

fn a_heap_grows_and_shrinks_over_a_line_again_and_again(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, line) = (host.own(), line(target));
    let start = line - 4 * PAGE;
    let lazy = RegionOptions::new(8).at(start).backed(Backing::OnDemand { around: 1 });
    let heap = host.vmm.reserve(own, &lazy).expect("room");
    for round in 0..6 {
        for page in 0..6 {
            let address = start + page * PAGE;
            if round % 2 == 0 {
                host.vmm.populate(own, Pages::at(address)).expect("memory");
            } else {
                let access = Access::Write;
                let fault = PageFault { address, access, present: false, ip: 0 };
                let resolved = host.vmm.resolve_fault(own, &fault).expect("memory");
                assert!(matches!(resolved, Resolution::Resolved(_)));
            }
            host.vmm.validate().expect("I5, I14");
        }
        // From the top, as a heap shrinks; the table behind the line first.
        host.vmm.unmap(own, Pages::at(line).count(2)).expect("it is mapped");
        host.vmm.validate().expect("I5, I14");
        host.vmm.unmap(own, Pages::at(start).count(4)).expect("it is mapped");
    }
    host.vmm.release(heap).expect("no call is refused");
    host.check();
}
