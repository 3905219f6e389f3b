// SPDX-License-Identifier: BSD-2-Clause
//! The direct map: frames are zeroed and copied without a kernel call, and nothing else is
//! different with it.
//!
//! Checks A96 to A99 of `MODEL.md`.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::strategy::Strategy;
use untyped_alloc::{CachePolicy, Invocation, KernelError, Rights};
use vmm::{Error, Pages, RegionOptions};
use vmm_tests::expected::Request;
use vmm_tests::model::CallKind;

use super::{FREE, new_space, tagged};
use crate::state_machine::strategy;
use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, explore_with, on_both};

on_both!(
    a_page_is_clear_again_for_the_call_that_maps_it,
    a_page_of_one_s_own_costs_two_calls,
    what_is_mapped_uncached_is_not_in_it,
    memory_that_is_given_back_is_not_in_it,
    what_was_told_of_is_recalled,
    what_is_refused_goes_another_way,
    what_cannot_be_taken_out_of_it_is_not_given_back,
    each_call_of_making_it_can_be_refused,
    without_addresses_it_is_refused,
    it_can_be_taken_away,
    where_the_end_of_user_space_is_taken_it_lies_elsewhere,
    requests_do_what_they_do_without_it,
    they_do_in_a_small_memory,
);

/// A machine of 1 MiB with a direct map, nearly all of whose memory has become frames that were
/// zeroed there; and how many pages can be mapped.
fn used_up(target: Target) -> (Fixture<'static>, usize) {
    let mut host = Fixture::new(Machine::small(target).direct_map());
    let own = host.own();
    let mut pages = 300;
    let region = loop {
        match host.vmm.map(own, &RegionOptions::new(pages).at(FREE)) {
            Ok(region) => break region,
            Err(error) => assert!(pages > 100, "{error:?}"),
        }
        pages -= 1;
    };
    (0..pages).for_each(|page| host.write(own, FREE + page * PAGE, page as u64 + 1));
    host.vmm.release(region).expect("a region");
    // A little is left for page tables and slots.
    let pages = pages - 8;
    for _ in 0..2 {
        let region = tagged(&mut host, FREE, pages);
        host.vmm.release(region).expect("a region");
    }
    host.check();
    (host, pages)
}

/// A96.
fn a_page_is_clear_again_for_the_call_that_maps_it(target: Target) {
    let (mut host, pages) = used_up(target);
    let own = host.own();
    for round in 0..3 {
        let before = host.vmm.kernel_calls();
        let region = host.vmm.map(own, &RegionOptions::new(pages).at(FREE)).expect("as before");
        let spent = host.vmm.kernel_calls().since(&before);
        for page in 0..pages {
            assert_eq!(host.read(own, FREE + page * PAGE), 0, "page {page} is clear");
            host.write(own, FREE + page * PAGE, 7);
        }
        host.check();
        assert_eq!(spent.total(), pages as u64, "round {round}: {spent:?}");
        host.vmm.release(region).expect("a region");
    }
    let figures = host.vmm.stats();
    let there = host.vmm.kernel().get().mappings(host.vmm.vspace(own).expect("a space"));
    let direct = host.direct_map();
    let aliases = there.iter().filter(|(at, _)| direct.contains(at)).count();
    assert_eq!(figures.direct_map_frames, aliases, "what is told is what is mapped");
    assert!(aliases >= pages - 16, "nearly all were zeroed: {aliases} of {pages}");
}

/// A96: under copy-on-write, once both frames are in the direct map.
fn a_page_of_one_s_own_costs_two_calls(target: Target) {
    let (mut host, _) = used_up(target);
    let own = host.own();
    let other = new_space(&mut host);
    for round in 0..40 {
        let region = tagged(&mut host, FREE, 4);
        let place = RegionOptions::new(4).at(FREE);
        let clone = host.vmm.clone_region(region, other, place.placement()).expect("memory");
        let before = host.vmm.kernel_calls();
        host.vmm.write(own, FREE, &[0xee; 4 * PAGE]).expect("memory");
        let spent = host.vmm.kernel_calls().since(&before);
        for page in 0..4 {
            let at = FREE + page * PAGE;
            assert_eq!(host.read(other, at), page as u64 + 1, "the clone is as it was");
            assert_eq!(host.read(own, at), u64::from_le_bytes([0xee; 8]));
        }
        host.check();
        // Each page: unmapped, and mapped with the new frame. Nothing for copying, nor for writing.
        // The first times its frame may be of a batch that was made anew for the space.
        if round >= 20 {
            assert_eq!(spent.of(Invocation::PageUnmap), 4, "round {round}: {spent:?}");
            assert_eq!(spent.of(Invocation::PageMap), 4, "round {round}: {spent:?}");
            assert_eq!(spent.total(), 8, "round {round}: {spent:?}");
        }
        host.vmm.release(clone).expect("a region");
        host.vmm.release(region).expect("a region");
    }
}

