// SPDX-License-Identifier: BSD-2-Clause
//! What a refused kernel call leaves: counted until it goes, and no page table.
//!
//! Checks A13, A29, A177 and I9 of `MODEL.md`.

use untyped_alloc::KernelError;
use vmm::{Blueprint, Pages, RegionOptions, ShareOptions};
use vmm_tests::model::CallKind;

use super::{FREE, new_space, tagged};
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    what_would_not_go_is_counted_until_it_goes,
    copies_that_would_not_go_are_counted_until_they_go,
    a_refused_map_leaves_no_page_table,
    a_request_that_finds_no_memory_has_what_was_left_given_back,
);

/// A29, I9: regions, copies, frames at temporary slots (`stuck.rs`), objects.
fn what_would_not_go_is_counted_until_it_goes(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let refuse = |host: &Fixture<'_>, kind: CallKind| {
        let picks = move |made: CallKind| made == kind;
        host.kernel().fail_when(picks, KernelError::RevokeFirst);
    };
    let quarantined = |host: &Fixture<'_>| {
        let stats = host.vmm.stats();
        (stats.quarantined, stats.allocator.quarantined)
    };
    assert_eq!(quarantined(&host), (0, 0));
    tagged(&mut host, FREE, 4);
    // A new region of which one page is mapped and the next is refused, as is undoing it.
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let picks = move |made: CallKind| match made {
        CallKind::PageMap => seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 1,
        CallKind::PageUnmap => true,
        _ => false,
    };
    host.kernel().fail_when(picks, KernelError::RevokeFirst);
    host.vmm.map(own, &RegionOptions::new(6)).expect_err("refused");
    assert_eq!(quarantined(&host), (1, 0));
    host.kernel().disarm();
    host.check();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    // A root that gets no identifier and cannot be destroyed.
    let picks = |made: CallKind| {
        matches!(made, CallKind::AsidPoolAssign | CallKind::CNodeDelete | CallKind::CNodeRevoke)
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
    host.vmm.create_space().expect_err("refused");
    host.kernel().disarm();
    assert_eq!(quarantined(&host), (0, 1));
    host.check();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    // An object whose caller gives it back.
    let objects = host.vmm.allocate_many(Blueprint::Endpoint, 3).expect("memory");
    refuse(&host, CallKind::CNodeDelete);
    let freed = host.vmm.free(objects.get(1).expect("three"));
    host.kernel().disarm();
    let counted = quarantined(&host);
    assert_eq!(freed.is_err(), counted.1 == 0, "it is in use still, or counted: {counted:?}");
    host.vmm.free_many(objects).ok();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    host.check();
}

/// I9: the copies of a share that was refused, and could not be deleted.
fn copies_that_would_not_go_are_counted_until_they_go(target: Target) {
    let mut host = Fixture::small(target);
    let (own, other) = (host.own(), new_space(&mut host));
    tagged(&mut host, FREE, 4);
    let one = ShareOptions::new();
    for times in 1..4 {
        let picks = |made: CallKind| matches!(made, CallKind::PageMap | CallKind::CNodeDelete);
        host.kernel().fail_when(picks, KernelError::RevokeFirst);
        host.vmm.share(own, Pages::at(FREE).count(4), other, &one).expect_err("refused");
        host.kernel().disarm();
        assert_eq!(host.vmm.stats().quarantined, times);
        host.check();
    }
    host.vmm.trim().expect("no call is refused");
    assert_eq!(host.vmm.stats().quarantined, 0);
    host.vmm.share(own, Pages::at(FREE).count(4), other, &one).expect("nothing is refused");
    host.check();
}

