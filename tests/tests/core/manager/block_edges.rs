// SPDX-License-Identifier: BSD-2-Clause
//! Pages of an open block, where what is kept of the block must not be gone by: what lies beside
//! its window has changed, or the page is not like the others.
//!
//! Checks A264 and I46 of `MODEL.md`, and for such pages A59 and A98.

use untyped_alloc::{KernelError, Rights};
use vmm::{Error, Pages, Placement, Quota, RegionOptions, ThreadOptions};
use vmm_tests::model::CallKind;

use super::{FREE, new_space, tagged};
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    a_run_grows_before_it,
    a_run_grows_where_pages_are_limited,
    a_run_goes_on_growing_once_a_request_was_refused,
    its_only_page_becomes_a_run,
    a_page_of_another_s_goes_back_to_them,
    a_page_that_was_told_of_is_recalled,
    what_may_not_be_asked_for_is_refused,
    what_is_pinned_stays,
    what_was_used_is_clear_where_it_is_filled_in,
    a_clear_frame_that_was_refused_is_the_next_one,
    what_is_recorded_together_of_two_regions_stays_apart,
);

fn page(page: usize) -> Pages {
    Pages::at(FREE + page * PAGE)
}

/// A machine in which there is memory to remember single pages with: windows, and open blocks.
fn ready(target: Target) -> Fixture<'static> {
    let mut host = Fixture::new(Machine::roomy(target));
    let own = host.own();
    let region = host.vmm.reserve(own, &RegionOptions::new(16)).expect("addresses");
    for index in [1, 5, 9, 12] {
        let start = region.start().bits() + index * PAGE;
        host.vmm.populate(own, Pages::at(start)).expect("memory");
    }
    host.vmm.release(region).expect("a region");
    host
}

/// A block whose window has pages 12 and 14, and before it a run of pages 8 and 9.
fn run_and_window(host: &mut Fixture<'_>) {
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(16).at(FREE)).expect("addresses");
    for index in [12, 14] {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    host.vmm.populate(own, page(8).count(2)).expect("memory");
}

/// Opens the block, and looks the run up, so that pages can go on behind it.
fn open(host: &mut Fixture<'_>) {
    let own = host.own();
    host.vmm.protect(own, page(12), Rights::READ).expect("mapped");
    host.vmm.mapping_at(own, FREE + 9 * PAGE).expect("an address").expect("mapped");
}

/// Each of these pages is there, and known to be.
fn are_there(host: &mut Fixture<'_>, pages: core::ops::Range<usize>) {
    for index in pages {
        let again = host.vmm.populate(host.own(), page(index));
        assert!(matches!(again, Err(Error::AlreadyMapped { .. })), "{index}: {again:?}");
    }
    host.check();
}

fn a_run_grows_before_it(target: Target) {
    let mut host = ready(target);
    run_and_window(&mut host);
    open(&mut host);
    host.vmm.populate(host.own(), page(10).count(2)).expect("memory");
    are_there(&mut host, 8..12);
}

/// Where a space may not have any number of pages, none is filled in. The run begins in the block
/// before.
fn a_run_grows_where_pages_are_limited(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(32).at(FREE)).expect("addresses");
    for index in [20, 22] {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    host.vmm.populate(own, page(12).count(6)).expect("memory");
    let limit = Quota { frames: 1 << 16, ..Quota::UNLIMITED };
    host.vmm.set_quota(own, limit).expect("a space");
    host.vmm.protect(own, page(20), Rights::READ).expect("mapped");
    host.vmm.populate(own, page(18)).expect("memory");
    host.vmm.set_quota(own, Quota::UNLIMITED).expect("a space");
    are_there(&mut host, 12..19);
}

/// The block is opened by a request that the kernel refuses, while pages go on behind the run.
fn a_run_goes_on_growing_once_a_request_was_refused(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    run_and_window(&mut host);
    host.vmm.mapping_at(own, FREE + 9 * PAGE).expect("an address").expect("mapped");
    host.vmm.populate(own, page(10)).expect("memory");
    host.kernel().fail_nth_of(CallKind::PageUnmap, 1, KernelError::IllegalOperation);
    host.vmm.unmap(own, page(12)).expect_err("it is refused");
    host.vmm.populate(own, page(11)).expect("memory");
    are_there(&mut host, 8..13);
}

