// SPDX-License-Identifier: BSD-2-Clause
//! Compaction: free memory that lies scattered can be had, because pages are moved; and what must
//! not move does not.
//!
//! Checks A85–A88, A132 and I18 of `MODEL.md`.

use std::collections::{BTreeMap, BTreeSet};

use vmm::{
    Blueprint, Error, PageSize, Pages, Placement, RegionId, RegionOptions, ShareOptions, SpaceId,
};

use super::{FREE, new_space};
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    one_page_of_each_mib_leaves_the_rest_for_large_pages,
    one_page_of_each_mib_leaves_the_rest_for_threads,
    one_page_of_each_mib_leaves_the_rest_for_small_pages,
    small_objects_of_each_mib_leave_the_rest_for_small_pages,
    what_must_stay_stays,
    where_faults_are_answered_pages_move,
    compaction_says_when_there_is_nothing_to_gain,
    what_was_in_vain_is_tried_again_once_an_object_is_freed,
    a_request_that_wants_many_pieces_gets_them,
    what_a_limit_broke_off_is_gone_on_with,
);

const MIB: usize = 1 << 20;

/// 56 MiB as a boot leaves them: blocks of 8 to 32 MiB, and little book-keeping.
pub(super) fn like_a_boot(target: Target) -> Machine {
    Machine::with_ram(target, (23..=25).map(|bits| (1 << bits, bits)).collect()).pool(16)
}

/// Bytes that are free, without those that serve for book-keeping.
fn free_bytes(host: &Fixture<'_>) -> usize {
    host.vmm.stats().allocator.free_bytes()
}

/// Fills all memory with pages of `space` and takes all of them away again but one of each MiB of
/// physical memory, which is filled with a number. Returns these pages.
fn keep_one_page_of_each_mib(host: &mut Fixture<'_>, space: SpaceId) -> BTreeMap<usize, u64> {
    let mut regions = Vec::new();
    while let Ok(region) = host.vmm.map(space, &RegionOptions::new(64)) {
        regions.push(region);
    }
    let mut seen = BTreeSet::new();
    let pages: Vec<_> = host.mappings(space).into_iter().collect();
    let mut kept = BTreeMap::new();
    for (number, (at, mapping)) in pages.into_iter().enumerate() {
        if seen.insert(mapping.paddr / MIB) {
            host.write(space, at, number as u64 + 1);
            kept.insert(at, number as u64 + 1);
        } else {
            host.vmm.unmap(space, Pages::at(at)).expect("mapped");
        }
    }
    assert!(kept.len() > 50, "{} pages are kept", kept.len());
    host.check();
    kept
}

#[track_caller]
fn assert_kept(host: &Fixture<'_>, space: SpaceId, kept: &BTreeMap<usize, u64>) {
    host.check();
    for (&at, &tag) in kept {
        assert_eq!(host.read(space, at), tag, "the page at {at:#x}");
    }
    assert_eq!(host.mappings(space).len(), kept.len(), "and nothing else is mapped there");
}

/// A85.
fn one_page_of_each_mib_leaves_the_rest_for_large_pages(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host); // nothing runs in it, so its pages may move
    let kept = keep_one_page_of_each_mib(&mut host, space);
    let (own, bits, free) = (host.own(), target.large_bits(), free_bytes(&host));
    let large = RegionOptions::new(1 << (bits - 12)).aligned(bits);
    let large = large.page_size(PageSize::Large { bits });
    let mut had = 0;
    while host.vmm.map(own, &large).is_ok() {
        had += 1 << bits;
    }
    // What is left over at the end is less than a page of that size, or is lost with the page
    // moved.
    let most = free - free % (1 << bits);
    assert!(had * 10 >= most * 9, "{had} bytes had as large pages of {free} that are free");
    assert!(host.vmm.stats().moved_pages as usize >= had / MIB / 2, "pages were moved for it");
    assert_kept(&host, space, &kept);
}