/// A13: by whatever way pages are mapped. A table that no page came to is not kept.
fn a_refused_map_leaves_no_page_table(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let (space, from) = (new_space(&mut host), new_space(&mut host));
    let region = host.vmm.map(from, &RegionOptions::new(3).at(FREE)).expect("memory");
    let span = 1 << target.large_bits();
    let far = 0x5000_0000;
    let place = |pages: usize| RegionOptions::new(pages).at(far + span - PAGE);
    host.vmm.reserve(own, &place(3)).expect("room");
    let paged = RegionOptions::new(2).at(far + 8 * span);
    let paged = paged.backed(vmm::Backing::Pager { token: 1 });
    host.vmm.reserve(space, &paged).expect("room");
    let tables = |host: &Fixture<'_>| {
        [own, space, from].map(|space| host.vmm.space_stats(space).expect("a space").tables)
    };
    let before = tables(&host);
    type Request<'a> = Box<dyn Fn(&mut Fixture<'_>) -> vmm::Result + 'a>;
    // The last one is not undone.
    let requests: Vec<(&str, Request<'_>)> = vec![
        ("one page", Box::new(|host| host.vmm.map(space, &place(1)).map(drop))),
        ("pages", Box::new(|host| host.vmm.map(space, &place(3)).map(drop))),
        ("committed", Box::new(|host| host.vmm.populate(own, Pages::at(far + span)))),
        (
            "more committed",
            Box::new(|host| host.vmm.populate(own, Pages::at(far + span - PAGE).count(3))),
        ),
        (
            "shared",
            Box::new(|host| {
                host.vmm
                    .share(
                        from,
                        Pages::at(FREE).count(3),
                        space,
                        &ShareOptions::new().at(far + span - PAGE),
                    )
                    .map(drop)
            }),
        ),
        (
            "cloned",
            Box::new(|host| host.vmm.clone_region(region, space, place(3).placement()).map(drop)),
        ),
        (
            "an IPC buffer",
            Box::new(|host| {
                let buffer = host.vmm.allocate_ipc_buffer(space)?;
                host.vmm.release_ipc_buffer(buffer)
            }),
        ),
        (
            "supplied",
            Box::new(|host| {
                let give = vmm::Supply::Transfer;
                host.vmm.supply_page(space, far + 8 * span, from, FREE, give)
            }),
        ),
    ];
    for (what, request) in requests {
        for allowed in [0, 1, 2] {
            let seen = std::sync::atomic::AtomicUsize::new(0);
            let picks = move |made: CallKind| {
                let order = std::sync::atomic::Ordering::Relaxed;
                made == CallKind::PageMap && seen.fetch_add(1, order) == allowed
            };
            host.kernel().fail_when(picks, KernelError::RevokeFirst);
            let refused = request(&mut host).is_err();
            host.kernel().disarm();
            host.check();
            if !refused {
                // It maps fewer pages than that. What it did is not undone here.
                assert_ne!(allowed, 0, "{what}");
                break;
            }
            assert_eq!(tables(&host), before, "{what}, refused after {allowed}");
        }
        // What was not refused is undone.
        host.vmm.unmap(own, Pages::at(far + span)).ok();
        for place in [far + span - PAGE, far + span] {
            let there = host.vmm.region_at(space, place).expect("a space");
            there.into_iter().for_each(|there| host.vmm.release(there.id).expect("a region"));
        }
        host.vmm.trim().expect("no call is refused");
    }
}

/// Maps so many pages in a request that the kernel refuses at the last, and then refuses to undo.
fn leave(host: &mut Fixture<'_>, pages: usize, request: impl Fn(&mut Fixture<'_>) -> vmm::Result) {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let picks = move |made: CallKind| match made {
        CallKind::PageMap => seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 >= pages,
        CallKind::PageUnmap | CallKind::CNodeRevoke | CallKind::CNodeDelete => true,
        _ => false,
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
    request(host).expect_err("its last page is refused");
    host.kernel().disarm();
    host.check();
}

/// A177: a region that nobody has, and pages of a region that somebody has.
fn a_request_that_finds_no_memory_has_what_was_left_given_back(target: Target) {
    const PAGES: usize = 200;
    for kept in [false, true] {
        let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 22)]));
        let (own, mut had) = (host.own(), 0);
        host.vmm.reserve(own, &RegionOptions::new(PAGES).at(FREE)).expect("room");
        leave(&mut host, PAGES, |host| match kept {
            true => host.vmm.populate(own, Pages::at(FREE).count(PAGES)),
            false => host.vmm.map(own, &RegionOptions::new(PAGES)).map(drop),
        });
        // All there is, by requests none of which gives anything back.
        while host.vmm.map(own, &RegionOptions::new(1)).is_ok() {
            had += 1;
        }
        host.check();
        assert_eq!(host.vmm.stats().quarantined, 0, "kept: {kept}");
        // What is not had serves as page tables and for book-keeping.
        assert!(had > 1024 - PAGES / 2, "{had} pages of 1024 were had, kept: {kept}");
        if kept {
            let mapped = host.mappings(own).range(FREE..FREE + PAGES * PAGE).count();
            assert_eq!(mapped, 0, "pages of what was refused");
        }
    }
}
