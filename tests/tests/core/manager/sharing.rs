// SPDX-License-Identifier: BSD-2-Clause
//! Sharing and cloning: what is kept of the source, and what a refusal leaves.

use vmm::{
    Backing, CachePolicy, Error, Invocation, KernelError, Name, PageSize, Pages, Quota,
    RegionOptions, Rights, ShareOptions, Supply,
};
use vmm_tests::support::{beyond_ceiling, wrong_kind};

use super::FREE;
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    a_share_is_cached_as_its_source,
    what_is_cached_in_another_way_is_not_shared_there,
    a_clone_that_is_refused_cuts_no_large_page,
    nobody_is_given_more_rights_than_the_source_allows,
    what_is_cached_in_another_way_is_not_cloned_there,
    as_many_sharers_as_memory_allows_are_counted,
    a_share_with_fewer_rights_gets_the_others_later,
    a_page_is_moved_with_its_frame,
    a_page_is_handed_over_with_its_view,
    pages_are_moved_together_between_stores,
    a_store_is_read_and_written_by_its_own_capabilities,
);

/// A64.
fn a_share_is_cached_as_its_source(target: Target) {
    for cache in [CachePolicy::Uncached, CachePolicy::WriteThrough, CachePolicy::WriteBack] {
        let mut host = Fixture::small(target);
        let own = host.own();
        let space = host.vmm.create_space().expect("memory");
        host.spaces.push(space);
        host.vmm.map(own, &RegionOptions::new(2).at(FREE).cached(cache)).expect("memory");
        let both = Pages::at(FREE).count(2);
        let view = host.vmm.share(own, both, space, &ShareOptions::new()).expect("room");
        let at = view.start().bits() + PAGE;
        let mapping = host.vmm.mapping_at(space, at).expect("an address").expect("mapped");
        assert_eq!(mapping.cache, cache);
        assert_eq!(host.vmm.region_info(view).expect("a region").cache, cache);
        assert_eq!(host.mappings(space)[&at].cache, cache, "in the kernel");
        host.check();
    }
}

/// A64.
fn what_is_cached_in_another_way_is_not_shared_there(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let uncached = RegionOptions::new(2).cached(CachePolicy::Uncached);
    host.vmm.map(own, &uncached.at(FREE)).expect("memory");
    let other = host.vmm.reserve(own, &RegionOptions::new(2)).expect("room");
    let alike = host.vmm.reserve(own, &uncached).expect("room");
    host.refuses(wrong_kind(other), |vmm| vmm.share_into(own, Pages::at(FREE).count(2), other, 0));
    host.vmm.share_into(own, Pages::at(FREE).count(2), alike, 0).expect("it is cached alike");
    let paged = Backing::Pager { token: 1 };
    let other = host.vmm.reserve(own, &RegionOptions::new(2).backed(paged)).expect("room");
    let alike = host.vmm.reserve(own, &uncached.backed(paged)).expect("room");
    let (to, alike) = (other.start().bits(), alike.start().bits());
    host.refuses(wrong_kind(other), |vmm| vmm.supply_page(own, to, own, FREE, Supply::Share));
    host.vmm.supply_page(own, alike, own, FREE, Supply::Share).expect("it is cached alike");
    host.check();
}

