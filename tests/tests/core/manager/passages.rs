// SPDX-License-Identifier: BSD-2-Clause
//! Single pages shared from one region into another, again and again; and first writes to pages
//! under copy-on-write whose block is open: where what is kept must not be gone by.
//!
//! Checks A275, A276 and I48 of `MODEL.md`.

use untyped_alloc::{CachePolicy, Invocation, KernelError, Rights};
use vmm::{
    Access, Error, FaultClass, PageFault, PageSize, Pages, Placement, Quota, RegionId,
    RegionOptions, Resolution, SpaceId, ThreadOptions,
};
use vmm_tests::model::CallKind;
use vmm_tests::support::{beyond_ceiling, not_mapped};

use super::{FREE, new_space, tagged};
use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_both};

on_both!(
    pages_come_in_any_order_and_go,
    what_may_not_be_shared_is_refused,
    what_has_changed_is_looked_at_again,
    what_a_space_may_have_is_all_it_gets,
    a_page_has_the_rights_that_were_asked_for,
    a_large_page_is_not_shared_in_part,
    what_is_not_cached_is_shared_as_it_is,
    a_page_under_copy_on_write_is_its_own_first,
    a_refused_call_leaves_nothing,
    what_is_pinned_stays,
    all_may_go_and_come_again,
    as_many_come_as_memory_allows,
    a_first_write_gives_the_last_user_the_right_back,
    what_may_not_be_written_is_not,
    a_first_write_that_is_refused_keeps_the_contents,
);

/// Where the other space has its region.
const THERE: usize = FREE + 0x10_0000;

/// A space beside the manager's own, and a region of 64 pages in it.
struct Other {
    space: SpaceId,
    region: RegionId,
}

impl Other {
    fn at(&self, page: usize) -> usize {
        THERE + page * PAGE
    }
}

fn from(page: usize) -> Pages {
    Pages::at(FREE + page * PAGE)
}

/// A machine that has windows, open blocks, and slots for single copies.
fn primed(machine: Machine) -> Fixture<'static> {
    let mut host = Fixture::new(machine);
    let own = host.own();
    let source = host.vmm.map(own, &RegionOptions::new(1)).expect("memory").start().bits();
    let region = host.vmm.reserve(own, &RegionOptions::new(16)).expect("addresses");
    for page in [1, 5, 9, 12] {
        host.vmm.share_into(own, Pages::at(source), region, page).expect("memory");
        host.vmm.unmap(own, Pages::at(region.start().bits() + page * PAGE)).expect("mapped");
        host.vmm.share_into(own, Pages::at(source), region, page + 1).expect("memory");
    }
    host.vmm.release(region).expect("a region");
    host
}

fn ready(target: Target) -> Fixture<'static> {
    primed(Machine::roomy(target))
}

/// 32 tagged pages of the own space, of which two are shared with another; that has become
/// usual.
fn passage(host: &mut Fixture<'_>) -> Other {
    tagged(host, FREE, 32);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let region = host.vmm.reserve(space, &RegionOptions::new(64).at(THERE)).expect("addresses");
    for (page, place) in [(3, 5), (4, 7), (5, 2)] {
        host.vmm.share_into(host.own(), from(page), region, place).expect("memory");
    }
    host.vmm.unmap(space, Pages::at(THERE + 2 * PAGE)).expect("mapped");
    Other { space, region }
}