/// A85: a thread is a control block, a stack and an IPC buffer.
fn one_page_of_each_mib_leaves_the_rest_for_threads(target: Target) {
    let mut host = Fixture::new(like_a_boot(target).slots(16));
    let space = new_space(&mut host);
    let kept = keep_one_page_of_each_mib(&mut host, space);
    let free = free_bytes(&host);
    let runners = new_space(&mut host);
    let tcb_bytes = 1 << host.vmm.allocator().sizes().size_bits(Blueprint::Tcb).expect("threads");
    let mut had = 0;
    let thread = |host: &mut Fixture<'_>| -> Result<usize, Error> {
        host.vmm.allocate(Blueprint::Tcb)?;
        host.vmm.allocate_stack(runners, 4, "stack")?;
        host.vmm.allocate_ipc_buffer(runners)?;
        Ok(tcb_bytes + 5 * PAGE)
    };
    while let Ok(bytes) = thread(&mut host) {
        had += bytes;
    }
    assert!(had * 10 >= free * 9, "{had} bytes had in threads of {free} that are free");
    assert_kept(&host, space, &kept);
}

/// A85.
fn one_page_of_each_mib_leaves_the_rest_for_small_pages(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    let kept = keep_one_page_of_each_mib(&mut host, space);
    let (own, free) = (host.own(), free_bytes(&host));
    let mut had = 0;
    while host.vmm.map(own, &RegionOptions::new(1)).is_ok() {
        had += PAGE;
    }
    assert!(had * 10 >= free * 9, "{had} bytes had as small pages of {free} that are free");
    assert_kept(&host, space, &kept);
}

/// A86: of each MiB a control block, a page table and an IPC buffer stay.
fn small_objects_of_each_mib_leave_the_rest_for_small_pages(target: Target) {
    let mut host = Fixture::new(like_a_boot(target).slots(16));
    let (own, space) = (host.own(), new_space(&mut host));
    // In turns, until all memory is used: pages, and one of each of the small objects.
    let (mut regions, mut spans) = (Vec::new(), 0);
    let mut turn = |host: &mut Fixture<'_>| -> Result<(), Error> {
        host.vmm.allocate(Blueprint::Tcb)?;
        host.vmm.allocate_ipc_buffer(space)?;
        // The page that keeps its table is in a span of its own.
        let at = FREE + (spans << target.large_bits());
        host.vmm.map(space, &RegionOptions::new(1).at(at))?;
        spans += 1;
        regions.push(host.vmm.map(own, &RegionOptions::new(240))?);
        Ok(())
    };
    while turn(&mut host).is_ok() {}
    assert!(regions.len() > 45, "{} turns", regions.len());
    regions.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
    host.check();
    let free = free_bytes(&host);
    let mut had = 0;
    while host.vmm.map(own, &RegionOptions::new(1)).is_ok() {
        had += PAGE;
    }
    assert!(had * 10 >= free * 9, "{had} bytes had as small pages of {free} that are free");
    host.check();
}

/// Maps chunks of pages, of each of which `keep` pages stay, and returns the regions with one page.
fn sparse(host: &mut Fixture<'_>, space: SpaceId, options: RegionOptions) -> Vec<RegionId> {
    let regions: Vec<_> = (0..8).map(|_| host.vmm.map(space, &options).expect("memory")).collect();
    for region in &regions {
        let start = region.start().bits();
        host.vmm.unmap(space, Pages::at(start + PAGE).count(63)).expect("mapped");
        host.write(space, start, start as u64);
    }
    host.vmm.trim().expect("no call is refused");
    regions
}

/// How many pages `compact` moves, and whether it says that it gained anything.
fn compact_all(host: &mut Fixture<'_>) -> u64 {
    let before = host.vmm.stats().moved_pages;
    while host.vmm.compact(16).expect("no call is refused") {}
    host.check();
    host.vmm.stats().moved_pages - before
}

