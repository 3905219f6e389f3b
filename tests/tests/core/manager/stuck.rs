// SPDX-License-Identifier: BSD-2-Clause
//! Frames that the kernel would not unmap from a temporary slot: nobody is given them, and they
//! come back.
//!
//! Checks A14 and I9 of `MODEL.md`.

use std::sync::atomic::{AtomicUsize, Ordering};

use untyped_alloc::KernelError;
use vmm::{Blueprint, Error, Object, PageSize, Pages, Placement, RegionOptions};
use vmm_tests::model::CallKind;

use super::large_ahead::Dense;
use super::{FREE, tagged};
use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_each};

on_each!(
    a_frame_that_was_being_zeroed_is_nobodys_until_it_is_unmapped,
    so_is_the_new_frame_of_a_page_under_copy_on_write,
    so_are_the_small_frames_for_a_large_page,
    a_page_that_is_unmapped_is_at_no_slot,
);

/// Refuses to unmap any page, but for the first `allowed` times.
fn refuse_unmapping_after(host: &Fixture<'_>, allowed: usize) {
    let seen = AtomicUsize::new(0);
    let picks = move |kind: CallKind| {
        kind == CallKind::PageUnmap && seen.fetch_add(1, Ordering::Relaxed) >= allowed
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
}

/// Takes all memory that can be had, which destroys all objects that nobody has, and gives it back.
fn take_all_and_give_back(host: &mut Fixture<'_>) {
    let mut had: Vec<Object> = Vec::new();
    for size_bits in (4..25).rev() {
        while let Ok(object) = host.vmm.allocate(Blueprint::Untyped { size_bits }) {
            had.push(object);
        }
    }
    host.check();
    had.into_iter().for_each(|object| host.vmm.free(object).expect("an object"));
}

/// So much is stuck. It is recorded, and nobody is given it while all other memory is used. Then
/// the kernel refuses no more.
fn is_stuck(host: &mut Fixture<'_>, count: usize) {
    assert_eq!(host.vmm.stats().quarantined, count, "it is recorded");
    take_all_and_give_back(host);
    assert_eq!(host.vmm.stats().quarantined, count, "nobody else used it");
    host.kernel().disarm();
    host.check();
}

/// The temporary slots serve as ever.
fn slots_serve(host: &mut Fixture<'_>) {
    let own = host.own();
    let at = FREE + 0x1000_0000;
    for _ in 0..3 {
        let region = tagged(host, at, 3);
        assert_eq!(host.read(own, at + 2 * PAGE), 3);
        host.vmm.release(region).expect("a region");
        let again = host.vmm.map(own, &RegionOptions::new(3).at(at)).expect("memory");
        assert_eq!(host.read(own, at + 2 * PAGE), 0, "it was zeroed");
        host.vmm.release(again).expect("a region");
    }
    host.check();
}

fn a_frame_that_was_being_zeroed_is_nobodys_until_it_is_unmapped(target: Target) {
    // 32 pages: of 20 that are free some were used.
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 17)]));
    slots_serve(&mut host);
    let before = Snapshot::settled(&mut host);
    let own = host.own();
    let region = tagged(&mut host, FREE, 20);
    host.vmm.release(region).expect("a region");
    refuse_unmapping_after(&host, 0);
    let refused = host.vmm.map(own, &RegionOptions::new(20).at(FREE));
    assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
    is_stuck(&mut host, 1);
    slots_serve(&mut host);
    assert_eq!(host.vmm.stats().quarantined, 0, "it was given back");
    before.assert_same(&Snapshot::settled(&mut host));
}

fn so_is_the_new_frame_of_a_page_under_copy_on_write(target: Target) {
    let mut host = Fixture::small(target);
    slots_serve(&mut host);
    let before = Snapshot::settled(&mut host);
    let own = host.own();
    let region = tagged(&mut host, FREE, 2);
    let clone = host.vmm.clone_region(region, own, Placement::anywhere()).expect("memory");
    // The page is unmapped where it is; the new frame and the old one stay at the slots.
    refuse_unmapping_after(&host, 1);
    let refused = host.vmm.write(own, FREE, &[7]);
    assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
    host.kernel().disarm();
    host.check();
    host.vmm.release(region).expect("a region");
    host.vmm.release(clone).expect("a region");
    refuse_unmapping_after(&host, 0);
    is_stuck(&mut host, 1);
    slots_serve(&mut host);
    assert_eq!(host.vmm.stats().quarantined, 0, "it was given back");
    before.assert_same(&Snapshot::settled(&mut host));
}

/// A page stays at the slot where it was copied from. Then it is unmapped by request, and the slot of its
/// capability becomes another frame's: nobody unmaps that when something else is to be looked at.
fn a_page_that_is_unmapped_is_at_no_slot(target: Target) {
    let mut host = Fixture::roomy(target);
    let dense = Dense::new(&mut host, 1);
    while !host.vmm.promotion_is_under_way() {
        host.vmm.promote_further(1).expect("no call is refused");
    }
    refuse_unmapping_after(&host, 1);
    let refused = host.vmm.promote_further(1);
    assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
    host.kernel().disarm();
    let own = host.own();
    let other = host.vmm.map(dense.space, &RegionOptions::new(1)).expect("memory");
    host.vmm.unmap(dense.space, Pages::at(dense.start)).expect("a page");
    host.vmm.release(dense.region).expect("a region");
    take_all_and_give_back(&mut host);
    let pages = 2 * dense.pages;
    let many = host.vmm.map(own, &RegionOptions::new(pages).at(FREE)).expect("memory");
    host.vmm.read(dense.space, other.start().bits(), &mut [0]).expect("it is there");
    host.check();
    host.vmm.release(many).expect("a region");
    host.check();
}

fn so_are_the_small_frames_for_a_large_page(target: Target) {
    let mut host = Fixture::roomy(target);
    slots_serve(&mut host);
    let before = Snapshot::settled(&mut host);
    let own = host.own();
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(pages).page_size(PageSize::Large { bits });
    let region = host.vmm.map(own, &large.at(FREE)).expect("memory");
    for page in 0..pages {
        host.write(own, FREE + page * PAGE, page as u64 + 1);
    }
    // The large page is unmapped first; then a small one, each time, that was filled.
    for (allowed, small) in [(0, 0), (1, 1), (5, 1)] {
        refuse_unmapping_after(&host, allowed);
        let refused = host.vmm.unmap(own, Pages::at(FREE));
        assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
        // The small one, and the place where the large one was to be read.
        is_stuck(&mut host, small + 1);
        assert_eq!(host.vmm.large_pages_in(region), Ok(pages), "it is as it was");
        for page in 0..pages {
            assert_eq!(host.read(own, FREE + page * PAGE), page as u64 + 1);
        }
        host.vmm.trim().expect("no call is refused");
        assert_eq!(host.vmm.stats().quarantined, 0, "it was given back");
    }
    host.vmm.unmap(own, Pages::at(FREE)).expect("no call is refused");
    assert_eq!(host.read(own, FREE + PAGE), 2);
    host.vmm.release(region).expect("a region");
    slots_serve(&mut host);
    before.assert_same(&Snapshot::settled(&mut host));
}