/// A97.
fn what_is_mapped_uncached_is_not_in_it(target: Target) {
    let (mut host, pages) = used_up(target);
    let own = host.own();
    // All are in the direct map, and clean.
    while let Some(job) = host.vmm.next_job() {
        if !host.vmm.run_job(job).expect("no call is refused") {
            break;
        }
    }
    let uncached = RegionOptions::new(pages).at(FREE).cached(CachePolicy::Uncached);
    let lazily = host.vmm.reserve(own, &uncached).expect("room");
    // One by one, and several.
    (0..40).for_each(|page| {
        host.vmm.populate(own, Pages::at(FREE + page * PAGE)).expect("memory");
    });
    host.vmm.populate(own, Pages::at(FREE + 40 * PAGE).count(20)).expect("memory");
    host.check();
    let vspace = host.vmm.vspace(own).expect("a space");
    let (there, direct) = (host.kernel().mappings(vspace), host.direct_map());
    let at = |paddr| there.iter().filter(move |(_, mapping)| mapping.paddr == paddr);
    for (vaddr, mapping) in
        there.iter().filter(|(vaddr, _)| (FREE..FREE + 60 * PAGE).contains(vaddr))
    {
        assert_eq!(mapping.cache, CachePolicy::Uncached);
        let second = at(mapping.paddr).find(|(at, _)| direct.contains(at));
        assert!(second.is_none(), "{vaddr:#x} is mapped at {second:?} as well");
    }
    host.vmm.release(lazily).expect("a region");
    host.check();
}

/// A98.
fn memory_that_is_given_back_is_not_in_it(target: Target) {
    let mut host = Fixture::new(Machine::small(target).direct_map());
    let booted = Snapshot::settled(&mut host).essence();
    let own = host.own();
    for _ in 0..3 {
        let region = tagged(&mut host, FREE, 60);
        host.vmm.unmap(own, Pages::at(FREE).count(59)).expect("mapped");
        host.vmm.populate(own, Pages::at(FREE).count(50)).expect("memory");
        host.vmm.release(region).expect("a region");
    }
    host.check();
    Snapshot::settled(&mut host).essence().assert_is(&booted, "something leaked");
    let vspace = host.vmm.vspace(own).expect("a space");
    let (there, direct) = (host.kernel().mappings(vspace), host.direct_map());
    assert!(there.iter().all(|(at, _)| !direct.contains(at)), "nothing is left in it");
    assert_eq!(host.vmm.stats().direct_map_frames, 0);
}

/// A98: a frame of which a caller has a capability.
fn what_was_told_of_is_recalled(target: Target) {
    let (mut host, pages) = used_up(target);
    let own = host.own();
    let region = host.vmm.map(own, &RegionOptions::new(pages - 8).at(FREE)).expect("memory");
    let slot = host.vmm.alloc_slots(1).expect("slots");
    let frame = host.vmm.mapping_at(own, FREE + PAGE).expect("an address").expect("mapped").frame;
    let path = host.vmm.allocator().path(slot);
    host.vmm.copy_cap(path, frame, Rights::READ).expect("a frame");
    host.vmm.release(region).expect("a region");
    host.check();
    let region = host.vmm.map(own, &RegionOptions::new(pages - 8).at(FREE)).expect("memory");
    (0..pages - 8).for_each(|page| assert_eq!(host.read(own, FREE + page * PAGE), 0));
    host.vmm.release(region).expect("a region");
    host.vmm.free_slots(slot, 1).expect("it was emptied");
    host.check();
}

/// A99: whatever the kernel refuses of the two calls for the direct map, the page is mapped and
/// clear.
fn what_is_refused_goes_another_way(target: Target) {
    for kind in [CallKind::CNodeCopy, CallKind::PageMap] {
        let (mut host, _) = used_up(target);
        let own = host.own();
        let seen = AtomicUsize::new(0);
        // Every third, so that mapping the page itself is not each time.
        let picks = move |call| call == kind && seen.fetch_add(1, Ordering::Relaxed) % 3 == 1;
        host.kernel().fail_when(picks, KernelError::IllegalOperation);
        let mut refused = 0;
        for page in 0..30 {
            let region = RegionOptions::new(1).at(FREE + page * PAGE);
            match host.vmm.map(own, &region) {
                Ok(_) => assert_eq!(host.read(own, FREE + page * PAGE), 0),
                Err(error) => {
                    assert!(matches!(error, Error::Kernel { .. }), "{error:?}");
                    refused += 1;
                }
            }
        }
        assert!(kind == CallKind::PageMap || refused == 0, "{kind:?}: {refused} refused");
        host.kernel().disarm();
        host.check();
        host.vmm.trim().expect("nothing is refused any more");
        host.check();
    }
}