/// The page at the end of a block goes on in the next one; then it is taken.
fn its_only_page_becomes_a_run(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(32).at(FREE)).expect("addresses");
    host.vmm.populate(own, page(15)).expect("memory");
    host.vmm.mapping_at(own, FREE + 15 * PAGE).expect("an address").expect("mapped");
    for index in 16..19 {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    host.check();
    for index in [15, 17] {
        host.vmm.unmap(own, page(index)).expect("mapped");
        host.check();
    }
    for index in [14, 15, 17] {
        host.vmm.populate(own, page(index)).expect("memory");
        host.check();
    }
}

fn a_page_of_another_s_goes_back_to_them(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let source = FREE + 64 * PAGE;
    tagged(&mut host, source, 1);
    run_and_window(&mut host);
    let into = host.vmm.region_at(own, FREE).expect("an address").expect("a region").id;
    host.vmm.share_into(own, Pages::at(source), into, 13).expect("memory");
    open(&mut host);
    host.vmm.unmap(own, page(13)).expect("mapped");
    host.check();
    assert_eq!(host.read(own, source), 1);
    // So is the page of one's own whose sharer is still there.
    host.vmm.share_into(own, page(14), into, 3).expect("memory");
    host.write(own, FREE + 14 * PAGE, 7);
    host.vmm.unmap(own, page(14)).expect("mapped");
    host.check();
    assert_eq!(host.read(own, FREE + 3 * PAGE), 7);
}

/// A98.
fn a_page_that_was_told_of_is_recalled(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    run_and_window(&mut host);
    open(&mut host);
    let frame = host.vmm.mapping_at(own, FREE + 14 * PAGE).expect("an address").expect("mapped");
    let slot = host.vmm.alloc_slots(1).expect("slots");
    let path = host.vmm.allocator().path(slot);
    host.vmm.copy_cap(path, frame.frame, Rights::READ).expect("a frame");
    host.vmm.unmap(own, page(14)).expect("mapped");
    let other = host.vmm.mapping_at(own, FREE + 12 * PAGE).expect("an address").expect("mapped");
    host.vmm.copy_cap(path, other.frame, Rights::READ).expect("it was emptied");
    host.check();
}

fn what_may_not_be_asked_for_is_refused(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    run_and_window(&mut host);
    open(&mut host);
    let crooked = Pages::at(FREE + 12 * PAGE + 8);
    assert!(matches!(host.vmm.unmap(own, crooked), Err(Error::Address(_))));
    assert!(matches!(host.vmm.protect(own, crooked, Rights::READ_WRITE), Err(Error::Address(_))));
    let all = Rights::READ_WRITE | Rights::EXECUTE;
    let exceeded = host.vmm.protect(own, page(12), all);
    assert!(matches!(exceeded, Err(Error::RightsExceedCeiling { .. })), "{exceeded:?}");
    let there = host.vmm.mapping_at(own, FREE + 12 * PAGE).expect("an address").expect("mapped");
    assert_eq!(there.rights, Rights::READ);
    host.check();
}

/// A59.
fn what_is_pinned_stays(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let options =
        ThreadOptions { stack_pages: 16, guard_pages: 1, growing: None, tls: None, name: "t" };
    let memory = host.vmm.allocate_thread_memory(own, &options).expect("memory");
    let middle = memory.stack.bottom() + 8 * PAGE;
    // By this, its block is open.
    host.vmm.protect(own, Pages::at(middle), Rights::READ).expect("mapped");
    host.vmm.protect(own, Pages::at(middle), Rights::READ_WRITE).expect("mapped");
    host.vmm.pin_thread_memory(memory).expect("few are pinned");
    let pinned = Error::Pinned(memory.stack.region());
    let refused = host.vmm.protect(own, Pages::at(middle), Rights::READ);
    assert_eq!(refused, Err(pinned));
    assert_eq!(host.vmm.unmap(own, Pages::at(middle)), Err(pinned));
    host.vmm.unpin_thread_memory(memory);
    host.vmm.unmap(own, Pages::at(middle)).expect("mapped");
    host.check();
}

