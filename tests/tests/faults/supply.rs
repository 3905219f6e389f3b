// SPDX-License-Identifier: BSD-2-Clause
//! Pages that a pager outside supplies, shared or given away.

use untyped_alloc::{KernelError, Rights};
use vmm::{
    Access, Backing, Error, FaultClass, PageFault, Pages, Quota, RegionId, RegionOptions,
    Resolution, Resource, SpaceId, Supply,
};
use vmm_tests::support::{already_mapped, beyond_ceiling, in_guard, outside_region, wrong_kind};

use crate::support::{Fixture, PAGE, Snapshot, Target, on_both};
use crate::world::touch;

on_both!(
    a_fault_asks_the_pager_for_the_page_by_number,
    a_page_keeps_its_number,
    a_shared_page_shows_each_other_s_writes,
    a_transferred_page_is_the_receiver_s_alone,
    what_is_supplied_outlives_the_pager,
    a_page_that_was_given_up_is_asked_for_again,
    what_cannot_be_supplied_is_refused,
    a_supply_that_is_refused_can_be_repeated,
);

const BOTH: [Supply; 2] = [Supply::Share, Supply::Transfer];

struct Scene {
    host: Fixture<'static>,
    client: SpaceId,
    paged: RegionId,
    pager: SpaceId,
    store: RegionId,
}

impl Scene {
    /// A client with four pages behind a pager, which has four of its own with tags 10 to 13.
    fn new(target: Target) -> Scene {
        let mut host = Fixture::small(target);
        let client = host.vmm.create_space().expect("a space");
        let pager = host.vmm.create_space().expect("a space");
        host.spaces.extend([client, pager]);
        let paged = RegionOptions::new(4).guarded(1, 1).backed(Backing::Pager { token: 42 });
        let paged = host.vmm.reserve(client, &paged).expect("room");
        let store = host.vmm.map(pager, &RegionOptions::new(4)).expect("memory");
        let scene = Scene { host, client, paged, pager, store };
        (0..4).for_each(|page| scene.host.write(pager, scene.page(page), 10 + page as u64));
        scene
    }

    fn address(&self, page: usize) -> usize {
        self.paged.start().bits() + (1 + page) * PAGE
    }

    fn page(&self, page: usize) -> usize {
        self.store.start().bits() + page * PAGE
    }

    fn supply(&mut self, page: usize, from: usize, supply: Supply) -> vmm::Result {
        let (address, given) = (self.address(page), self.page(from));
        self.host.vmm.supply_page(self.client, address + 12, self.pager, given, supply)
    }
}

fn a_fault_asks_the_pager_for_the_page_by_number(target: Target) {
    let mut scene = Scene::new(target);
    for page in 0..4 {
        for access in [Access::Read, Access::Write] {
            let address = scene.address(page) + 8;
            let fault = PageFault { address, access, present: false, ip: 0 };
            let resolution = scene.host.vmm.resolve_fault(scene.client, &fault);
            assert_eq!(resolution, Ok(Resolution::AskPager { token: 42, page }));
        }
    }
    scene.host.check();
}

