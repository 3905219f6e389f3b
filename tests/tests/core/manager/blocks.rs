// SPDX-License-Identifier: BSD-2-Clause
//! Blocks in which pages are mapped one by one, in runs, and in several regions beside each other.

use proptest::collection::vec;
use proptest::strategy::Strategy;
use vmm::{
    Access, Backing, Error, FaultClass, PageFault, Pages, RegionOptions, Resolution, Rights,
};

use super::FREE;
use crate::support::{Fixture, Machine, PAGE, Target, explore_with, on_both};

on_both!(pages_come_and_go_beside_others, a_run_in_the_midst_of_a_block_stays,);

/// Regions in three blocks of sixteen pages, by their first page: edges in the midst of blocks.
/// Every other one is mapped on demand.
const FIRST: [usize; 5] = [0, 11, 13, 20, 35];
const PAGES: usize = 48;

#[derive(Clone, Copy, Debug)]
enum Step {
    Populate(usize, usize),
    Unmap(usize, usize),
    Protect(usize, usize, Rights),
    Touch(usize),
    /// Looks at all, by which nothing is begun any more that goes on in order.
    Look,
}

fn rights(write: bool) -> Rights {
    if write { Rights::READ_WRITE } else { Rights::READ }
}

/// Whether it is the manager's own space, and what is done in it.
fn steps() -> impl Strategy<Value = (bool, Vec<Step>)> {
    let kinds = (0..16, 0..PAGES, 1..20usize, proptest::bool::ANY);
    let step = kinds.prop_map(|(kind, page, count, write)| match kind {
        0..=2 => Step::Populate(page, 1),
        3 => Step::Populate(page, count % 5 + 1),
        // As a rule, one request maps all of a region.
        4 | 5 => Step::Populate(FIRST[page % FIRST.len()], count),
        6 => Step::Unmap(page, count % 5 + 1),
        7 | 8 => Step::Unmap(page, 1),
        9 => Step::Protect(page, count, rights(write)),
        10..=12 => Step::Protect(page, 1, rights(write)),
        13 | 14 => Step::Touch(page),
        _ => Step::Look,
    });
    (proptest::bool::ANY, vec(step, 1..120))
}

/// The region that a page is in.
fn region_of(page: usize) -> usize {
    FIRST.iter().rposition(|&first| first <= page).expect("the first is 0")
}

fn fault(page: usize) -> PageFault {
    PageFault { address: FREE + page * PAGE, access: Access::Write, present: false, ip: 0 }
}

/// A264: what is answered, and what is mapped, is as if each page were looked for by itself. I46.
fn pages_come_and_go_beside_others(target: Target) {
    explore_with(steps(), 500, |(own, steps)| {
        let mut host = Fixture::new(Machine::roomy(target));
        let own = match own {
            true => host.own(),
            false => host.vmm.create_space().expect("memory"),
        };
        for (index, first) in FIRST.into_iter().enumerate() {
            let end = FIRST.get(index + 1).copied().unwrap_or(PAGES);
            let backing = match index % 2 {
                0 => Backing::Explicit,
                _ => Backing::OnDemand { around: 1 },
            };
            let options = RegionOptions::new(end - first).at(FREE + first * PAGE).backed(backing);
            host.vmm.reserve(own, &options).expect("addresses");
        }
        let mut mapped = [false; PAGES];
        let mut allowed = [Rights::READ_WRITE; PAGES];
        for step in steps {
            match step {
                Step::Populate(page, count) => {
                    let pages = page..page + count;
                    let inside = pages.end <= PAGES && region_of(page) == region_of(pages.end - 1);
                    let answer = host.vmm.populate(own, Pages::at(FREE + page * PAGE).count(count));
                    match answer {
                        Ok(()) => {
                            assert!(inside && !mapped[pages.clone()].contains(&true));
                            mapped[pages.clone()].fill(true);
                            allowed[pages].fill(Rights::READ_WRITE);
                        }
                        Err(Error::OutsideRegion { .. }) => assert!(!inside),
                        Err(Error::AlreadyMapped { .. }) => assert!(mapped[pages].contains(&true)),
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Unmap(page, count) => {
                    let pages = page..page + count;
                    let inside = pages.end <= PAGES && region_of(page) == region_of(pages.end - 1);
                    match host.vmm.unmap(own, Pages::at(FREE + page * PAGE).count(count)) {
                        Ok(()) => {
                            assert!(inside && !mapped[pages.clone()].contains(&false));
                            mapped[pages].fill(false);
                        }
                        Err(Error::OutsideRegion { .. }) => assert!(!inside),
                        Err(Error::NotMapped { .. }) => assert!(mapped[pages].contains(&false)),
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Protect(page, count, rights) => {
                    let pages = page..page + count;
                    let inside = pages.end <= PAGES && region_of(page) == region_of(pages.end - 1);
                    let range = Pages::at(FREE + page * PAGE).count(count);
                    match host.vmm.protect(own, range, rights) {
                        Ok(()) => {
                            assert!(inside && !mapped[pages.clone()].contains(&false));
                            allowed[pages].fill(rights);
                        }
                        Err(Error::OutsideRegion { .. }) => assert!(!inside),
                        Err(Error::NotMapped { .. }) => assert!(mapped[pages].contains(&false)),
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Touch(page) => {
                    // What may not be written is no fault to be resolved.
                    if mapped[page] && allowed[page] == Rights::READ {
                        continue;
                    }
                    let expected = match (mapped[page], region_of(page) % 2) {
                        (true, _) => FaultClass::Recorded,
                        (false, 0) => FaultClass::NotPopulated,
                        _ => FaultClass::DemandZero { around: 1 },
                    };
                    match host.vmm.resolve_fault(own, &fault(page)).expect("memory") {
                        Resolution::Resolved(class) => {
                            assert_eq!(class, expected);
                            if !mapped[page] {
                                allowed[page] = Rights::READ_WRITE;
                            }
                            mapped[page] = true;
                        }
                        Resolution::Unresolved(class) => assert_eq!(class, expected),
                        other => panic!("{other:?}"),
                    }
                }
                Step::Look => host.check(),
            }
        }
        host.check();
        for (page, mapped) in mapped.into_iter().enumerate() {
            let there = host.vmm.mapping_at(own, FREE + page * PAGE).expect("an address");
            let rights = there.map(|page| page.rights);
            assert_eq!(rights, mapped.then_some(allowed[page]), "page {page}");
        }
    });
}

/// A264: a window of pages does not grow over a run of others in its block.
fn a_run_in_the_midst_of_a_block_stays(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target));
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(16).at(FREE)).expect("addresses");
    let page = |page: usize| Pages::at(FREE + page * PAGE);
    // A window at the end, and a run before it.
    for index in [12, 14] {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    host.vmm.populate(own, page(4).count(4)).expect("memory");
    for index in 4..8 {
        let again = host.vmm.populate(own, page(index));
        assert!(matches!(again, Err(Error::AlreadyMapped { .. })), "{again:?}");
    }
    // On the other side of it, and right behind it.
    for index in [1, 3, 8, 0] {
        host.vmm.populate(own, page(index)).expect("memory");
        host.check();
    }
    host.vmm.unmap(own, page(3).count(6)).expect("mapped");
    host.check();
}
