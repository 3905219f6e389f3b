// SPDX-License-Identifier: BSD-2-Clause
//! Page tables that are taken from the kernel with all their pages: what is cloned or protected on
//! demand, and comes back when it is touched.
//!
//! Checks A307, A308 and I60 of `MODEL.md`.

use untyped_alloc::{Invocation, KernelError, Rights};
use vmm::{
    Access, Backing, Error, FaultClass, PageFault, Pages, Placement, RegionOptions, Resolution,
    SpaceId,
};

use super::{FREE, new_space, tagged};
use crate::support::{Fixture, Machine, PAGE, Target, on_both};

on_both!(
    protecting_takes_a_call_a_table,
    a_clone_takes_a_call_a_table_of_its_origin,
    what_shares_its_table_is_protected_page_by_page,
    a_few_pages_are_protected_page_by_page,
    pages_may_change_before_they_are_touched,
    single_pages_come_beside_and_go,
    a_touch_brings_its_block,
    a_table_that_stays_has_its_pages_changed_one_by_one,
    a_refused_touch_may_come_again,
    the_own_space_and_stores_keep_their_tables,
    a_space_ends_without_its_tables,
    a_clone_that_is_refused_leaves_all_that_can_be_written,
);

/// Pages below one page table, and a few below the next.
fn pages(target: Target) -> usize {
    (1 << (target.large_bits() - 12)) + 20
}

struct Scene {
    host: Fixture<'static>,
    space: SpaceId,
    start: usize,
    pages: usize,
}

impl Scene {
    fn new(target: Target) -> Scene {
        Scene::with(target, |options| options)
    }

    /// Tagged pages from the start of a page table on.
    fn with(target: Target, like: impl Fn(RegionOptions) -> RegionOptions) -> Scene {
        let mut host = Fixture::new(Machine::roomy(target));
        let (space, pages) = (new_space(&mut host), pages(target));
        let start = FREE.next_multiple_of(1 << target.large_bits());
        let region = host.vmm.reserve(space, &like(RegionOptions::new(pages).at(start)));
        host.vmm.populate(space, Pages::at(start).count(pages)).expect("memory");
        region.expect("addresses");
        (0..pages).for_each(|page| host.write(space, start + page * PAGE, 1 + page as u64));
        Scene { host, space, start, pages }
    }

    fn at(&self, page: usize) -> usize {
        self.start + page * PAGE
    }

    fn all(&self) -> Pages {
        Pages::at(self.start).count(self.pages)
    }

    fn protect(&mut self, rights: Rights) {
        self.host.vmm.protect_on_demand(self.space, self.all(), rights).expect("mapped");
        self.host.check();
    }

    fn mapped(&self) -> usize {
        self.host.mappings(self.space).len()
    }

    fn touch(&mut self, page: usize, access: Access) -> vmm::Result<Resolution> {
        let present = self.host.mappings(self.space).contains_key(&self.at(page));
        let fault = PageFault { address: self.at(page), access, present, ip: 0x1000 };
        self.host.vmm.resolve_fault(self.space, &fault)
    }

    /// A page is touched, and is there with these rights.
    #[track_caller]
    fn comes(&mut self, page: usize, rights: Rights) {
        let resolved = self.touch(page, Access::Read).expect("nothing is wanting");
        assert_eq!(resolved, Resolution::Resolved(FaultClass::Recorded));
        self.host.check();
        let at = self.at(page);
        assert_eq!(self.host.read(self.space, at), 1 + page as u64);
        assert_eq!(self.host.mappings(self.space)[&at].rights & Rights::READ_WRITE, rights);
    }
}