/// A281, I50: in a window, by turns, where there is no other memory.
fn what_was_used_is_clear_where_it_is_filled_in(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(16).at(FREE)).expect("addresses");
    for index in [1, 5, 9, 12] {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    let mut ballast = Vec::new();
    for pages in (0..11).rev().map(|bits| 1 << bits) {
        while let Ok(region) = host.vmm.map(own, &RegionOptions::new(pages)) {
            ballast.push(region);
        }
    }
    let turn = |host: &mut Fixture<'_>, index: usize| {
        host.write(own, FREE + index * PAGE, 7);
        host.vmm.unmap(own, page(index)).expect("mapped");
        let calls = host.vmm.stats().calls.total();
        host.vmm.populate(own, page(index)).expect("the memory of the page that is gone");
        assert_eq!(host.read(own, FREE + index * PAGE), 0);
        host.check();
        host.vmm.stats().calls.total() - calls
    };
    for index in [5, 9, 5, 12, 1, 5] {
        assert_eq!(turn(&mut host, index), 3, "mapped to be zeroed, unmapped, and mapped");
    }
    // Two are gone, and come back one by one; the second is the one that was freed first.
    host.vmm.unmap(own, page(5)).expect("mapped");
    host.vmm.unmap(own, page(9)).expect("mapped");
    host.vmm.populate(own, page(9)).expect("memory");
    host.check();
    host.vmm.populate(own, page(5)).expect("memory");
    host.check();
    // What the kernel refuses of it leaves nothing, and can be asked for again.
    for (kind, nth) in [(CallKind::PageMap, 1), (CallKind::PageUnmap, 1), (CallKind::PageMap, 2)] {
        host.vmm.unmap(own, page(5)).expect("mapped");
        host.kernel().fail_nth_of(kind, nth, KernelError::IllegalOperation);
        let refused = host.vmm.populate(own, page(5));
        assert!(matches!(refused, Err(Error::Kernel { .. })), "{kind:?} {nth}: {refused:?}");
        host.check();
        host.vmm.populate(own, page(5)).expect("it refuses no more");
        assert_eq!(turn(&mut host, 5), 3);
    }
    ballast.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
    host.check();
}

/// I70: the frame of a page that the kernel would not map goes back as clear as it came. It is where
/// the clear ones begin, so the next page has it.
fn a_clear_frame_that_was_refused_is_the_next_one(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    host.vmm.reserve(own, &RegionOptions::new(16).at(FREE)).expect("addresses");
    for index in [1, 5, 9] {
        host.vmm.populate(own, page(index)).expect("memory");
    }
    host.kernel().fail_nth_of(CallKind::PageMap, 1, KernelError::IllegalOperation);
    let refused = host.vmm.populate(own, page(12));
    assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
    host.check();
    let calls = host.vmm.stats().calls.total();
    host.vmm.populate(own, page(12)).expect("it refuses no more");
    assert_eq!(host.vmm.stats().calls.total() - calls, 1, "it is mapped, and is clear");
    let mut place =
        |index: usize| host.vmm.physical_address(own, FREE + index * PAGE).expect("mapped");
    assert_eq!(place(12), place(9) + PAGE);
    host.check();
}

/// A4: pages of two regions that were one are not recorded as one extent again, whatever is done
/// with one of the two.
fn what_is_recorded_together_of_two_regions_stays_apart(target: Target) {
    for what in 0..4 {
        let mut host = ready(target);
        let (own, other) = (new_space(&mut host), new_space(&mut host));
        let lower = host.vmm.map(own, &RegionOptions::new(8).at(FREE)).expect("memory");
        // Those that are left of the block are recorded one by one, and alike.
        for number in [6, 7] {
            host.vmm.unmap(own, page(number)).expect("mapped");
        }
        let upper = host.vmm.split_region(lower, 2).expect("two parts");
        host.check();
        let (all, anywhere) = (Pages::at(FREE + 2 * PAGE).count(4), Placement::anywhere());
        let clone = match what {
            0 => Some(host.vmm.clone_region(upper, other, anywhere).expect("room")),
            1 => Some(host.vmm.clone_region_on_demand(upper, other, anywhere).expect("room")),
            2 => Some(host.vmm.clone_region(lower, other, anywhere).expect("room")),
            _ => {
                host.vmm.protect(own, all, Rights::READ).expect("mapped");
                None
            }
        };
        host.check();
        // And back: they are alike again.
        match clone {
            Some(clone) => {
                host.vmm.release(clone).expect("a region");
                host.vmm.restore_write_access(upper).expect("a region");
                host.vmm.restore_write_access(lower).expect("a region");
            }
            None => host.vmm.protect(own, all, Rights::READ_WRITE).expect("mapped"),
        }
        host.check();
        host.vmm.release(upper).expect("a region");
        host.check();
    }
}