/// A87: in its own space only what was allowed moves; elsewhere nothing does that was forbidden, is
/// shared, was told the physical address of, or is used by a thread whose faults nobody answers.
fn what_must_stay_stays(target: Target) {
    let options = RegionOptions::new(64);
    // (what, pages move)
    let case = |what: &str, moves: bool, prepare: &dyn Fn(&mut Fixture<'_>) -> SpaceId| {
        let mut host = Fixture::new(like_a_boot(target));
        let space = prepare(&mut host);
        let moved = compact_all(&mut host);
        assert_eq!(moved != 0, moves, "{what}: {moved} pages were moved");
        for region in host.mappings(space).keys() {
            let tag = host.words(space, *region)[0];
            assert!(tag == 0 || tag == *region as u64, "{what}: {region:#x} holds {tag:#x}");
        }
    };
    case("another space", true, &|host| {
        let space = new_space(host);
        sparse(host, space, options);
        space
    });
    case("the own space", false, &|host| {
        sparse(host, host.own(), options);
        host.own()
    });
    case("the own space, allowed", true, &|host| {
        sparse(host, host.own(), options.movable(true));
        host.own()
    });
    case("another space, forbidden", false, &|host| {
        let space = new_space(host);
        sparse(host, space, options.movable(false));
        space
    });
    case("with a thread that is not registered", false, &|host| {
        let space = new_space(host);
        host.vmm.allocate_ipc_buffer(space).expect("memory");
        sparse(host, space, options);
        space
    });
    case("uncached", false, &|host| {
        let space = new_space(host);
        sparse(host, space, options.cached(vmm::CachePolicy::Uncached));
        space
    });
    case("the physical address is told", false, &|host| {
        let space = new_space(host);
        for region in sparse(host, space, options) {
            host.vmm.physical_address(space, region.start().bits()).expect("mapped");
        }
        space
    });
    case("shared", false, &|host| {
        let (space, other) = (new_space(host), new_space(host));
        for region in sparse(host, space, options) {
            let at = region.start().bits();
            host.vmm.share(space, Pages::at(at), other, &ShareOptions::new()).expect("memory");
        }
        space
    });
    case("cloned", false, &|host| {
        let (space, other) = (new_space(host), new_space(host));
        for region in sparse(host, space, options) {
            host.vmm.clone_region(region, other, Placement::anywhere()).expect("memory");
        }
        space
    });
    case("IPC buffers", false, &|host| {
        let space = new_space(host);
        let buffers: Vec<_> =
            (0..120).map(|_| host.vmm.allocate_ipc_buffer(space).expect("memory")).collect();
        for (number, buffer) in buffers.into_iter().enumerate() {
            if number % 16 != 0 {
                host.vmm.release_ipc_buffer(buffer).expect("a buffer");
            }
        }
        space
    });
}

/// A87: memory that is mapped on demand moves also where a thread is that is not registered, and
/// other memory where each is.
fn where_faults_are_answered_pages_move(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    host.vmm.allocate_ipc_buffer(space).expect("memory");
    let lazy = RegionOptions::new(64).backed(vmm::Backing::OnDemand { around: 1 });
    let regions = sparse(&mut host, space, lazy);
    assert!(host.vmm.may_region_move(regions[0]).expect("a region"));
    assert_ne!(compact_all(&mut host), 0, "who touches a page meanwhile is answered");
    let explicit = host.vmm.map(space, &RegionOptions::new(1)).expect("memory");
    assert!(!host.vmm.may_region_move(explicit).expect("a region"));
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory");
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let thread = host.vmm.register_thread(space, tcb.slot(), endpoint.slot(), "t").expect("memory");
    assert!(host.vmm.may_region_move(explicit).expect("a region"), "all are registered");
    host.vmm.unregister_thread(thread).expect("registered");
    assert!(!host.vmm.may_region_move(explicit).expect("a region"), "one is not any more");
}

/// A88: what says that nothing is to be gained makes no kernel call.
fn compaction_says_when_there_is_nothing_to_gain(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    host.vmm.map(space, &RegionOptions::new(64)).expect("memory");
    let calls = host.vmm.kernel_calls();
    assert_eq!(host.vmm.compact(12), Ok(false), "every frame is in use");
    assert_eq!(host.vmm.compact(60), Ok(false), "there is no such piece");
    assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0);
    host.check();
}

