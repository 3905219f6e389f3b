// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that are cut, and whole again where that was in vain.
//!
//! Checks A109, A210, A211, A212 and I34 of `MODEL.md`.

use std::iter::successors;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use untyped_alloc::KernelError;
use vmm::{PageSize, Pages, Placement, RegionId, RegionOptions, Rights, SpaceId};
use vmm_tests::model::CallKind;

use super::new_space;
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    a_request_that_is_refused_leaves_large_pages_whole,
    where_memory_is_short_they_are_whole_again_at_once,
    what_could_not_be_joined_is_joined_later,
    what_was_changed_since_stays_as_it_is,
    a_table_that_is_left_in_its_place_is_not_in_the_way,
    a_clone_of_a_space_that_is_refused_leaves_large_pages_whole,
    no_write_is_lost_when_a_page_is_cut_or_joined,
);

/// A space with large pages at `start`, each small page of which holds its number.
struct Large {
    space: SpaceId,
    region: RegionId,
    start: usize,
    pages: usize,
}

impl Large {
    fn map(host: &mut Fixture<'_>, large: usize) -> Large {
        let space = new_space(host);
        Large::map_in(host, space, large)
    }

    fn map_in(host: &mut Fixture<'_>, space: SpaceId, large: usize) -> Large {
        let bits = host.target().large_bits();
        let (pages, start) = (large << (bits - 12), 4 << bits);
        let options = RegionOptions::new(pages).page_size(PageSize::Large { bits }).at(start);
        let region = host.vmm.map(space, &options).expect("memory");
        let made = Large { space, region, start, pages };
        made.each(|at, tag| host.write(space, at, tag));
        made
    }

    fn each(&self, mut visit: impl FnMut(usize, u64)) {
        (0..self.pages).for_each(|page| visit(self.start + page * PAGE, page as u64 + 1));
    }

    /// All is as it was mapped, with so many pages in large ones.
    #[track_caller]
    fn assert_is(&self, host: &Fixture<'_>, in_large: usize) {
        host.check();
        assert_eq!(host.vmm.large_pages_in(self.region), Ok(in_large));
        assert_eq!(host.vmm.space_summary(self.space).expect("a space").mapped_pages, self.pages);
        self.each(|at, tag| {
            assert_eq!(host.read(self.space, at), tag);
            let mapping = host.vmm.mapping_at(self.space, at).expect("a space").expect("mapped");
            assert_eq!((mapping.rights, mapping.copy_on_write), (Rights::READ_WRITE, false));
        });
    }
}

