// SPDX-License-Identifier: BSD-2-Clause
//! Memory that was asked for by its address, in several places: shared, brought into a region that
//! there is, left by its owner first.
//!
//! Checks A360 to A362 of `MODEL.md`.

use vmm::{
    Backing, CachePolicy, Error, Occupant, Pages, Placement, RegionId, RegionOptions, Rights,
    ShareOptions, SpaceId, Supply,
};
use vmm_tests::support::wrong_kind;

use super::{FREE, new_space};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    a_device_that_is_shared_is_one_memory_cached_in_one_way,
    the_last_who_has_a_device_gives_it_back,
    each_page_of_a_device_goes_by_itself,
    what_a_device_holds_is_nobodys_to_copy,
    a_device_goes_into_a_region_that_there_is,
    what_cannot_go_there_is_refused_and_leaves_nothing,
    a_store_has_a_device_that_others_map_by_touches,
    memory_by_address_that_is_shared_does_not_move,
);

fn uncached(pages: usize) -> RegionOptions {
    RegionOptions::new(pages).cached(CachePolicy::Uncached)
}

/// Four pages of the device, in our own space.
fn device(host: &mut Fixture<'_>) -> (RegionId, usize) {
    let (own, paddr) = (host.own(), host.machine.device() + 4 * PAGE);
    let region = host.vmm.map_physical(own, paddr, &uncached(4).at(FREE)).expect("a device");
    (region, paddr)
}

fn shared(host: &mut Fixture<'_>, space: SpaceId) -> RegionId {
    let (own, pages) = (host.own(), Pages::at(FREE).count(4));
    host.vmm.share(own, pages, space, &ShareOptions::new()).expect("room")
}

/// The kernel's physical addresses of the pages of a region that are mapped.
fn addresses(host: &Fixture<'_>, region: RegionId, pages: usize) -> Vec<Option<usize>> {
    let mappings = host.mappings(region.space());
    let at = |page| region.start().bits() + page * PAGE;
    (0..pages).map(|page| mappings.get(&at(page)).map(|mapping| mapping.paddr)).collect()
}

fn all_from(paddr: usize, pages: usize) -> Vec<Option<usize>> {
    (0..pages).map(|page| Some(paddr + page * PAGE)).collect()
}

/// A360: also a share of a share.
fn a_device_that_is_shared_is_one_memory_cached_in_one_way(target: Target) {
    let mut host = Fixture::small(target);
    let (one, other) = (new_space(&mut host), new_space(&mut host));
    let (_, paddr) = device(&mut host);
    let first = shared(&mut host, one);
    let seen = Pages::at(first.start().bits()).count(4);
    let read = ShareOptions::new().rights(Rights::READ);
    let second = host.vmm.share(one, seen, other, &read).expect("room");
    for view in [first, second] {
        assert_eq!(addresses(&host, view, 4), all_from(paddr, 4));
        for mapping in host.mappings(view.space()).values() {
            assert_eq!(mapping.cache, CachePolicy::Uncached, "in the kernel");
        }
    }
    host.check();
}

/// A360: whichever goes first, the memory is in use until the last is gone, and free then.
fn the_last_who_has_a_device_gives_it_back(target: Target) {
    for owner_goes in 0..3 {
        let mut host = Fixture::small(target);
        let own = host.own();
        let before = host.vmm.stats().allocator.untyped_bytes;
        let (one, other) = (new_space(&mut host), new_space(&mut host));
        let (region, paddr) = device(&mut host);
        let mut all = vec![shared(&mut host, one), shared(&mut host, other)];
        all.insert(owner_goes, region);
        for (nth, region) in all.into_iter().enumerate() {
            let again = host.vmm.map_physical(own, paddr, &uncached(4));
            assert!(matches!(again, Err(Error::PhysicalInUse { .. })), "{nth}: {again:?}");
            host.vmm.release(region).expect("a region");
            host.check();
        }
        let again = host.vmm.map_physical(own, paddr, &uncached(4)).expect("nobody has it");
        assert_eq!(addresses(&host, again, 4), all_from(paddr, 4));
        host.vmm.release(again).expect("a region");
        host.spaces.retain(|&space| space == own);
        for space in [one, other] {
            host.vmm.destroy_space(space).expect("a space");
        }
        host.vmm.trim().expect("nothing is refused");
        assert_eq!(host.vmm.stats().allocator.untyped_bytes, before);
        host.check();
    }
}