/// A275.
fn pages_come_in_any_order_and_go(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    let places: Vec<usize> = (0..64).map(|turn| turn * 37 % 64).collect();
    for &place in places.iter().filter(|&&place| place != 5 && place != 7) {
        host.vmm.share_into(own, from(place % 32), other.region, place).expect("memory");
        assert_eq!(host.read(other.space, other.at(place)), 1 + place as u64 % 32);
        let mapping = host.vmm.mapping_at(other.space, other.at(place)).expect("an address");
        assert_eq!(mapping.expect("mapped").source, vmm::Source::Copy);
        host.check();
    }
    // A copy of a copy is one of the same frame.
    let there = host.vmm.reserve(own, &RegionOptions::new(16)).expect("addresses");
    for place in [0, 9, 3] {
        let source = Pages::at(other.at(place));
        host.vmm.share_into(other.space, source, there, place).expect("memory");
        let address = there.start().bits() + place * PAGE;
        assert_eq!(host.read(own, address), 1 + place as u64);
    }
    // Whoever has a page last frees its frame.
    let source = host.vmm.region_at(own, FREE).expect("an address").expect("a region").id;
    host.vmm.release(source).expect("a region");
    let tag = |place| if place == 5 || place == 7 { 4 + place / 7 } else { 1 + place % 32 };
    for &place in &places {
        assert_eq!(host.read(other.space, other.at(place)), tag(place) as u64);
        host.vmm.unmap(other.space, Pages::at(other.at(place))).expect("mapped");
        assert!(!host.mappings(other.space).contains_key(&other.at(place)));
        host.check();
    }
}

/// A275.
fn what_may_not_be_shared_is_refused(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    let crooked = host.vmm.share_into(own, Pages::at(FREE + 8), other.region, 9);
    assert!(matches!(crooked, Err(Error::Address(_))), "{crooked:?}");
    let beyond = host.vmm.share_into(own, from(6), other.region, 64);
    assert!(matches!(beyond, Err(Error::OutsideRegion { .. })), "{beyond:?}");
    let beyond = host.vmm.share_into(own, from(6), other.region, usize::MAX);
    assert!(matches!(beyond, Err(Error::OutsideRegion { .. })), "{beyond:?}");
    // Beside a page alone, and between two of a window.
    for place in [5, 7] {
        let there = host.vmm.share_into(own, from(6), other.region, place);
        assert!(matches!(there, Err(Error::AlreadyMapped { .. })), "{there:?}");
    }
    host.vmm.share_into(own, from(6), other.region, 30).expect("memory");
    let there = host.vmm.share_into(own, from(6), other.region, 30);
    assert!(matches!(there, Err(Error::AlreadyMapped { .. })), "{there:?}");
    host.vmm.unmap(own, from(8)).expect("mapped");
    host.refuses(not_mapped(FREE + 8 * PAGE), |vmm| vmm.share_into(own, from(8), other.region, 9));
    let outside = host.vmm.share_into(own, from(32), other.region, 9);
    assert!(outside.is_err(), "it is none of the region");
    host.check();
}

/// I48.
fn what_has_changed_is_looked_at_again(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    // Another region of the same space, with fewer rights, and one that may have more than its
    // source.
    let read = |pages| RegionOptions::new(pages).rights(Rights::READ).ceiling(Rights::READ);
    let low = host.vmm.reserve(other.space, &read(16)).expect("addresses");
    for place in [0, 1, 3] {
        host.vmm.share_into(own, from(1), low, place).expect("memory");
    }
    let seen = host.vmm.mapping_at(other.space, low.start().bits()).expect("an address");
    assert_eq!(seen.expect("mapped").rights, Rights::READ);
    for place in [9, 11, 12] {
        host.vmm.share_into(own, from(1), other.region, place).expect("memory");
    }
    let high = host.vmm.reserve(own, &RegionOptions::new(16)).expect("addresses");
    let error = beyond_ceiling(Rights::READ_WRITE, Rights::READ);
    let source = Pages::at(low.start().bits());
    host.refuses(error, |vmm| vmm.share_into(other.space, source, high, 1));
    // Where the source was is another, which allows less.
    let source = host.vmm.region_at(own, FREE).expect("an address").expect("a region").id;
    host.vmm.release(source).expect("a region");
    host.vmm.map(own, &read(32).at(FREE)).expect("memory");
    host.refuses(error, |vmm| vmm.share_into(own, from(1), other.region, 10));
    // The region is gone, and so is the space.
    host.vmm.release(other.region).expect("a region");
    let gone = Error::NoSuchRegion(other.region);
    host.refuses(gone, |vmm| vmm.share_into(own, from(1), other.region, 10));
    host.check();
}