/// A66.
fn a_clone_that_is_refused_cuts_no_large_page(target: Target) {
    let mut host = Fixture::roomy(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let bits = target.large_bits();
    let pages = 1 << (bits - 12);
    let large = RegionOptions::new(2 * pages).page_size(PageSize::Large { bits });
    let region = host.vmm.map(space, &large.at(FREE)).expect("memory");
    let anywhere = RegionOptions::new(1);
    // The second is shared.
    let second = FREE + (1 << bits);
    let aligned = ShareOptions::new().aligned(bits);
    let view = host
        .vmm
        .share(space, Pages::at(second).count(pages), host.vmm.own_space(), &aligned)
        .expect("room");
    let shared = Error::Shared { address: second };
    host.refuses(shared, |vmm| vmm.clone_region(region, space, anywhere.placement()));
    host.refuses(shared, |vmm| vmm.clone_space(space));
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    // The receiver may have no more.
    host.vmm.release(view).expect("a region");
    let limited = host.vmm.create_space().expect("memory");
    host.spaces.push(limited);
    host.vmm
        .set_quota(limited, Quota { frames: 2 * pages - 1, ..Quota::UNLIMITED })
        .expect("alive");
    let refused =
        host.vmm.clone_region(region, limited, anywhere.placement()).expect_err("beyond its quota");
    assert!(matches!(refused, Error::OutOfQuota { .. }), "{refused:?}");
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    // A region further on is not ours to clone: nothing of those before it is done.
    let frame = vmm::Blueprint::Frame { size_bits: 12 };
    let objects = host.vmm.allocate_many(frame, 1).expect("memory");
    let high = RegionOptions::new(1).at(FREE + (8 << bits));
    host.vmm.map_objects(space, objects, &high).expect("a frame");
    let not_managed = Error::NotManaged { address: FREE + (8 << bits) };
    host.refuses(not_managed, |vmm| vmm.clone_space(space));
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    host.check();
}

/// A4, I2: by whatever way it is passed on.
fn nobody_is_given_more_rights_than_the_source_allows(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let two = RegionOptions::new(2);
    let read = two.rights(Rights::READ).ceiling(Rights::READ);
    let source = host.vmm.map(own, &read.at(FREE)).expect("memory");
    let error = beyond_ceiling(Rights::READ_WRITE, Rights::READ);
    // Into a new region: with the rights, and with the ceiling alone.
    host.refuses(error, |vmm| {
        vmm.share(own, Pages::at(FREE).count(2), space, &ShareOptions::new())
    });
    let view = ShareOptions::new().rights(Rights::READ).ceiling(Rights::READ_WRITE);
    host.refuses(error, |vmm| vmm.share(own, Pages::at(FREE).count(2), space, &view));
    let later = two.rights(Rights::READ).ceiling(Rights::READ_WRITE);
    // Into one that there is.
    for request in [two, later] {
        let into = host.vmm.reserve(space, &request).expect("room");
        host.refuses(error, |vmm| vmm.share_into(own, Pages::at(FREE).count(2), into, 0));
    }
    // From a pager. What the region may be given later does not count: a pager's pages are its own.
    let paged = host.vmm.reserve(space, &two.backed(Backing::Pager { token: 1 })).expect("room");
    let at = paged.start().bits();
    host.refuses(error, |vmm| vmm.supply_page(space, at, own, FREE, Supply::Share));
    // A clone may do what its source may.
    let into = host.vmm.reserve(space, &read).expect("room");
    let more = host.vmm.map(own, &two).expect("memory");
    host.refuses(error, |vmm| vmm.clone_pages(more, 0, into, usize::MAX));
    // With as few rights, it works.
    host.vmm
        .share_into(own, Pages::at(FREE).count(2), into, 0)
        .expect("no more rights than the source's");
    let clone = host.vmm.clone_region(more, space, two.placement()).expect("as the source's");
    assert_eq!(host.vmm.region_info(clone).expect("a region").ceiling, Rights::READ_WRITE);
    host.vmm.release(source).expect("a region");
    host.check();
}

/// A64.
fn what_is_cached_in_another_way_is_not_cloned_there(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let caches = [CachePolicy::WriteBack, CachePolicy::Uncached, CachePolicy::WriteThrough];
    for cache in caches {
        for other in caches {
            let source = host.vmm.map(own, &RegionOptions::new(2).cached(cache)).expect("memory");
            let into = host.vmm.reserve(own, &RegionOptions::new(2).cached(other)).expect("room");
            if cache == other {
                host.vmm.clone_pages(source, 0, into, usize::MAX).expect("they are cached alike");
                let at = into.start().bits();
                assert_eq!(host.mappings(own)[&at].cache, cache, "in the kernel");
            } else {
                host.refuses(wrong_kind(into), |vmm| vmm.clone_pages(source, 0, into, 2));
            }
        }
    }
    host.check();
}

/// A15: 256 frames that are shared at once need nine groups of counts, wherever in a page of
/// groups the last request ended.
fn as_many_sharers_as_memory_allows_are_counted(target: Target) {
    let mut host = Fixture::new(crate::support::Machine::roomy(target).pool(16));
    let own = host.own();
    // So that batches do not begin where a group does.
    host.vmm.map(own, &RegionOptions::new(7)).expect("memory");
    host.vmm.alloc_slots(7).expect("slots");
    for round in 0..24 {
        let source = host.vmm.map(own, &RegionOptions::new(256)).expect("memory").start().bits();
        let shared = host.vmm.share(own, Pages::at(source).count(256), own, &ShareOptions::new());
        assert!(shared.is_ok(), "round {round}: {shared:?}");
    }
    assert!(host.vmm.stats().bookkeeping_pages > 0, "the case is about nodes that run low");
    host.check();
}

/// A180.
fn a_share_with_fewer_rights_gets_the_others_later(target: Target) {
    let mut host = Fixture::small(target);
    let (own, space) = (host.own(), host.vmm.create_space().expect("memory"));
    host.spaces.push(space);
    host.vmm.map(own, &RegionOptions::new(2).at(FREE)).expect("memory");
    let into = host.vmm.reserve(space, &RegionOptions::new(4)).expect("room");
    let (from, at) = (Pages::at(FREE).count(2), into.start().bits() + PAGE);
    let shared = host.vmm.share_into_with(own, from, (into, 1), Rights::READ);
    shared.expect("no more rights than the region's");
    let rights = |host: &Fixture<'_>, at| {
        let recorded = host.vmm.mapping_at(space, at).expect("an address").expect("mapped").rights;
        assert_eq!(recorded, host.mappings(space)[&at].rights, "in the kernel");
        recorded
    };
    assert_eq!(rights(&host, at), Rights::READ);
    host.vmm.protect(space, Pages::at(at), Rights::READ_WRITE).expect("the region's rights");
    assert_eq!(rights(&host, at), Rights::READ_WRITE);
    assert_eq!(rights(&host, at + PAGE), Rights::READ);
    host.write(space, at, 7);
    assert_eq!(host.read(own, FREE), 7, "it is the same page");
    // Rights that the region does not have are given to nobody.
    let into = host.vmm.reserve(space, &RegionOptions::new(1).rights(Rights::READ)).expect("room");
    let all = Rights::READ_WRITE;
    host.vmm.share_into_with(own, Pages::at(FREE), (into, 0), all).expect("room");
    assert_eq!(rights(&host, into.start().bits()), Rights::READ);
    host.check();
}

