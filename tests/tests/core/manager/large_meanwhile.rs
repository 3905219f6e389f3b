// SPDX-License-Identifier: BSD-2-Clause
//! Requests for pages that are to become a large one in the background, some of which are copied.
//!
//! Checks A329 and I61 of `MODEL.md`.

use vmm::{Access, PageFault, Pages, Placement, RegionOptions, Rights, ShareOptions};

use super::large_ahead::{Dense, run, run_into_it};
use super::new_space;
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(requests_meanwhile_are_served);

/// The request after which a page may be written to without the manager.
const CAPABILITY: &str = "a capability to a page";

/// What a request has done to pages: their new tag, and 0 for those that are not there.
type Changes = Vec<(usize, u64)>;
type Meddles = fn(&mut Fixture<'_>, &Dense) -> Changes;

/// Requests over pages in transit, some of them copied: the first is, the last is not.
fn meddling() -> Vec<(&'static str, Meddles)> {
    vec![
        ("write", |host, dense| {
            let last = dense.pages - 1;
            for page in [1, last] {
                let bytes = 777u64.to_le_bytes().repeat(PAGE / 8);
                host.vmm.write(dense.space, dense.at(page), &bytes).expect("mapped");
            }
            vec![(1, 777), (last, 777)]
        }),
        ("clear", |host, dense| {
            host.vmm.zero(dense.space, dense.at(1), 2 * PAGE).expect("mapped");
            vec![(1, 0), (2, 0)]
        }),
        ("unmap and touch", |host, dense| {
            let last = dense.pages - 1;
            for page in [0, 5, last] {
                host.vmm.unmap(dense.space, Pages::at(dense.at(page))).expect("mapped");
                dense.touch(host, page, Access::Write);
            }
            vec![(0, 0), (5, 0), (last, 0)]
        }),
        ("unmap and populate in order", |host, dense| {
            host.vmm.unmap(dense.space, Pages::at(dense.at(4)).count(8)).expect("mapped");
            for page in 4..12 {
                host.vmm.populate(dense.space, Pages::at(dense.at(page))).expect("memory");
            }
            (4..12).map(|page| (page, 0)).collect()
        }),
        ("decommit", |host, dense| {
            host.vmm.decommit(dense.space, Pages::at(dense.at(2)).count(3)).expect("mapped");
            (2..5).map(|page| (page, 0)).collect()
        }),
        ("protect one and back", |host, dense| {
            for rights in [Rights::READ, Rights::READ_WRITE] {
                host.vmm.protect(dense.space, Pages::at(dense.at(7)), rights).expect("mapped");
            }
            dense.write(host, 7, 778);
            vec![(7, 778)]
        }),
        ("protect all", |host, dense| {
            let all = Pages::at(dense.start).count(dense.pages);
            host.vmm.protect(dense.space, all, Rights::READ).expect("mapped");
            vec![]
        }),
        ("protect all on demand", |host, dense| {
            let all = Pages::at(dense.start).count(dense.pages);
            host.vmm.protect_on_demand(dense.space, all, Rights::READ).expect("mapped");
            vec![]
        }),
        ("share, write there, and release", |host, dense| {
            let (to, page) = (new_space(host), Pages::at(dense.at(3)));
            let shared = host.vmm.share(dense.space, page, to, &ShareOptions::new());
            let shared = shared.expect("memory");
            host.write(to, shared.start().bits(), 779);
            host.vmm.release(shared).expect("a region");
            vec![(3, 779)]
        }),
        ("share page by page", |host, dense| {
            let to = new_space(host);
            let into = host.vmm.reserve(to, &RegionOptions::new(8)).expect("addresses");
            for page in 0..8 {
                let from = Pages::at(dense.at(page));
                host.vmm.share_into(dense.space, from, into, page).expect("memory");
                host.write(to, into.start().bits() + page * PAGE, 780 + page as u64);
            }
            host.vmm.release(into).expect("a region");
            (0..8).map(|page| (page, 780 + page as u64)).collect()
        }),
        ("clone, and it stays", |host, dense| {
            let to = new_space(host);
            host.vmm.clone_region(dense.region, to, Placement::at(dense.start)).expect("memory");
            vec![]
        }),
        ("clone on demand, written on both sides, and destroyed", |host, dense| {
            let to = new_space(host);
            let place = Placement::at(dense.start);
            host.vmm.clone_region_on_demand(dense.region, to, place).expect("memory");
            let fault = PageFault {
                address: dense.at(2),
                access: Access::Write,
                present: false,
                ip: 0x1000,
            };
            host.vmm.resolve_fault(to, &fault).expect("memory");
            host.write(to, dense.at(2), 1);
            for access in [Access::Read, Access::Write] {
                let vspace = host.vmm.vspace(dense.space).expect("a space");
                let present = host.kernel().mapping(vspace, dense.at(6)).is_some();
                let fault = PageFault { address: dense.at(6), access, present, ip: 0x1000 };
                host.vmm.resolve_fault(dense.space, &fault).expect("memory");
            }
            host.write(dense.space, dense.at(6), 781);
            host.vmm.destroy_space(to).expect("idle");
            host.spaces.retain(|&space| space != to);
            vec![(6, 781)]
        }),
        ("physical address", |host, dense| {
            host.vmm.physical_address(dense.space, dense.at(3)).expect("mapped");
            vec![]
        }),
        ("split", |host, dense| {
            host.vmm.split_region(dense.region, dense.pages / 2).expect("a region");
            vec![]
        }),
        ("move there and back", |host, dense| {
            let there = dense.start + (4 << host.target().large_bits());
            let moved = host.vmm.move_region(dense.region, Placement::at(there)).expect("room");
            let tag = 782u64.to_le_bytes().repeat(PAGE / 8);
            host.vmm.write(dense.space, there + 9 * PAGE, &tag).expect("mapped");
            host.vmm.move_region(moved, Placement::at(dense.start)).expect("room");
            vec![(9, 782)]
        }),
        ("promote by request", |host, dense| {
            let all = Pages::at(dense.start).count(dense.pages);
            assert_eq!(host.vmm.promote(dense.space, all), Ok(1));
            dense.write(host, 4, 783);
            vec![(4, 783)]
        }),
        ("compact", |host, _| {
            let bits = host.target().large_bits();
            host.vmm.compact(bits - 2).expect("nothing is refused");
            vec![]
        }),
        ("trim", |host, _| {
            host.vmm.trim().expect("nothing is refused");
            assert!(!host.vmm.promotion_is_under_way());
            vec![]
        }),
        ("share, write there after a step, and release", |host, dense| {
            let (to, page) = (new_space(host), Pages::at(dense.at(3)));
            let shared = host.vmm.share(dense.space, page, to, &ShareOptions::new());
            let shared = shared.expect("memory");
            host.vmm.promote_further(64).expect("nothing is refused");
            host.write(to, shared.start().bits(), 784);
            host.vmm.release(shared).expect("a region");
            vec![(3, 784)]
        }),
        (CAPABILITY, |host, dense| {
            let page = host.vmm.mapping_at(dense.space, dense.at(3)).unwrap().unwrap();
            let slot = host.vmm.alloc_slots(1).expect("a slot");
            let to = host.vmm.allocator().path(slot);
            host.vmm.copy_cap(to, page.frame, Rights::READ_WRITE).expect("a copy");
            vec![]
        }),
    ]
}

/// A329: each request finds the pages as they are, and what it does holds.
fn requests_meanwhile_are_served(target: Target) {
    let pieces = (1 << (target.large_bits() - 12)) / 64;
    for (what, meddle) in meddling() {
        for done in [0, 1, pieces - 1, pieces] {
            let mut host = Fixture::roomy(target);
            let dense = Dense::new(&mut host, 1);
            run_into_it(&mut host, done);
            let mut holds: Vec<u64> = (1..).take(dense.pages).collect();
            for (page, tag) in meddle(&mut host, &dense) {
                holds[page] = tag;
            }
            host.check();
            run(&mut host);
            host.check();
            if what == CAPABILITY {
                assert_eq!(host.vmm.large_pages_in(dense.region), Ok(0), "after {done} pieces");
            }
            for (page, &tag) in holds.iter().enumerate() {
                dense.touch(&mut host, page, Access::Read);
                let found = host.read(dense.space, dense.at(page));
                assert_eq!(found, tag, "{what} after {done} pieces: page {page}");
            }
            host.check();
            // And later, too.
            run(&mut host);
            for page in [0, dense.pages - 1] {
                dense.assert_holds(&mut host, page, holds[page]);
            }
        }
    }
}