/// A275.
fn what_a_space_may_have_is_all_it_gets(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    for quota in [Quota { slots: 3, ..Quota::UNLIMITED }, Quota { frames: 3, ..Quota::UNLIMITED }] {
        host.vmm.set_quota(other.space, quota).expect("a space");
        host.vmm.share_into(own, from(9), other.region, 9).expect("it is the third");
        // Into the open block, and elsewhere.
        for place in [10, 40] {
            let fourth = host.vmm.share_into(own, from(10), other.region, place);
            assert!(matches!(fourth, Err(Error::OutOfQuota { .. })), "{fourth:?}");
        }
        host.check();
        host.vmm.unmap(other.space, Pages::at(other.at(9))).expect("mapped");
        host.vmm.set_quota(other.space, Quota::UNLIMITED).expect("a space");
    }
}

/// A275.
fn a_page_has_the_rights_that_were_asked_for(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    for (place, rights) in [(9, Rights::READ), (10, Rights::READ_WRITE), (40, Rights::READ)] {
        let into = (other.region, place);
        host.vmm.share_into_with(own, from(9), into, rights).expect("memory");
        let seen = host.vmm.mapping_at(other.space, other.at(place)).expect("an address");
        assert_eq!(seen.expect("mapped").rights, rights);
        assert_eq!(host.mappings(other.space)[&other.at(place)].rights, rights, "in the kernel");
        host.check();
    }
}

/// A275.
fn what_is_not_cached_is_shared_as_it_is(target: Target) {
    let mut host = ready(target);
    let (own, other) = (host.own(), new_space(&mut host));
    let device = RegionOptions::new(16).cached(CachePolicy::Uncached);
    let start = host.vmm.map(own, &device.at(2 * THERE)).expect("memory").start().bits();
    let into = host.vmm.reserve(other, &device.at(3 * THERE)).expect("addresses");
    for page in [1, 2, 5, 7, 8] {
        host.vmm.share_into(own, Pages::at(start + page * PAGE), into, page).expect("memory");
        let seen = host.mappings(other)[&(into.start().bits() + page * PAGE)];
        assert_eq!(seen.cache, CachePolicy::Uncached, "page {page}");
        host.check();
    }
}

/// A275.
fn a_large_page_is_not_shared_in_part(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(2 * pages).page_size(PageSize::Large { bits });
    let start = host.vmm.map(own, &large.aligned(bits)).expect("memory").start().bits();
    // The first is cut.
    host.vmm.unmap(own, Pages::at(start)).expect("mapped");
    let into = host.vmm.reserve(own, &RegionOptions::new(16)).expect("addresses");
    for page in [1, 2, 5] {
        host.vmm.share_into(own, Pages::at(start + page * PAGE), into, page).expect("memory");
    }
    let inside = start + (1 << bits);
    for place in [3, 4] {
        let refused = host.vmm.share_into(own, Pages::at(inside), into, place);
        assert_eq!(refused, Err(Error::LargePage { address: inside }));
    }
    host.check();
}

/// A275, I16.
fn a_page_under_copy_on_write_is_its_own_first(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    let source = host.vmm.region_at(own, FREE).expect("an address").expect("a region").id;
    let clone = host.vmm.reserve_like(source, other.space, Placement::anywhere()).expect("room");
    assert_eq!(host.vmm.clone_pages(source, 20, clone, 4), Ok(4));
    for (page, place) in [(3, 9), (4, 10)] {
        host.vmm.share_into(own, from(page), other.region, place).expect("memory");
    }
    host.vmm.share_into(own, from(21), other.region, 11).expect("memory");
    host.write(own, FREE + 21 * PAGE, 77);
    assert_eq!(host.read(other.space, other.at(11)), 77, "it is shared");
    let cloned = clone.start().bits() + 21 * PAGE;
    assert_eq!(host.read(other.space, cloned), 22, "the clone has what it was made of");
    host.check();
}