/// A65.
fn a_page_keeps_its_number(target: Target) {
    let mut scene = Scene::new(target);
    let (space, first) = (scene.client, scene.address(0));
    let asked = |scene: &mut Scene, address| {
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        scene.host.vmm.resolve_fault(space, &fault)
    };
    let numbers = |scene: &mut Scene, numbers: [usize; 4]| {
        for (page, number) in numbers.into_iter().enumerate() {
            let answer = Ok(Resolution::AskPager { token: 42, page: number });
            assert_eq!(asked(scene, first + page * PAGE), answer);
        }
    };
    let upper = scene.host.vmm.split_region(scene.paged, 1).expect("one and three");
    numbers(&mut scene, [0, 1, 2, 3]);
    let top = scene.host.vmm.split_region(upper, 2).expect("two and one");
    numbers(&mut scene, [0, 1, 2, 3]);
    // A clone and a region like it are of the same pages; so is what is moved.
    let options = RegionOptions::new(1);
    let clone =
        scene.host.vmm.clone_region(top, space, options.placement()).expect("nothing is mapped");
    let like = scene.host.vmm.reserve_like(top, space, options.placement()).expect("room");
    for region in [clone, like] {
        let answer = Ok(Resolution::AskPager { token: 42, page: 3 });
        assert_eq!(asked(&mut scene, region.start().bits()), answer);
    }
    let moved = scene.host.vmm.move_region(clone, options.placement()).expect("room");
    let answer = Ok(Resolution::AskPager { token: 42, page: 3 });
    assert_eq!(asked(&mut scene, moved.start().bits()), answer);
    // Merged, each page has the number it had.
    scene.host.vmm.merge_regions(upper, top).expect("they are neighbours");
    scene.host.vmm.merge_regions(scene.paged, upper).expect("they are neighbours");
    numbers(&mut scene, [0, 1, 2, 3]);
    // Where it would get another, nothing is merged.
    let at = 0x5000_0000;
    let paged = RegionOptions::new(2).backed(Backing::Pager { token: 42 });
    let lower = scene.host.vmm.reserve(space, &paged.at(at)).expect("room");
    let apart = scene.host.vmm.reserve(space, &paged.at(at + 2 * PAGE)).expect("room");
    scene.host.refuses(wrong_kind(apart), |vmm| vmm.merge_regions(lower, apart));
    scene.host.check();
}

/// A8.
fn a_shared_page_shows_each_other_s_writes(target: Target) {
    let mut scene = Scene::new(target);
    scene.supply(2, 1, Supply::Share).expect("it can be");
    let (client, pager, at, there) = (scene.client, scene.pager, scene.address(2), scene.page(1));
    assert_eq!(scene.host.read(client, at), 11);
    scene.host.write(client, at, 99);
    assert_eq!(scene.host.read(pager, there), 99);
    scene.host.write(pager, there, 98);
    assert_eq!(scene.host.read(client, at), 98);
    scene.host.check();
}

fn a_transferred_page_is_the_receiver_s_alone(target: Target) {
    let mut scene = Scene::new(target);
    let owned = |scene: &Scene, space| scene.host.vmm.usage(space).expect("a space").frames;
    scene.supply(0, 3, Supply::Transfer).expect("it can be");
    assert_eq!(scene.host.read(scene.client, scene.address(0)), 13);
    assert_eq!((owned(&scene, scene.client), owned(&scene, scene.pager)), (1, 3));
    assert!(!scene.host.mappings(scene.pager).contains_key(&scene.page(3)));
    scene.host.assert_no_frame_twice(&[scene.client, scene.pager]);
    scene.host.check();
}

fn what_is_supplied_outlives_the_pager(target: Target) {
    for supply in BOTH {
        let mut scene = Scene::new(target);
        let before = Snapshot::settled(&mut scene.host);
        scene.supply(0, 0, supply).expect("it can be");
        scene.supply(3, 1, supply).expect("it can be");
        scene.host.vmm.destroy_space(scene.pager).expect("no thread is in it");
        scene.host.spaces.retain(|&space| space != scene.pager);
        scene.host.check();
        assert_eq!(scene.host.read(scene.client, scene.address(0)), 10);
        assert_eq!(scene.host.read(scene.client, scene.address(3)), 11);
        scene.host.vmm.destroy_space(scene.client).expect("no thread is in it");
        scene.host.spaces.retain(|&space| space != scene.client);
        let after = Snapshot::settled(&mut scene.host);
        assert!(after.free_bytes > before.free_bytes);
        assert_eq!(scene.host.vmm.stats().allocator.live.frames[0], 0);
    }
}