/// A360.
fn each_page_of_a_device_goes_by_itself(target: Target) {
    let mut host = Fixture::small(target);
    let (own, other) = (host.own(), new_space(&mut host));
    let (_, paddr) = device(&mut host);
    let view = shared(&mut host, other);
    let at = |region: usize, page: usize| Pages::at(region + page * PAGE);
    let seen = view.start().bits();
    // Of page 1 the owner goes first, of page 2 who shares it; 0 and 3 both have.
    host.vmm.decommit(own, at(FREE, 1)).expect("mapped");
    host.vmm.decommit(other, at(seen, 2)).expect("mapped");
    host.check();
    let page = |page: usize| Some(paddr + page * PAGE);
    assert_eq!(addresses(&host, view, 4), [page(0), page(1), None, page(3)]);
    let in_use = |host: &mut Fixture<'_>, nth: usize| {
        let mapped = host.vmm.map_physical(own, paddr + nth * PAGE, &uncached(1));
        matches!(mapped, Err(Error::PhysicalInUse { .. }))
    };
    assert!(in_use(&mut host, 1) && in_use(&mut host, 2));
    host.vmm.decommit(other, at(seen, 1)).expect("mapped");
    host.vmm.decommit(own, at(FREE, 2)).expect("mapped");
    host.check();
    // They came together, and are free once all of them are.
    host.vmm.decommit(own, at(FREE, 0)).expect("mapped");
    host.vmm.decommit(own, at(FREE, 3)).expect("mapped");
    host.vmm.decommit(other, at(seen, 0)).expect("mapped");
    host.check();
    assert!((0..4).all(|nth| in_use(&mut host, nth)));
    host.vmm.decommit(other, at(seen, 3)).expect("mapped");
    host.check();
    for nth in [1, 2] {
        let again = host.vmm.map_physical(own, paddr + nth * PAGE, &uncached(1));
        assert_eq!(addresses(&host, again.expect("nobody has it"), 1), [page(nth)]);
    }
    host.check();
}

/// A361: nor through a share of it, whether its owner is there still or not.
fn what_a_device_holds_is_nobodys_to_copy(target: Target) {
    let mut host = Fixture::small(target);
    let (own, other) = (host.own(), new_space(&mut host));
    let (region, _) = device(&mut host);
    let view = shared(&mut host, other);
    let paged = uncached(1).backed(Backing::Pager { token: 1 });
    let paged = host.vmm.reserve(other, &paged).expect("room").start().bits();
    let mut word = [0; 4];
    for (place, is_there) in [((own, region), false), ((other, view), false), ((other, view), true)]
    {
        let (space, its) = place;
        if is_there {
            host.vmm.release(region).expect("a region");
        }
        let address = its.start().bits();
        let error = Error::NotManaged { address };
        host.refuses(error, |vmm| vmm.read(space, address, &mut word));
        host.refuses(error, |vmm| vmm.write(space, address, &[1]));
        host.refuses(error, |vmm| vmm.clone_region(its, other, Placement::anywhere()));
        host.refuses(error, |vmm| vmm.clone_region_on_demand(its, other, Placement::anywhere()));
        for supply in [Supply::Share, Supply::Transfer] {
            host.refuses(error, |vmm| vmm.supply_page(other, paged, space, address, supply));
        }
    }
    host.check();
}

/// A362.
fn a_device_goes_into_a_region_that_there_is(target: Target) {
    let mut host = Fixture::small(target);
    let (own, paddr) = (host.own(), host.machine.device());
    let options = uncached(8).guarded(1, 1).rights(Rights::READ).at(FREE);
    let region = host.vmm.reserve(own, &options).expect("room");
    // Two parts, the upper one first, and not one of both aligned as it could be.
    host.vmm.map_physical_into(region, 3, paddr + 7 * PAGE, 5).expect("a device");
    host.vmm.map_physical_into(region, 0, paddr + PAGE, 2).expect("a device");
    host.check();
    let mappings = host.mappings(own);
    let seen = |page: usize| mappings.get(&(FREE + page * PAGE));
    for (page, from) in [(0, 1), (1, 2), (3, 7), (4, 8), (7, 11)] {
        let mapping = seen(page).expect("mapped");
        assert_eq!(mapping.paddr, paddr + from * PAGE, "page {page}");
        assert_eq!((mapping.rights, mapping.cache), (Rights::READ, CachePolicy::Uncached));
    }
    assert!(seen(2).is_none() && seen(8).is_none());
    host.vmm.release(region).expect("a region");
    host.vmm.map_physical(own, paddr, &uncached(16)).expect("all of it is free");
    host.check();
}