/// A307.
fn protecting_takes_a_call_a_table(target: Target) {
    let mut scene = Scene::new(target);
    let calls = scene.host.vmm.kernel_calls();
    scene.protect(Rights::READ);
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    // The second table has as few pages as pay.
    assert_eq!((calls.of(Invocation::TableUnmap), calls.total()), (2, 2));
    assert_eq!(scene.mapped(), 0);
    let told = scene.host.vmm.space_stats(scene.space).expect("a space");
    assert_eq!((told.mapped_pages, told.tables > 1), (scene.pages, true), "all is recorded");
    let calls = scene.host.vmm.kernel_calls();
    scene.comes(700 % scene.pages, Rights::READ);
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    let [tables, pages] = [Invocation::TableMap, Invocation::PageRemap].map(|call| calls.of(call));
    assert_eq!((tables, pages, calls.total()), (1, 2, 3), "one finds no table");
    let refused = scene.touch(3, Access::Write).expect("an answer");
    assert_eq!(refused, Resolution::Unresolved(FaultClass::BeyondRights));
    let calls = scene.host.vmm.kernel_calls();
    scene.comes(4, Rights::READ);
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 1);
    // And back: those that are there, and those that are not.
    scene.protect(Rights::READ_WRITE);
    for page in [4, 700 % scene.pages, scene.pages - 1] {
        scene.comes(page, Rights::READ_WRITE);
        scene.host.write(scene.space, scene.at(page), 1 + page as u64);
    }
}

/// A307.
fn a_clone_takes_a_call_a_table_of_its_origin(target: Target) {
    let mut scene = Scene::new(target);
    let other = new_space(&mut scene.host);
    let region = scene.host.vmm.region_at(scene.space, scene.start).expect("alive");
    let region = region.expect("a region").id;
    let calls = scene.host.vmm.kernel_calls();
    let clone = scene.host.vmm.clone_region_on_demand(region, other, Placement::at(scene.start));
    let clone = clone.expect("memory");
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    assert_eq!((calls.of(Invocation::TableUnmap), calls.of(Invocation::PageRemap)), (2, 0));
    scene.host.check();
    assert_eq!((scene.mapped(), scene.host.mappings(other).len()), (0, 0));
    // A read, and a write, on either side.
    scene.comes(3, Rights::READ);
    scene.touch(5, Access::Write).expect("memory");
    scene.host.write(scene.space, scene.at(5), 99);
    for (page, holds) in [(3, 4), (5, 6), (6, 7)] {
        let address = scene.at(page);
        let access = if page == 6 { Access::Write } else { Access::Read };
        let fault = PageFault { address, access, present: false, ip: 0 };
        scene.host.vmm.resolve_fault(other, &fault).expect("memory");
        assert_eq!(scene.host.read(other, address), holds);
        scene.host.check();
    }
    scene.host.write(other, scene.at(6), 77);
    scene.comes(6, Rights::READ);
    // The clone is gone: a write is the last user's.
    scene.host.vmm.release(clone).expect("a region");
    scene.touch(9, Access::Write).expect("memory");
    scene.host.write(scene.space, scene.at(9), 10);
    scene.host.vmm.restore_write_access(region).expect("a region");
    scene.host.check();
    scene.comes(11, Rights::READ_WRITE);
}

/// A307.
fn what_shares_its_table_is_protected_page_by_page(target: Target) {
    let mut scene = Scene::new(target);
    let beside = RegionOptions::new(1).at(scene.at(scene.pages));
    scene.host.vmm.map(scene.space, &beside).expect("memory");
    let calls = scene.host.vmm.kernel_calls();
    scene.protect(Rights::READ);
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    assert_eq!((calls.of(Invocation::TableUnmap), calls.of(Invocation::PageRemap)), (1, 20));
    assert_eq!(scene.mapped(), 21);
}

/// A307.
fn a_few_pages_are_protected_page_by_page(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target));
    let space = new_space(&mut host);
    for (count, taken) in [(15, 0), (16, 1)] {
        let region = host.vmm.map(space, &RegionOptions::new(count).at(FREE)).expect("memory");
        let pages = Pages::at(FREE).count(count);
        let calls = host.vmm.kernel_calls();
        host.vmm.protect_on_demand(space, pages, Rights::READ).expect("mapped");
        let calls = host.vmm.kernel_calls().since(&calls);
        assert_eq!(calls.of(Invocation::TableUnmap), taken, "{count} pages");
        // None is to be changed.
        let calls = host.vmm.kernel_calls();
        host.vmm.protect_on_demand(space, pages, Rights::READ).expect("mapped");
        assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0);
        host.vmm.release(region).expect("a region");
        host.check();
    }
}