/// A181.
fn a_page_is_moved_with_its_frame(target: Target) {
    let mut host = Fixture::small(target);
    let (own, space) = (host.own(), host.vmm.create_space().expect("memory"));
    host.spaces.push(space);
    let source = host.vmm.map(own, &RegionOptions::new(3).at(FREE)).expect("memory");
    for page in 0..3 {
        host.write(own, FREE + page * PAGE, 0x10 + page as u64);
    }
    let into = host.vmm.reserve(space, &RegionOptions::new(4)).expect("room");
    let at = into.start().bits() + 2 * PAGE;
    // From the middle: what stays on either side is as it was.
    host.vmm.transfer_into(own, FREE + PAGE, into, 2).expect("nothing is there");
    assert_eq!(host.read(space, at), 0x11);
    assert_eq!(host.vmm.mapping_at(own, FREE + PAGE).expect("an address"), None);
    assert_eq!((host.read(own, FREE), host.read(own, FREE + 2 * PAGE)), (0x10, 0x12));
    // And back, into the hole.
    let home = host.vmm.region_at(own, FREE).expect("an address").expect("a region").id;
    host.vmm.transfer_into(space, at, home, 1).expect("nothing is there");
    assert_eq!(host.read(own, FREE + PAGE), 0x11);
    // What is refused is where it was.
    let there = Error::AlreadyMapped { address: FREE, name: Name::default() };
    host.refuses(there, |vmm| vmm.transfer_into(own, FREE + PAGE, source, 0));
    let start = into.start().bits();
    let outside = Error::OutsideRegion { address: start, name: Name::default() };
    host.refuses(outside, |vmm| vmm.transfer_into(own, FREE, into, 4));
    let shared = host.vmm.share_into(own, Pages::at(FREE), into, 0);
    shared.expect("room");
    host.refuses(Error::Shared { address: FREE }, |vmm| vmm.transfer_into(own, FREE, into, 1));
    host.refuses(Error::Shared { address: start }, |vmm| vmm.transfer_into(space, start, into, 1));
    let uncached = RegionOptions::new(1).cached(CachePolicy::Uncached);
    let uncached = host.vmm.reserve(space, &uncached).expect("room");
    let page = FREE + PAGE;
    host.refuses(wrong_kind(uncached), |vmm| vmm.transfer_into(own, page, uncached, 0));
    let read = RegionOptions::new(1).rights(Rights::READ).ceiling(Rights::READ);
    let read = host.vmm.map(own, &read).expect("memory").start().bits();
    let error = beyond_ceiling(Rights::READ_WRITE, Rights::READ);
    host.refuses(error, |vmm| vmm.transfer_into(own, read, into, 1));
    host.check();
}