fn a_page_that_was_given_up_is_asked_for_again(target: Target) {
    for supply in BOTH {
        let mut scene = Scene::new(target);
        scene.supply(1, 0, supply).expect("it can be");
        scene.host.vmm.unmap(scene.client, Pages::at(scene.address(1))).expect("it is mapped");
        let at = scene.address(1);
        let touched = touch(&mut scene.host, scene.client, at, Access::Read, 0).expect("no error");
        assert_eq!(touched.class, Some(FaultClass::Pager { token: 42 }));
        scene.supply(1, 2, supply).expect("it can be");
        assert_eq!(scene.host.read(scene.client, at), 12);
        scene.host.check();
    }
}

fn what_cannot_be_supplied_is_refused(target: Target) {
    for supply in BOTH {
        let mut scene = Scene::new(target);
        let (client, pager, own) = (scene.client, scene.pager, scene.host.own());
        let (at, page, store) = (scene.address(0), scene.page(0), scene.store);
        let stale = SpaceId::from_parts(999, 999);
        let mut refuses = |error, space, address, from, page| {
            let host = &mut scene.host;
            host.refuses(error, |vmm| vmm.supply_page(space, address, from, page, supply));
        };
        refuses(Error::NoSuchSpace(stale), stale, at, pager, page);
        refuses(Error::NoSuchSpace(stale), client, at, stale, page);
        refuses(in_guard(at - PAGE), client, at - 1, pager, page);
        refuses(in_guard(at + 4 * PAGE), client, at + 4 * PAGE, pager, page);
        refuses(outside_region(at + 64 * PAGE), client, at + 64 * PAGE, pager, page);
        refuses(wrong_kind(store), pager, page, pager, page);
        refuses(outside_region(page + 4 * PAGE), client, at, pager, page + 4 * PAGE);
        let _ = own;

        scene
            .host
            .vmm
            .set_quota(client, Quota { slots: 0, frames: 0, ..Quota::UNLIMITED })
            .unwrap();
        let resource = match supply {
            Supply::Share => Resource::Slots,
            Supply::Transfer => Resource::Frames,
        };
        let out = Error::OutOfQuota { space: client, resource, limit: 0, used: 0, wanted: 1 };
        scene.host.refuses(out, |vmm| vmm.supply_page(client, at, pager, page, supply));
        scene.host.vmm.set_quota(client, Quota::UNLIMITED).unwrap();

        // Read-only memory is not made writable by way of a pager.
        let options = RegionOptions::new(1).rights(Rights::READ).ceiling(Rights::READ);
        let read_only = scene.host.vmm.map(pager, &options).expect("memory").start().bits();
        let exceeds = beyond_ceiling(Rights::READ_WRITE, Rights::READ);
        scene.host.refuses(exceeds, |vmm| vmm.supply_page(client, at, pager, read_only, supply));

        scene.supply(0, 0, supply).expect("it can be");
        let mapped = already_mapped(at);
        let next = scene.page(1);
        scene.host.refuses(mapped, |vmm| vmm.supply_page(client, at + 5, pager, next, supply));
        if supply == Supply::Share {
            let (other, shared) = (scene.address(1), Error::Shared { address: page });
            let transfer = Supply::Transfer;
            scene.host.refuses(shared, |vmm| vmm.supply_page(client, other, pager, page, transfer));
        }
    }
}

fn a_supply_that_is_refused_can_be_repeated(target: Target) {
    for supply in BOTH {
        for nth in 1.. {
            let mut scene = Scene::new(target);
            let before = Snapshot::settled(&mut scene.host);
            scene.host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
            let first = scene.supply(1, 2, supply);
            let unharmed = scene.host.kernel().disarm();
            scene.host.check();
            if first.is_err() {
                before.assert_same(&Snapshot::settled(&mut scene.host));
                scene.supply(1, 2, supply).expect("nothing is refused now");
            }
            assert_eq!(scene.host.read(scene.client, scene.address(1)), 12);
            scene.host.check();
            if unharmed {
                break;
            }
        }
    }
}