/// A362.
fn what_cannot_go_there_is_refused_and_leaves_nothing(target: Target) {
    let mut host = Fixture::small(target);
    let (own, paddr) = (host.own(), host.machine.device());
    let region = host.vmm.reserve(own, &uncached(4).at(FREE)).expect("room");
    let name = host.vmm.region_info(region).expect("a region").name;
    let error = untyped_alloc::Error::Misaligned { paddr: paddr + 8, size_bits: 12 };
    host.refuses(error.into(), |vmm| vmm.map_physical_into(region, 0, paddr + 8, 1));
    for (page, pages) in [(0, 5), (4, 1), (usize::MAX, 1), (1, usize::MAX), (0, 0)] {
        let error = Error::OutsideRegion { address: FREE, name };
        host.refuses(error, |vmm| vmm.map_physical_into(region, page, paddr, pages));
    }
    // The device's last two pages, and what is behind it.
    let end = paddr + (1 << 16);
    let error = untyped_alloc::Error::NoUntypedAt(end);
    host.refuses_leaving_nothing(error.into(), |vmm| {
        vmm.map_physical_into(region, 0, end - 2 * PAGE, 4)
    });
    host.vmm.map_physical_into(region, 1, paddr, 1).expect("a device");
    let error = Error::AlreadyMapped { address: FREE + PAGE, name };
    host.refuses(error, |vmm| vmm.map_physical_into(region, 0, paddr + PAGE, 2));
    let by = Occupant::Region { region, paddr };
    let error = Error::PhysicalInUse { paddr, by };
    host.refuses(error, |vmm| vmm.map_physical_into(region, 2, paddr, 2));
    let image = host.vmm.next_region(own, 0).expect("a space").expect("the boot image");
    host.refuses(wrong_kind(image.id), |vmm| vmm.map_physical_into(image.id, 0, paddr + PAGE, 1));
    host.check();
}

/// A360, A362.
fn a_store_has_a_device_that_others_map_by_touches(target: Target) {
    let mut host = Fixture::small(target);
    let paddr = host.machine.device();
    let store = host.vmm.create_store().expect("memory");
    host.spaces.push(store);
    let (one, other) = (new_space(&mut host), new_space(&mut host));
    let region = host.vmm.reserve(store, &uncached(16)).expect("room");
    host.vmm.map_physical_into(region, 0, paddr, 16).expect("a device");
    assert_eq!(host.mappings(store).len(), 0, "nothing is mapped in a store");
    let views = [one, other].map(|space| host.vmm.reserve(space, &uncached(16)).expect("room"));
    for page in [3, 4, 0, 15, 5, 3] {
        let from = Pages::at(region.start().bits() + page * PAGE);
        for view in views {
            let seen = host.vmm.mapping_at(view.space(), view.start().bits() + page * PAGE);
            if seen.expect("an address").is_none() {
                host.vmm.share_into(store, from, view, page).expect("room");
            }
        }
        host.check();
    }
    for view in views {
        let seen = addresses(&host, view, 16);
        for (page, seen) in seen.into_iter().enumerate() {
            let is_there = [0, 3, 4, 5, 15].contains(&page);
            assert_eq!(seen, is_there.then_some(paddr + page * PAGE), "page {page}");
        }
    }
    host.vmm.destroy_space(store).expect("a space");
    host.spaces.retain(|&space| space != store);
    host.check();
    views.into_iter().for_each(|view| host.vmm.release(view).expect("a region"));
    host.vmm.map_physical(host.own(), paddr, &uncached(16)).expect("nobody has it");
    host.check();
}

/// A360: neither while its owner is there, nor afterwards.
fn memory_by_address_that_is_shared_does_not_move(target: Target) {
    let mut host = Fixture::small(target);
    let (own, other) = (host.own(), new_space(&mut host));
    let base = host.machine.config.ram[0].0;
    let options = RegionOptions::new(2).at(FREE);
    let found = (0..256).map(|page| base + page * PAGE).find_map(|paddr| {
        host.vmm.map_physical(own, paddr, &options).ok().map(|region| (region, paddr))
    });
    let (region, paddr) = found.expect("free memory");
    let view =
        host.vmm.share(own, Pages::at(FREE).count(2), other, &ShareOptions::new()).expect("room");
    for owner_there in [true, false] {
        if !owner_there {
            host.vmm.release(region).expect("a region");
        }
        let in_the_way = host.vmm.map_physical(own, paddr, &RegionOptions::new(1));
        assert!(matches!(in_the_way, Err(Error::PhysicalInUse { .. })), "{in_the_way:?}");
        host.vmm.compact(22).expect("nothing is refused");
        assert_eq!(addresses(&host, view, 2), all_from(paddr, 2));
        host.check();
    }
}