/// A275, A3.
fn a_refused_call_leaves_nothing(target: Target) {
    for place in [9, 40] {
        for kind in [CallKind::CNodeCopy, CallKind::PageMap] {
            let mut host = ready(target);
            let own = host.own();
            let other = passage(&mut host);
            let before = Snapshot::settled(&mut host);
            host.vmm.share_into(own, from(1), other.region, 20).expect("memory");
            host.vmm.unmap(other.space, Pages::at(other.at(20))).expect("mapped");
            host.kernel().fail_nth_of(kind, 1, KernelError::NotEnoughMemory);
            let refused = host.vmm.share_into(own, from(9), other.region, place);
            assert!(matches!(refused, Err(Error::Kernel { .. })), "{refused:?}");
            host.check();
            before.assert_same(&Snapshot::settled(&mut host));
            host.vmm.share_into(own, from(9), other.region, place).expect("memory");
            host.check();
        }
    }
    for kind in [CallKind::PageUnmap, CallKind::CNodeDelete] {
        let mut host = ready(target);
        let other = passage(&mut host);
        host.kernel().fail_nth_of(kind, 1, KernelError::NotEnoughMemory);
        let gone = host.vmm.unmap(other.space, Pages::at(other.at(5)));
        assert!(matches!(gone, Err(Error::Kernel { .. })), "{gone:?}");
        assert_eq!(host.read(other.space, other.at(5)), 4, "it is there still");
        host.check();
        host.vmm.unmap(other.space, Pages::at(other.at(5))).expect("mapped");
        host.check();
    }
}

/// A59.
fn what_is_pinned_stays(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    tagged(&mut host, FREE, 4);
    let options =
        ThreadOptions { stack_pages: 16, guard_pages: 1, growing: None, tls: None, name: "t" };
    let memory = host.vmm.allocate_thread_memory(own, &options).expect("memory");
    let (stack, bottom) = (memory.stack.region(), memory.stack.bottom());
    for page in [4, 6, 8] {
        host.vmm.unmap(own, Pages::at(bottom + page * PAGE)).expect("mapped");
        host.vmm.share_into(own, from(1), stack, page).expect("memory");
    }
    host.vmm.pin_thread_memory(memory).expect("few are pinned");
    let middle = Pages::at(bottom + 8 * PAGE);
    assert_eq!(host.vmm.unmap(own, middle), Err(Error::Pinned(stack)));
    host.vmm.unpin_thread_memory(memory);
    host.vmm.unmap(own, middle).expect("mapped");
    host.check();
}

/// A275: the page table that they were in is kept empty.
fn all_may_go_and_come_again(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let other = passage(&mut host);
    for _ in 0..3 {
        for place in [5, 7] {
            host.vmm.unmap(other.space, Pages::at(other.at(place))).expect("mapped");
            host.check();
        }
        for place in [5, 7] {
            host.vmm.share_into(own, from(place), other.region, place).expect("memory");
            host.check();
        }
    }
    assert_eq!(host.read(other.space, other.at(7)), 8);
}

/// A275: until there is no more memory, and then they can all be unmapped.
fn as_many_come_as_memory_allows(target: Target) {
    let mut host = primed(Machine::small(target));
    let own = host.own();
    let source = tagged(&mut host, FREE, 1).start().bits();
    let wide = RegionOptions::new(1 << 15);
    let region = host.vmm.reserve(own, &wide).expect("addresses");
    let places = || (0..1 << 15).map(|turn| turn * 5 % (1 << 15));
    let refused = places().find_map(|place| {
        let shared = host.vmm.share_into(own, Pages::at(source), region, place);
        shared.err().map(|error| (place, error))
    });
    host.check();
    let (end, error) = refused.expect("memory ends");
    assert_eq!(error.blame(), untyped_alloc::Blame::Resource, "{error:?}");
    for place in places().take_while(|&place| place != end) {
        let page = region.start().bits() + place * PAGE;
        host.vmm.unmap(own, Pages::at(page)).expect("unmapping needs no memory");
    }
    host.check();
    assert_eq!(host.read(own, source), 1);
}

/// A write to a page that is mapped.
fn write(host: &mut Fixture<'_>, space: SpaceId, address: usize) -> vmm::Result<Resolution> {
    let fault = PageFault { address, access: Access::Write, present: true, ip: 0x1000 };
    host.vmm.resolve_fault(space, &fault)
}