/// A98, A14: the batch stays, and goes once the kernel lets it.
fn what_cannot_be_taken_out_of_it_is_not_given_back(target: Target) {
    for kind in [CallKind::PageUnmap, CallKind::CNodeDelete] {
        let (mut host, pages) = used_up(target);
        let own = host.own();
        let region = host.vmm.map(own, &RegionOptions::new(pages).at(FREE)).expect("memory");
        host.vmm.release(region).expect("a region");
        assert_ne!(host.vmm.stats().direct_map_frames, 0);
        host.kernel().fail_when(move |call| call == kind, KernelError::IllegalOperation);
        host.vmm.trim().expect_err("it is refused");
        host.check();
        host.kernel().disarm();
        host.vmm.trim().expect("nothing is refused any more");
        host.check();
        assert_eq!(host.vmm.stats().direct_map_frames, 0);
        assert_eq!(host.vmm.stats().allocator.live.frames[0], host.vmm.stats().bookkeeping_frames);
    }
}

/// A99, A14.
fn each_call_of_making_it_can_be_refused(target: Target) {
    let mut made = 0;
    for nth in 1.. {
        let mut host = Fixture::small(target);
        host.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let outcome = host.vmm.make_direct_map();
        let refused = host.kernel().injected_failures() != 0;
        host.kernel().disarm();
        host.check();
        host.vmm.make_direct_map().expect("nothing is refused any more");
        host.check();
        let tables = host.vmm.stats().direct_map_tables;
        assert!(tables != 0 && (made == 0 || made == tables), "{tables} tables, {made} before");
        made = tables;
        if !refused {
            assert_eq!(outcome, Ok(()));
            let before = host.vmm.kernel_calls();
            host.vmm.make_direct_map().expect("it is there");
            assert_eq!(host.vmm.kernel_calls(), before);
            return;
        }
        outcome.expect_err("a call was refused");
    }
}

/// A99: and made anew.
fn it_can_be_taken_away(target: Target) {
    for kind in [None, Some(CallKind::PageUnmap), Some(CallKind::TableUnmap)] {
        let (mut host, pages) = used_up(target);
        let (own, other) = (host.own(), 4 * PAGE);
        let region = tagged(&mut host, FREE, pages - 30);
        if let Some(kind) = kind {
            host.kernel().fail_when(move |call| call == kind, KernelError::IllegalOperation);
            let refused = host.vmm.remove_direct_map();
            assert_eq!(refused.is_err(), kind == CallKind::PageUnmap, "{refused:?}");
            host.kernel().disarm();
            host.check();
        }
        host.vmm.remove_direct_map().expect("nothing is refused any more");
        host.check();
        let figures = host.vmm.stats();
        assert_eq!((figures.direct_map_frames, figures.direct_map_tables), (0, 0));
        assert_eq!(host.direct_map(), 0..0, "its addresses are free");
        assert_eq!(host.read(own, FREE + other), 5);
        host.vmm.make_direct_map().expect("there are addresses and memory");
        host.check();
        assert_ne!(host.vmm.stats().direct_map_tables, 0);
        host.vmm.release(region).expect("a region");
        host.check();
    }
}

/// A99: it goes elsewhere, and shares no page table with what was there at boot.
fn where_the_end_of_user_space_is_taken_it_lies_elsewhere(target: Target) {
    let mut host = Fixture::small(target);
    let (own, last) = (host.own(), target.user_end() - PAGE);
    let taken = host.vmm.map(own, &RegionOptions::new(1).at(last)).expect("memory");
    host.vmm.make_direct_map().expect("there are addresses and memory");
    host.check();
    let direct = host.direct_map();
    assert!(!direct.is_empty() && direct.end <= last, "{direct:#x?}");
    let span = 1 << target.large_bits();
    assert_eq!((direct.start % span, direct.end % span), (0, 0), "{direct:#x?}");
    host.vmm.remove_direct_map().expect("no call is refused");
    host.vmm.release(taken).expect("a region");
    host.check();
}

/// A99: the RAM lies further apart than there are addresses.
fn without_addresses_it_is_refused(target: Target) {
    if target != Target::Ia32 {
        return;
    }
    let mut host =
        Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 20), (0xef00_0000, 20)]));
    let before = host.vmm.kernel_calls();
    let refused = host.vmm.make_direct_map();
    assert!(matches!(refused, Err(Error::NoRoom { .. })), "{refused:?}");
    assert_eq!(host.vmm.kernel_calls(), before);
    host.check();
    tagged(&mut host, FREE, 10);
}

/// A96 to A98: whoever makes requests does not see it.
fn requests_do_what_they_do_without_it(target: Target) {
    let machine = Machine::roomy(target).direct_map();
    let held_to = |requests: Vec<Request>| crate::state_machine::run::run(&machine, &requests);
    explore_with(strategy::requests(60), 60, held_to);
    explore_with(vec(strategy::heap(), 1..4).prop_map(|heaps| heaps.concat()), 60, held_to);
}

/// The same where memory is short, and used again and again.
fn they_do_in_a_small_memory(target: Target) {
    let machine = Machine::small(target).direct_map();
    explore_with(strategy::requests(60), 150, |requests| {
        crate::state_machine::run::run(&machine, &requests);
    });
}