/// A308: whatever is asked of them.
fn pages_may_change_before_they_are_touched(target: Target) {
    let mut scene = Scene::new(target);
    let space = scene.space;
    scene.protect(Rights::READ);
    let mut word = [0; 8];
    scene.host.vmm.read(space, scene.at(2), &mut word).expect("mapped");
    assert_eq!(u64::from_le_bytes(word), 3);
    scene.host.vmm.write(space, scene.at(2), &55u64.to_le_bytes()).expect("mapped");
    scene.host.vmm.unmap(space, Pages::at(scene.at(7)).count(2)).expect("mapped");
    scene.host.check();
    scene
        .host
        .vmm
        .protect(space, Pages::at(scene.at(9)).count(4), Rights::READ_WRITE)
        .expect("mapped");
    scene.host.check();
    scene.host.write(space, scene.at(10), 11);
    // The rest moves, to where each page is mapped by its capability anew.
    let region = scene.host.vmm.region_at(space, scene.start).expect("alive").expect("there").id;
    let moved = scene.host.vmm.move_region(region, Placement::at(2 * FREE)).expect("room");
    scene.host.check();
    let there = moved.start().bits();
    assert_eq!(scene.host.read(space, there + 20 * PAGE), 21);
    assert_eq!(scene.host.mappings(space).len(), scene.pages - 2);
    scene.host.vmm.release(moved).expect("a region");
    scene.host.check();
}

/// A308: by every short way, which does not know of it.
fn single_pages_come_beside_and_go(target: Target) {
    let mut scene = Scene::with(target, |like| like.backed(Backing::OnDemand { around: 1 }));
    let space = scene.space;
    let last = scene.pages - 1;
    let page = |page: usize| Pages::at(scene.start + page * PAGE);
    // Holes in the midst, an open block, and an end that goes on.
    for hole in [30, 33, 40, last - 1, last] {
        scene.host.vmm.unmap(space, page(hole)).expect("mapped");
    }
    for hole in [30, 40] {
        scene.host.vmm.populate(space, page(hole)).expect("memory");
        scene.host.vmm.unmap(space, page(hole)).expect("mapped");
    }
    scene.host.vmm.populate(space, page(last - 1)).expect("memory");
    for range in [Pages::at(scene.start).count(30), page(34), page(50)] {
        let _ = scene.host.vmm.protect(space, range, Rights::READ_WRITE);
    }
    // All that are there lose the right to write, and their tables with it.
    scene.host.vmm.detach_from(1);
    let region = scene.host.vmm.region_at(space, scene.start).expect("alive").expect("there").id;
    let other = new_space(&mut scene.host);
    let clone = scene.host.vmm.clone_region_on_demand(region, other, Placement::at(scene.start));
    clone.expect("memory");
    assert_eq!(scene.mapped(), 0);
    for hole in [33, last, 40, 30] {
        scene.host.vmm.populate(space, page(hole)).expect("memory");
        scene.host.check();
        assert_eq!(scene.host.read(space, scene.at(hole)), 0);
    }
    for there in [31, 34, 41, last - 2] {
        scene.host.vmm.unmap(space, page(there)).expect("mapped");
        scene.host.check();
        scene.host.vmm.populate(space, page(there)).expect("memory");
        assert_eq!(scene.host.read(space, scene.at(there)), 0);
    }
    scene.comes(29, Rights::READ);
}

/// A307: with one fault, as many as its region says.
fn a_touch_brings_its_block(target: Target) {
    let mut scene = Scene::with(target, |like| like.backed(Backing::OnDemand { around: 16 }));
    scene.protect(Rights::READ);
    let calls = scene.host.vmm.kernel_calls();
    scene.comes(21, Rights::READ);
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    assert_eq!((calls.of(Invocation::PageRemap), calls.total()), (17, 18), "one finds no table");
    assert_eq!(scene.mapped(), 16);
    assert!((16..32).all(|page| scene.host.mappings(scene.space).contains_key(&scene.at(page))));
    // What is not there in another block stays so.
    scene.host.vmm.unmap(scene.space, Pages::at(scene.at(50))).expect("mapped");
    scene.comes(51, Rights::READ);
    assert_eq!(scene.mapped(), 31);
}