/// I18: objects that nothing can move keep every MiB from being emptied, until those of one are
/// freed. `check` holds what is remembered to what is so.
fn what_was_in_vain_is_tried_again_once_an_object_is_freed(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    let piece = Blueprint::Untyped { size_bits: 16 };
    let objects: Vec<_> = core::iter::from_fn(|| host.vmm.allocate(piece).ok()).collect();
    // What stays and what may move come from different MiBs as long as there are two: so first all
    // are taken by what stays, of which one of each 16 is kept.
    let (kept, others) =
        objects.into_iter().enumerate().partition::<Vec<_>, _>(|(n, _)| n % 16 == 0);
    others.into_iter().for_each(|(_, object)| host.vmm.free(object).expect("allocated"));
    let mut pages = Vec::new();
    while let Ok(region) = host.vmm.map(space, &RegionOptions::new(64)) {
        pages.push(region.start().bits());
    }
    // Of each region one page is left.
    pages.iter().for_each(|&at| host.vmm.unmap(space, Pages::at(at).count(63)).expect("mapped"));
    while host.vmm.compact(20).expect("no call is refused") {}
    let mut gained = 0;
    for (_, object) in kept {
        host.vmm.free(object).expect("allocated");
        host.check();
        gained += usize::from(host.vmm.compact(20).expect("no call is refused"));
    }
    assert_ne!(gained, 0, "blocks were emptied");
}

/// A132: a region with one page in each of many spans is cloned, which takes a page table for each,
/// while all memory is frames: the pieces that cost least to empty are those of a frame each.
fn a_request_that_wants_many_pieces_gets_them(target: Target) {
    for spans in [12, 40, 90, 200] {
        let mut host = Fixture::new(Machine::with_ram(target, vec![(0x40_0000, 22)]).slots(13));
        let (space, into) = (new_space(&mut host), new_space(&mut host));
        let origin =
            host.vmm.reserve(space, &RegionOptions::new(spans << (target.large_bits() - 12)));
        let origin = origin.expect("addresses");
        for span in 0..spans {
            let at = origin.start().bits() + (span << target.large_bits());
            host.vmm.populate(space, Pages::at(at)).expect("memory");
            host.write(space, at, span as u64 + 1);
        }
        let mut pages = Vec::new();
        while let Ok(region) = host.vmm.map(space, &RegionOptions::new(1)) {
            pages.push(region.start().bits());
        }
        // Not of the last ones, which came singly when little was left.
        for &at in pages[..pages.len() * 3 / 4].iter().step_by(2) {
            host.vmm.unmap(space, Pages::at(at)).expect("mapped");
        }
        host.check();
        let clone = host.vmm.clone_region(origin, into, Placement::anywhere());
        let clone = clone.unwrap_or_else(|error| panic!("{spans} spans: {error:?}"));
        assert_ne!(host.vmm.stats().moved_pages, 0, "there was no table for it");
        for span in 0..spans {
            let at = clone.start().bits() + (span << target.large_bits());
            assert_eq!(host.read(into, at), span as u64 + 1, "span {span}");
        }
        host.check();
    }
}

/// A85: under a limit a request is refused that would move more pages, and the rest is moved in
/// pieces of as many as are asked for, until the request can be met.
fn what_a_limit_broke_off_is_gone_on_with(target: Target) {
    let mut host = Fixture::new(like_a_boot(target));
    let space = new_space(&mut host);
    let kept = keep_one_page_of_each_mib(&mut host, space);
    host.vmm.limit_compaction(2);
    let large = Blueprint::Untyped { size_bits: 22 };
    let mut made = Vec::new();
    let mut pieces = 0;
    for _ in 0..100 {
        while let Ok(object) = host.vmm.allocate(large) {
            made.push(object);
        }
        if !host.vmm.compaction_is_due() {
            break;
        }
        let before = host.vmm.stats().moved_pages;
        while host.vmm.compact_further(3).expect("no call is refused") {
            pieces += 1;
            let moved = host.vmm.stats().moved_pages - before;
            assert!(moved <= 3 * pieces, "{moved} pages in {pieces} pieces");
        }
        assert!(!host.vmm.compaction_is_due());
    }
    assert!(pieces > 0, "nothing was broken off");
    assert!(made.len() > 8, "{} blocks of 4 MiB of 14 were had", made.len());
    assert_kept(&host, space, &kept);
}