type Request = fn(&mut Fixture<'_>, &Large, SpaceId) -> vmm::Result;

/// Each cuts the two large pages.
const REQUESTS: [(&str, Request); 5] = [
    ("unmap", |host, large, _| {
        let middle = large.start + PAGE;
        host.vmm.unmap(large.space, Pages::at(middle).count(large.pages - 2))
    }),
    ("decommit", |host, large, _| {
        let middle = large.start + PAGE;
        host.vmm.decommit(large.space, Pages::at(middle).count(large.pages - 2))
    }),
    ("protect", |host, large, _| {
        let middle = large.start + PAGE;
        host.vmm.protect(large.space, Pages::at(middle).count(large.pages - 2), Rights::READ)
    }),
    ("split", |host, large, _| host.vmm.split_region(large.region, 3).map(drop)),
    ("clone", |host, large, other| {
        host.vmm.clone_region(large.region, other, Placement::at(large.start)).map(drop)
    }),
];

/// Numbers that grow ever faster.
fn ever_fewer(from: usize, part: usize) -> impl Iterator<Item = usize> {
    successors(Some(from), move |nth| Some(nth + 1 + nth / part))
}

/// A109, A210: refused once, they are whole when the request has returned; refused all that
/// follows, they are after a `trim`.
fn a_request_that_is_refused_leaves_large_pages_whole(target: Target) {
    for (name, request) in REQUESTS {
        for all in [false, true] {
            let mut refused = 0;
            for nth in ever_fewer(1, 2) {
                let mut host = Fixture::roomy(target);
                let (large, other) = (Large::map(&mut host, 2), new_space(&mut host));
                let before = host.kernel().injected_failures();
                match all {
                    false => host.kernel().fail_nth(nth, KernelError::IllegalOperation),
                    true => host.kernel().fail_from(nth, KernelError::IllegalOperation),
                }
                let made = request(&mut host, &large, other);
                host.kernel().disarm();
                if host.kernel().injected_failures() == before {
                    break;
                }
                if made.is_ok() {
                    continue;
                }
                if all {
                    host.vmm.validate().expect("what could not be undone is recorded");
                    host.vmm.trim().expect("nothing is refused any more");
                }
                let rights = |at| {
                    let mapping = host.vmm.mapping_at(large.space, at).expect("a space");
                    mapping.map(|mapping| mapping.rights)
                };
                // What takes away may have begun; then its pages stay as they are.
                let last = large.start + (large.pages - 2) * PAGE;
                let untouched = [large.start + PAGE, last].map(rights);
                if untouched == [Some(Rights::READ_WRITE); 2] {
                    large.assert_is(&host, large.pages);
                    refused += 1;
                }
                host.check();
            }
            assert!(refused > 10, "{name} was refused {refused} times");
        }
    }
}

/// A211: the memory of each large page serves to cut the next, and so to join the one before.
fn where_memory_is_short_they_are_whole_again_at_once(target: Target) {
    let bits = target.large_bits();
    let mut joined = 0;
    for nth in ever_fewer(1, 6) {
        let mut host =
            Fixture::new(Machine::with_ram(target, vec![(0x200_0000, bits + 3)]).slots(15));
        let (large, other) = (Large::map(&mut host, 3), new_space(&mut host));
        // All but what one large page takes, with the tables and the slots of the clone.
        let (kept, own) = ((1 << bits) + 0x4_0000, host.own());
        let rest = (host.vmm.stats().free_bytes() - kept) / PAGE;
        host.vmm.map(own, &RegionOptions::new(rest)).expect("memory");
        let cuts = |host: &Fixture<'_>| host.kernel().calls(CallKind::PageUnmap);
        let before = cuts(&host);
        host.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let cloned = host.vmm.clone_region(large.region, other, Placement::at(large.start));
        if host.kernel().disarm() {
            break;
        }
        // Where what was refused is no part of it, it is done.
        if cloned.is_ok() {
            continue;
        }
        large.assert_is(&host, large.pages);
        joined += usize::from(cuts(&host) - before > 3 << (bits - 12));
    }
    assert!(joined > 10, "two pages and more were cut {joined} times");
}

/// Refuses the step of a clone that comes after the cuts, and all that would undo them.
pub(super) fn refuse_from_remap(host: &mut Fixture<'_>) {
    let (order, seen) = (Ordering::Relaxed, AtomicBool::new(false));
    let picks = move |made| match made {
        CallKind::PageRemap => {
            seen.store(true, order);
            true
        }
        CallKind::PageUnmap => seen.load(order),
        _ => false,
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
}

/// A109: when memory is out, by the first `trim` once there is enough.
fn what_could_not_be_joined_is_joined_later(target: Target) {
    let mut host = Fixture::roomy(target);
    let (large, other) = (Large::map(&mut host, 2), new_space(&mut host));
    // The last step of a clone is refused, and what would undo those before.
    refuse_from_remap(&mut host);
    let clone = host.vmm.clone_region(large.region, other, Placement::at(large.start));
    assert!(matches!(clone, Err(vmm::Error::Kernel { .. })), "{clone:?}");
    assert!(host.vmm.trim().is_err(), "it does not say that all is done");
    host.kernel().disarm();
    // No large page is to be had: not what was refused to be given back, either.
    let bits = target.large_bits();
    let mut ballast = Vec::new();
    let large_one = RegionOptions::new(1 << (bits - 12)).page_size(PageSize::Large { bits });
    while let Ok(region) = host.vmm.map(host.vmm.own_space(), &large_one) {
        ballast.push(region);
    }
    host.vmm.trim().expect("what is wanting is no refusal");
    let held = host.vmm.large_pages_in(large.region).expect("a region");
    assert!(held < large.pages, "{held} pages");
    large.assert_is(&host, held);
    ballast.into_iter().for_each(|region| host.vmm.release(region).expect("a region"));
    host.vmm.trim().expect("nothing is refused");
    large.assert_is(&host, large.pages);
    // Of use as before.
    let clone = host.vmm.clone_region(large.region, other, Placement::at(large.start));
    host.vmm.release(clone.expect("memory")).expect("a region");
    host.vmm.release(large.region).expect("a region");
    let again = Large::map_in(&mut host, large.space, 2);
    again.assert_is(&host, again.pages);
}

/// A210: other memory that is there by then, or pages of which some are gone, are not joined; nor
/// are those of a request that was made again, and done.
fn what_was_changed_since_stays_as_it_is(target: Target) {
    let cut_in_vain = |host: &mut Fixture<'_>| {
        let (large, other) = (Large::map(host, 2), new_space(host));
        refuse_from_remap(host);
        let clone = host.vmm.clone_region(large.region, other, Placement::at(large.start));
        clone.expect_err("refused");
        host.kernel().disarm();
        (large, other)
    };
    let settle = |host: &mut Fixture<'_>| {
        host.vmm.trim().expect("nothing is refused");
        host.check();
    };
    // Another region.
    let mut host = Fixture::roomy(target);
    let (large, _) = cut_in_vain(&mut host);
    host.vmm.release(large.region).expect("a region");
    let options = RegionOptions::new(large.pages).at(large.start);
    let region = host.vmm.map(large.space, &options).expect("memory");
    settle(&mut host);
    assert_eq!(host.vmm.large_pages_in(region), Ok(0));
    // A page less, in the first.
    let mut host = Fixture::roomy(target);
    let (large, _) = cut_in_vain(&mut host);
    let one = Pages::at(large.start + PAGE);
    host.vmm.unmap(large.space, one).expect("mapped");
    settle(&mut host);
    assert!(host.vmm.large_pages_in(large.region).expect("a region") <= large.pages / 2);
    // Done the second time.
    let mut host = Fixture::roomy(target);
    let (large, other) = cut_in_vain(&mut host);
    let clone = host.vmm.clone_region(large.region, other, Placement::at(large.start));
    host.vmm.release(clone.expect("memory")).expect("a region");
    host.vmm.restore_write_access(large.region).expect("a region");
    settle(&mut host);
    large.assert_is(&host, 0);
    // The space is gone, and the records with it.
    let mut host = Fixture::roomy(target);
    let used = host.vmm.bookkeeping_bytes_used();
    let (large, other) = cut_in_vain(&mut host);
    host.vmm.destroy_space(large.space).expect("a space");
    host.vmm.destroy_space(other).expect("a space");
    host.spaces.truncate(1);
    settle(&mut host);
    assert!(host.vmm.bookkeeping_bytes_used() <= used + 2 * PAGE);
}