/// 32 tagged pages of the own space and their clone beside them, where.
fn cloned(host: &mut Fixture<'_>) -> usize {
    let own = host.own();
    let region = tagged(host, FREE, 32);
    let clone = host.vmm.clone_region(region, own, Placement::anywhere()).expect("memory");
    clone.start().bits()
}

/// A276.
fn a_first_write_gives_the_last_user_the_right_back(target: Target) {
    let mut host = ready(target);
    host.vmm.protect_in_place(u8::MAX).expect("memory");
    let own = host.own();
    let clone = cloned(&mut host);
    let mut quick = 0;
    for page in (0..32).map(|turn| turn * 13 % 32) {
        let (ours, theirs) = (FREE + page * PAGE, clone + page * PAGE);
        for (nth, address) in [ours, theirs].into_iter().enumerate() {
            let calls = host.vmm.kernel_calls();
            let resolved = write(&mut host, own, address + 8).expect("memory");
            assert!(matches!(resolved, Resolution::Resolved(FaultClass::CopyOnWrite)));
            let calls = host.vmm.kernel_calls().since(&calls);
            let mapping = host.mappings(own)[&address];
            assert!(mapping.rights.contains(Rights::WRITE), "in the kernel");
            host.check();
            quick += usize::from(nth == 1 && calls.total() == 1);
            let expected = nth as u64;
            assert_eq!(calls.of(Invocation::PageRemap), expected, "page {page}");
        }
        host.write(own, ours, 1000 + page as u64);
        assert_eq!(host.read(own, theirs), 1 + page as u64, "each has its own");
        let again = write(&mut host, own, ours).expect("memory");
        assert!(matches!(again, Resolution::Resolved(FaultClass::Recorded)), "{again:?}");
    }
    // But where memory for book-keeping was wanting.
    assert!(quick >= 28, "{quick} took one call alone");
}

/// A276, I2.
fn what_may_not_be_written_is_not(target: Target) {
    let mut host = ready(target);
    let own = host.own();
    let clone = cloned(&mut host);
    for page in [2, 9] {
        write(&mut host, own, FREE + page * PAGE).expect("memory");
        write(&mut host, own, clone + page * PAGE).expect("memory");
    }
    // In an open block, each under copy-on-write: shared, and the last user's.
    write(&mut host, own, FREE + 5 * PAGE).expect("memory");
    for address in [clone + 5 * PAGE, clone + 6 * PAGE] {
        host.vmm.protect(own, Pages::at(address), Rights::READ).expect("mapped");
        let refused = write(&mut host, own, address).expect("an answer");
        let beyond = matches!(refused, Resolution::Unresolved(FaultClass::BeyondRights));
        assert!(beyond, "{refused:?}");
        assert_eq!(host.mappings(own)[&address].rights, Rights::READ);
        host.check();
    }
}

/// A276, A3: each call of a first write refused, in an open block, of either side.
fn a_first_write_that_is_refused_keeps_the_contents(target: Target) {
    for of_clone in [false, true] {
        for last in [false, true] {
            for nth in 1.. {
                let mut host = ready(target);
                let own = host.own();
                let clone = cloned(&mut host);
                let (ours, theirs) = if of_clone { (clone, FREE) } else { (FREE, clone) };
                write(&mut host, own, ours + 3 * PAGE).expect("memory");
                write(&mut host, own, ours + 4 * PAGE).expect("memory");
                if last {
                    write(&mut host, own, theirs + 7 * PAGE).expect("memory");
                }
                host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
                let first = write(&mut host, own, ours + 7 * PAGE);
                let unharmed = host.kernel().disarm();
                host.check();
                write(&mut host, own, ours + 7 * PAGE).expect("nothing is refused");
                host.check();
                assert!(host.mappings(own)[&(ours + 7 * PAGE)].rights.contains(Rights::WRITE));
                host.write(own, ours + 7 * PAGE, 99);
                let tags = [host.read(own, ours + 6 * PAGE), host.read(own, theirs + 7 * PAGE)];
                assert_eq!(tags, [7, 8], "call {nth}");
                if unharmed {
                    first.expect("nothing was refused");
                    break;
                }
            }
        }
    }
}