/// A307, A3: the kernel will not let a table go.
fn a_table_that_stays_has_its_pages_changed_one_by_one(target: Target) {
    let mut scene = Scene::new(target);
    scene.host.kernel().fail_nth_of(
        vmm_tests::model::CallKind::TableUnmap,
        1,
        KernelError::IllegalOperation,
    );
    let calls = scene.host.vmm.kernel_calls();
    scene.protect(Rights::READ);
    let remaps = scene.host.vmm.kernel_calls().since(&calls).of(Invocation::PageRemap);
    assert_eq!(remaps, scene.pages as u64 - 20);
    assert_eq!(scene.mapped(), scene.pages - 20);
    scene.comes(scene.pages - 1, Rights::READ);
}

/// A308, A3.
fn a_refused_touch_may_come_again(target: Target) {
    for (nth, tables) in [(1, 0), (2, 0), (3, 1)] {
        let mut scene = Scene::new(target);
        scene.protect(Rights::READ);
        scene.host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        let refused = scene.touch(5, Access::Read);
        assert!(matches!(refused, Err(Error::Kernel { .. })), "call {nth}: {refused:?}");
        scene.host.check();
        assert_eq!(scene.mapped(), 0);
        let calls = scene.host.vmm.kernel_calls();
        scene.comes(5, Rights::READ);
        let calls = scene.host.vmm.kernel_calls().since(&calls);
        assert_eq!(calls.of(Invocation::TableMap), 1 - tables, "call {nth}");
    }
}

/// A307.
fn the_own_space_and_stores_keep_their_tables(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target));
    let (own, store) = (host.own(), host.vmm.create_store().expect("memory"));
    host.spaces.push(store);
    tagged(&mut host, FREE, 40);
    host.vmm.map(store, &RegionOptions::new(40).at(FREE)).expect("memory");
    for space in [own, store] {
        let calls = host.vmm.kernel_calls();
        let pages = Pages::at(FREE).count(40);
        host.vmm.protect_on_demand(space, pages, Rights::READ).expect("mapped");
        assert_eq!(host.vmm.kernel_calls().since(&calls).of(Invocation::TableUnmap), 0);
        host.check();
    }
    assert_eq!(host.mappings(own)[&FREE].rights & Rights::READ_WRITE, Rights::READ);
}

/// A308.
fn a_space_ends_without_its_tables(target: Target) {
    let mut scene = Scene::new(target);
    scene.protect(Rights::READ);
    scene.comes(2, Rights::READ);
    scene.protect(Rights::READ_WRITE);
    scene.host.spaces.retain(|&space| space != scene.space);
    scene.host.vmm.destroy_space(scene.space).expect("a space");
    scene.host.check();
    // The next space in its record has tables.
    let next = new_space(&mut scene.host);
    let region = scene.host.vmm.map(next, &RegionOptions::new(20).at(FREE)).expect("memory");
    assert_eq!(scene.host.mappings(next).len(), 20);
    scene.host.vmm.release(region).expect("a region");
    scene.host.check();
}

/// A308, A3.
fn a_clone_that_is_refused_leaves_all_that_can_be_written(target: Target) {
    let mut scene = Scene::new(target);
    let other = new_space(&mut scene.host);
    let region = scene.host.vmm.region_at(scene.space, scene.start).expect("alive");
    let region = region.expect("a region").id;
    // Its first table is refused.
    scene.host.kernel().fail_nth_of(
        vmm_tests::model::CallKind::TableMap,
        1,
        KernelError::NotEnoughMemory,
    );
    let clone = scene.host.vmm.clone_region_on_demand(region, other, Placement::at(scene.start));
    clone.expect_err("refused");
    scene.host.kernel().disarm();
    scene.host.check();
    for page in [0, 30, scene.pages - 1] {
        if !scene.host.mappings(scene.space).contains_key(&scene.at(page)) {
            scene.comes(page, Rights::READ_WRITE);
        }
        scene.host.write(scene.space, scene.at(page), 7);
    }
}
