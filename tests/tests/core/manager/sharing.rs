//! Sharing and cloning: what is kept of the source, and what a refusal leaves.

use vmm::{Backing, CachePolicy, Error, PageSize, Quota, RegionOptions, Supply};

use super::FREE;
use crate::support::{Fixture, PAGE, Target, on_both};

on_both!(
    a_share_is_cached_as_its_source,
    what_is_cached_in_another_way_is_not_shared_there,
    a_clone_that_is_refused_cuts_no_large_page,
);

/// A64.
fn a_share_is_cached_as_its_source(target: Target) {
    for cache in [CachePolicy::Uncached, CachePolicy::WriteThrough, CachePolicy::WriteBack] {
        let mut host = Fixture::small(target);
        let own = host.own();
        let space = host.vmm.create_space().expect("memory");
        host.spaces.push(space);
        host.vmm.map(own, &RegionOptions::new(2).at(FREE).cached(cache)).expect("memory");
        for wished in [CachePolicy::WriteBack, CachePolicy::WriteCombining] {
            let options = RegionOptions::new(1).cached(wished);
            let view = host.vmm.share(own, FREE, 2, space, &options).expect("room");
            let at = view.start().bits() + PAGE;
            let mapping = host.vmm.mapping_at(space, at).expect("an address").expect("mapped");
            assert_eq!(mapping.cache, cache);
            assert_eq!(host.vmm.region_info(view).expect("a region").cache, cache);
            assert_eq!(host.mappings(space)[&at].cache, cache, "in the kernel");
        }
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
    host.refuses(Error::WrongKind(other), |vmm| vmm.share_into(own, FREE, 2, other, 0));
    host.vmm.share_into(own, FREE, 2, alike, 0).expect("it is cached alike");
    let paged = Backing::Pager { token: 1 };
    let other = host.vmm.reserve(own, &RegionOptions::new(2).backed(paged)).expect("room");
    let alike = host.vmm.reserve(own, &uncached.backed(paged)).expect("room");
    let (to, alike) = (other.start().bits(), alike.start().bits());
    host.refuses(Error::WrongKind(other), |vmm| vmm.supply_page(own, to, own, FREE, Supply::Share));
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
    let aligned = RegionOptions::new(pages).aligned(bits);
    let view = host.vmm.share(space, second, pages, host.vmm.own_space(), &aligned).expect("room");
    let shared = Error::Shared { address: second };
    host.refuses(shared, |vmm| vmm.clone_region(region, space, &anywhere));
    host.refuses(shared, |vmm| vmm.clone_space(space));
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    // The receiver may have no more.
    host.vmm.release(view).expect("a region");
    let limited = host.vmm.create_space().expect("memory");
    host.spaces.push(limited);
    host.vmm
        .set_quota(limited, Quota { frames: 2 * pages - 1, ..Quota::UNLIMITED })
        .expect("alive");
    let refused = host.vmm.clone_region(region, limited, &anywhere).expect_err("beyond its quota");
    assert!(matches!(refused, Error::OutOfQuota { .. }), "{refused:?}");
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    // A region further on is not ours to clone: nothing of those before it is done.
    let frame = vmm::Blueprint::Frame { size_bits: 12 };
    let objects = host.vmm.allocate_many(frame, 1).expect("memory");
    let high = RegionOptions::new(1).at(FREE + (8 << bits));
    host.vmm.map_objects(space, objects, &high).expect("a frame");
    let not_ours = Error::NotManaged { address: FREE + (8 << bits) };
    host.refuses(not_ours, |vmm| vmm.clone_space(space));
    assert_eq!(host.vmm.large_pages_in(region), Ok(2 * pages), "both are large still");
    host.check();
}