/// A272: two kernel calls, and what is refused is where it was.
fn a_page_is_handed_over_with_its_view(target: Target) {
    let mut host = Fixture::small(target);
    let [giver, taker] = [(); 2].map(|()| host.vmm.create_space().expect("memory"));
    host.spaces.extend([giver, taker]);
    let [one, other] = [(); 2].map(|()| host.vmm.create_store().expect("memory"));
    let source = host.vmm.map(one, &RegionOptions::new(4)).expect("memory").start().bits();
    let into = host.vmm.reserve(other, &RegionOptions::new(4)).expect("room");
    let view = host.vmm.reserve(giver, &RegionOptions::new(4)).expect("room");
    host.vmm.share_into(one, Pages::at(source).count(4), view, 0).expect("nothing is there");
    let seen = |page: usize| (giver, view.start().bits() + page * PAGE);
    let given = |page: usize| (one, source + page * PAGE);
    (0..4).for_each(|page| host.write(giver, seen(page).1, 0x20 + page as u64));
    let target = host.vmm.reserve(taker, &RegionOptions::new(4)).expect("room");
    let at = |page: usize| target.start().bits() + page * PAGE;
    // The first one, for which a page table is made.
    let all = Rights::READ_WRITE;
    assert_eq!(host.vmm.hand_over(given(0), (into, 3), seen(0), (target, 3), all), Ok(true));
    let frame = host.vmm.mapping_at(giver, seen(2).1).expect("an address").expect("a page").frame;
    let before = host.vmm.kernel_calls().total();
    let read = Rights::READ;
    assert_eq!(host.vmm.hand_over(given(2), (into, 1), seen(2), (target, 0), read), Ok(true));
    assert_eq!(host.vmm.kernel_calls().total() - before, 2);
    let page = host.vmm.mapping_at(taker, at(0)).expect("an address").expect("a page");
    assert_eq!((page.frame, page.rights), (frame, read));
    assert_eq!((host.read(taker, at(0)), host.read(taker, at(3))), (0x22, 0x20));
    for (space, gone) in [seen(0), seen(2), given(0), given(2)] {
        assert_eq!(host.vmm.mapping_at(space, gone).expect("an address"), None);
    }
    assert_eq!((host.read(giver, seen(1).1), host.read(giver, seen(3).1)), (0x21, 0x23));
    host.vmm.protect(taker, Pages::at(at(0)), all).expect("its region allows it");
    host.write(taker, at(0), 0x42);
    // What is not the page's view, or not its only one.
    let shared = Error::Shared { address: given(1).1 };
    host.refuses(shared, |vmm| vmm.hand_over(given(1), (into, 0), seen(3), (target, 1), all));
    let more = host.vmm.reserve(taker, &RegionOptions::new(1)).expect("room");
    host.vmm.share_into(one, Pages::at(given(1).1), more, 0).expect("nothing is there");
    let shared = Error::Shared { address: given(1).1 };
    host.refuses(shared, |vmm| vmm.hand_over(given(1), (into, 0), seen(1), (target, 1), all));
    host.vmm.release(more).expect("a region");
    // Where it is to be, and what it may be there.
    let there = Error::AlreadyMapped { address: at(0), name: Name::default() };
    host.refuses(there, |vmm| vmm.hand_over(given(1), (into, 0), seen(1), (target, 0), all));
    let outside = Error::OutsideRegion { address: at(0), name: Name::default() };
    host.refuses(outside, |vmm| vmm.hand_over(given(1), (into, 0), seen(1), (target, 4), all));
    let only = RegionOptions::new(1).rights(read).ceiling(read);
    let only = host.vmm.reserve(other, &only).expect("room");
    let beyond = beyond_ceiling(Rights::READ_WRITE, read);
    host.refuses(beyond, |vmm| vmm.hand_over(given(1), (only, 0), seen(1), (target, 1), all));
    host.refuses(wrong_kind(into), |vmm| {
        vmm.hand_over(given(1), (into, 0), seen(1), (into, 2), all)
    });
    let gone = Error::NotMapped { address: seen(0).1, name: Name::default() };
    host.refuses(gone, |vmm| vmm.hand_over(given(1), (into, 0), seen(0), (target, 1), all));
    // Where the second call is refused, it is moved, and has no view; where the first is, neither.
    for (nth, moved) in [(1, None), (2, Some(false))] {
        host.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let asked = host.vmm.hand_over(given(1), (into, 0), seen(1), (target, 1), all);
        assert!(!host.kernel().disarm(), "call {nth} is made");
        assert_eq!(asked.ok(), moved);
        let is_there = |space, at| host.vmm.mapping_at(space, at).expect("an address").is_some();
        assert_eq!(is_there(one, given(1).1), moved.is_none());
        assert_eq!(is_there(giver, seen(1).1), moved.is_none());
        assert!(!is_there(taker, at(1)));
        host.check();
    }
    host.vmm.share_into(other, Pages::at(into.start().bits()), target, 1).expect("room");
    assert_eq!(host.read(taker, at(1)), 0x21);
    host.check();
}