/// A109: the table of the small pages is mapped, and nothing that follows is granted.
fn a_table_that_is_left_in_its_place_is_not_in_the_way(target: Target) {
    let mut absent = 0;
    for tables in 1..4 {
        let mut host = Fixture::roomy(target);
        let large = Large::map(&mut host, 1);
        let seen = AtomicUsize::new(0);
        let picks = move |made| {
            let order = Ordering::Relaxed;
            let before = seen.fetch_add(usize::from(made == CallKind::TableMap), order);
            before >= tables
        };
        host.kernel().fail_when(picks, KernelError::IllegalOperation);
        let split = host.vmm.split_region(large.region, 3);
        host.kernel().disarm();
        if split.is_ok() {
            continue;
        }
        let vspace = host.vmm.vspace(large.space).expect("a space");
        absent += usize::from(host.kernel().mapping(vspace, large.start).is_none());
        host.vmm.validate().expect("what could not be undone is recorded");
        host.vmm.trim().expect("nothing is refused any more");
        large.assert_is(&host, large.pages);
    }
    assert_ne!(absent, 0, "a touch of it would have faulted");
}

/// A109: those of a region that was cloned before another was refused.
fn a_clone_of_a_space_that_is_refused_leaves_large_pages_whole(target: Target) {
    let mut host = Fixture::roomy(target);
    let large = Large::map(&mut host, 1);
    let far = large.start + (8 << target.large_bits());
    let behind = host.vmm.map(large.space, &RegionOptions::new(3).at(far)).expect("memory");
    // The pages of the second region are the last that are protected and mapped.
    let seen = AtomicUsize::new(0);
    let pages = large.pages;
    let picks = move |made| {
        made == CallKind::PageRemap && seen.fetch_add(1, Ordering::Relaxed) == pages + 1
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
    host.vmm.clone_space(large.space).expect_err("refused");
    host.kernel().disarm();
    host.vmm.release(behind).expect("a region");
    large.assert_is(&host, large.pages);
    // Where it is done, they stay small.
    let clone = host.vmm.clone_space(large.space).expect("memory");
    host.spaces.push(clone);
    assert_eq!(host.vmm.large_pages_in(large.region), Ok(0));
    host.check();
}

/// A212: a thread of the space writes whenever a page was copied and it can.
fn no_write_is_lost_when_a_page_is_cut_or_joined(target: Target) {
    let small = 1 << (target.large_bits() - 12);
    // In the page that is copied first, in one amid the others, in the last.
    for page in [0, small / 2, small - 1] {
        for join in [false, true] {
            let mut host = Fixture::roomy(target);
            let (large, other) = (Large::map(&mut host, 1), new_space(&mut host));
            let (at, vspace) = (large.start + page * PAGE, host.vmm.vspace(large.space));
            host.kernel().write_beside(vspace.expect("a space"), at);
            let place = Placement::at(large.start);
            match join {
                false => host.vmm.split_region(large.region, 3).map(drop).expect("memory"),
                true => {
                    refuse_from_remap(&mut host);
                    let clone = host.vmm.clone_region(large.region, other, place);
                    clone.expect_err("refused");
                    host.kernel().disarm();
                    host.vmm.trim().expect("nothing is refused");
                    assert_eq!(host.vmm.large_pages_in(large.region), Ok(large.pages));
                }
            }
            let written = host.kernel().written_beside();
            let found = host.words(large.space, at)[0];
            // The page's tag, where the thread never had its turn.
            let expected = if written == 0 { page as u64 + 1 } else { written };
            assert_eq!(found, expected, "page {page}, joined: {join}");
        }
    }
}