/// A273: as many as came together and nobody else has, and one otherwise; all with what they hold.
fn pages_are_moved_together_between_stores(target: Target) {
    let mut host = Fixture::small(target);
    let [one, other] = [(); 2].map(|()| host.vmm.create_store().expect("memory"));
    let plain = host.vmm.create_space().expect("memory");
    host.spaces.push(plain);
    let source = host.vmm.map(one, &RegionOptions::new(12)).expect("memory").start().bits();
    let given = |page: usize| (one, source + page * PAGE);
    for page in 0..12 {
        host.vmm.write(one, given(page).1, &[0x30 + page as u8]).expect("it can be written");
    }
    let into = host.vmm.reserve(other, &RegionOptions::new(12)).expect("room");
    let at = |page: usize| into.start().bits() + page * PAGE;
    let byte = |host: &mut Fixture<'_>, space, at| {
        let mut byte = [0];
        host.vmm.read(space, at, &mut byte).map(|()| byte[0])
    };
    let before = host.vmm.kernel_calls();
    assert_eq!(host.vmm.transfer_some_into(given(1), 3, (into, 4)), Ok(3));
    let calls = host.vmm.kernel_calls().since(&before);
    assert_eq!([Invocation::PageMap, Invocation::PageUnmap].map(|of| calls.of(of)), [0; 2]);
    let moved: Vec<_> = (4..7).map(|page| byte(&mut host, other, at(page))).collect();
    assert_eq!(moved, [Ok(0x31), Ok(0x32), Ok(0x33)]);
    for page in 0..12 {
        let stays = host.vmm.mapping_at(one, given(page).1).expect("an address").is_some();
        assert_eq!(stays, !(1..4).contains(&page), "page {page}");
    }
    host.check();
    // One of those behind it is somebody else's too.
    let view = host.vmm.reserve(plain, &RegionOptions::new(1)).expect("room");
    host.vmm.share_into(one, Pages::at(given(6).1), view, 0).expect("nothing is there");
    assert_eq!(host.vmm.transfer_some_into(given(4), 4, (into, 8)), Ok(1));
    let shared = Error::Shared { address: given(6).1 };
    host.refuses(shared, |vmm| vmm.transfer_some_into(given(6), 4, (into, 9)));
    host.vmm.release(view).expect("a region");
    // Something is where the others would go; and the first alone decides what is refused.
    assert_eq!(host.vmm.transfer_some_into(given(5), 3, (into, 3)), Ok(1));
    let there = Error::AlreadyMapped { address: at(4), name: Name::default() };
    host.refuses(there, |vmm| vmm.transfer_some_into(given(6), 2, (into, 4)));
    // They end with their region, and with those that came together.
    assert_eq!(host.vmm.transfer_some_into(given(10), 5, (into, 10)), Ok(2));
    assert_eq!(host.vmm.transfer_some_into(given(8), 2, (into, 9)), Ok(1));
    let outside = Error::OutsideRegion { address: at(0), name: Name::default() };
    host.refuses(outside, |vmm| vmm.transfer_some_into(given(9), 2, (into, 12)));
    // Where threads can run, one at a time.
    let place = host.vmm.reserve(plain, &RegionOptions::new(4)).expect("room");
    assert_eq!(host.vmm.transfer_some_into(given(6), 2, (place, 0)), Ok(1));
    let home = host.vmm.region_at(one, source).expect("an address").expect("a region").id;
    assert_eq!(host.vmm.transfer_some_into(given(7), 1, (place, 1)), Ok(1));
    let page = (plain, place.start().bits());
    assert_eq!(host.vmm.transfer_some_into(page, 2, (home, 0)), {
        Err(Error::AlreadyMapped { address: source, name: Name::default() })
    });
    assert_eq!(host.vmm.transfer_some_into(page, 2, (home, 1)), Ok(1));
    assert_eq!(byte(&mut host, one, given(1).1), Ok(0x36));
    let all: Vec<_> = [3, 8, 9, 10, 11].map(|page| byte(&mut host, other, at(page))).to_vec();
    assert_eq!(all, [Ok(0x35), Ok(0x34), Ok(0x38), Ok(0x3a), Ok(0x3b)]);
    host.check();
}

/// A274: two kernel calls a page; and where the kernel will not unmap a page that was looked at,
/// whatever is done with it next is as if that had not been.
fn a_store_is_read_and_written_by_its_own_capabilities(target: Target) {
    for next in 0..5 {
        let mut host = Fixture::small(target);
        let [store, other] = [(); 2].map(|()| host.vmm.create_store().expect("memory"));
        let region = host.vmm.map(store, &RegionOptions::new(3)).expect("memory");
        let at = region.start().bits() + PAGE;
        let into = host.vmm.reserve(other, &RegionOptions::new(1)).expect("room");
        let mut byte = [0];
        host.vmm.read(store, at, &mut byte).expect("it can be read");
        let before = host.vmm.kernel_calls().total();
        host.vmm.write(store, at, &[0x51]).expect("it can be written");
        host.vmm.read(store, at, &mut byte).expect("it can be read");
        assert_eq!((byte[0], host.vmm.kernel_calls().total() - before), (0x51, 4));
        host.kernel().fail_nth(2, KernelError::IllegalOperation);
        let looked = match next % 2 {
            0 => host.vmm.read(store, at, &mut byte),
            _ => host.vmm.write(store, at, &[0x52]),
        };
        assert!(looked.is_err() && !host.kernel().disarm());
        let held = 0x51 + (next % 2) as u8;
        match next {
            0 => host.vmm.decommit(store, Pages::at(at)).expect("it is there"),
            1 => host.vmm.transfer_into(store, at, into, 0).expect("nothing is there"),
            2 => host.vmm.release(region).expect("a region"),
            3 => host.vmm.destroy_space(store).expect("a space"),
            _ => host.vmm.read(store, at, &mut byte).expect("it can be read"),
        }
        match next {
            0 => {
                host.vmm.populate(store, Pages::at(at)).expect("memory");
                host.vmm.read(store, at, &mut byte).expect("it can be read");
                assert_eq!(byte[0], 0);
            }
            1 => {
                host.vmm.read(other, into.start().bits(), &mut byte).expect("it can be read");
                assert_eq!(byte[0], held);
            }
            4 => assert_eq!(byte[0], held),
            _ => {}
        }
        host.check();
        // All of it can be had again.
        let own = host.own();
        let whole = host.vmm.map(own, &RegionOptions::new(64).at(FREE)).expect("memory");
        (0..64).for_each(|page| assert_eq!(host.read(own, FREE + page * PAGE), 0));
        host.vmm.release(whole).expect("a region");
        host.check();
    }
}
