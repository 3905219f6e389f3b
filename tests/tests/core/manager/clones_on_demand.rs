// SPDX-License-Identifier: BSD-2-Clause
//! Clones whose pages are mapped when they are touched: what that costs, and what they are before.
//!
//! Checks A304 to A306 and I59 of `MODEL.md`.

use untyped_alloc::{Invocation, KernelError, Rights};
use vmm::{
    Access, Backing, Blame, Error, FaultClass, PageFault, Pages, Placement, RegionId,
    RegionOptions, Resolution, SpaceId,
};

use super::{FREE, new_space, tagged};
use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_both};

on_both!(
    a_page_takes_a_call_and_its_touch_two,
    what_was_cloned_before_takes_none,
    a_touch_takes_no_memory,
    what_is_given_up_untouched_takes_no_call,
    nor_does_what_is_given_up_page_by_page,
    a_touch_brings_as_many_as_the_region_says,
    a_refused_touch_is_one_that_may_come_again,
    a_first_write_that_is_refused_leaves_what_was,
    pages_outlive_what_they_were_cloned_of,
    the_last_user_has_the_right_to_write,
    what_is_asked_of_a_page_is_the_same_before_its_touch,
    a_page_that_was_moved_and_protected_is_brought_so,
    a_page_that_is_given_away_is_there,
    the_own_space_has_no_such_pages,
);

const PAGES: usize = 40;

/// A machine in which no page table is detached: that is `detached.rs`'s.
fn apart(machine: Machine) -> Fixture<'static> {
    let mut host = Fixture::new(machine);
    host.vmm.detach_from(usize::MAX);
    host
}

/// Tagged pages of a space beside the own, and their clone in a third: its region, and where its
/// pages start.
struct Scene {
    host: Fixture<'static>,
    origin: RegionId,
    clone: RegionId,
    spaces: [SpaceId; 2],
}

impl Scene {
    fn new(machine: Machine) -> Scene {
        Scene::with(machine, RegionOptions::new(PAGES))
    }

    fn with(machine: Machine, options: RegionOptions) -> Scene {
        let mut host = apart(machine);
        let spaces = [new_space(&mut host), new_space(&mut host)];
        let origin = host.vmm.map(spaces[0], &options.at(FREE)).expect("memory");
        (0..PAGES).for_each(|page| host.write(spaces[0], FREE + page * PAGE, 1 + page as u64));
        let clone = host.vmm.clone_region_on_demand(origin, spaces[1], Placement::at(FREE));
        let clone = clone.expect("memory");
        host.check();
        Scene { host, origin, clone, spaces }
    }

    fn at(&self, page: usize) -> usize {
        FREE + page * PAGE
    }

    /// How many pages of the clone the kernel has mapped.
    fn mapped(&self) -> usize {
        self.host.mappings(self.spaces[1]).len()
    }

    fn touch(&mut self, page: usize, access: Access) -> vmm::Result<Resolution> {
        let fault = PageFault { address: self.at(page) + 4, access, present: false, ip: 0x1000 };
        self.host.vmm.resolve_fault(self.spaces[1], &fault)
    }

    #[track_caller]
    fn touched(&mut self, page: usize) {
        let resolved = self.touch(page, Access::Read).expect("nothing is wanting");
        assert_eq!(resolved, Resolution::Resolved(FaultClass::Recorded));
        self.host.check();
        assert_eq!(self.host.read(self.spaces[1], self.at(page)), 1 + page as u64);
    }
}

/// A304.
fn a_page_takes_a_call_and_its_touch_two(target: Target) {
    let mut host = apart(Machine::roomy(target));
    let spaces = [new_space(&mut host), new_space(&mut host)];
    let origin = host.vmm.map(spaces[0], &RegionOptions::new(PAGES).at(FREE)).expect("memory");
    // A table is there, and slots.
    let beside = RegionOptions::new(1).at(FREE + PAGES * PAGE);
    host.vmm.map(spaces[1], &beside).expect("memory");
    let calls = host.vmm.kernel_calls();
    let placement = Placement::at(FREE);
    host.vmm.clone_region_on_demand(origin, spaces[1], placement).expect("memory");
    let calls = host.vmm.kernel_calls().since(&calls);
    assert_eq!(calls.of(Invocation::PageRemap), PAGES as u64);
    assert_eq!(calls.total(), PAGES as u64);
    assert_eq!(host.mappings(spaces[1]).len(), 1, "of the clone none is mapped");
    let told = host.vmm.space_stats(spaces[1]).expect("a space");
    assert_eq!(told.mapped_pages, 1 + PAGES, "all of it counts");
    for page in [0, PAGES - 1, 17] {
        let calls = host.vmm.kernel_calls();
        let address = FREE + page * PAGE;
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        host.vmm.resolve_fault(spaces[1], &fault).expect("memory");
        let calls = host.vmm.kernel_calls().since(&calls);
        let [copies, maps] =
            [Invocation::CNodeCopy, Invocation::PageMap].map(|call| calls.of(call));
        assert_eq!((copies, maps, calls.total()), (1, 1, 2));
        assert!(!host.mappings(spaces[1])[&address].rights.contains(Rights::WRITE));
        host.check();
    }
}

/// A304.
fn what_was_cloned_before_takes_none(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    scene.touched(3);
    let third = new_space(&mut scene.host);
    let beside = RegionOptions::new(1).at(FREE + PAGES * PAGE);
    scene.host.vmm.map(third, &beside).expect("memory");
    let calls = scene.host.vmm.kernel_calls();
    let again = scene.host.vmm.clone_region_on_demand(scene.clone, third, Placement::at(FREE));
    again.expect("memory");
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 0);
    scene.host.check();
    // Whichever side writes, the others keep what they had.
    scene.touch(3, Access::Write).expect("memory");
    scene.host.write(scene.spaces[1], scene.at(3), 99);
    let fault = PageFault { address: FREE + 3 * PAGE, access: Access::Read, present: false, ip: 0 };
    scene.host.vmm.resolve_fault(third, &fault).expect("memory");
    assert_eq!(scene.host.read(third, FREE + 3 * PAGE), 4);
    assert_eq!(scene.host.read(scene.spaces[0], FREE + 3 * PAGE), 4);
    scene.host.check();
}

/// A304: where all memory is used up, all slots too.
fn a_touch_takes_no_memory(target: Target) {
    let mut scene = Scene::new(Machine::small(target));
    let own = scene.host.own();
    let filled = loop {
        if let Err(error) = scene.host.vmm.map(own, &RegionOptions::new(1)) {
            break error;
        }
    };
    assert_eq!(filled.blame(), Blame::Resource);
    while scene.host.vmm.alloc_slots(1).is_ok() {}
    (0..PAGES).for_each(|page| scene.touched(page));
    assert_eq!(scene.mapped(), PAGES);
}

/// A305.
fn what_is_given_up_untouched_takes_no_call(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let space = scene.spaces[1];
    let calls = scene.host.vmm.kernel_calls();
    scene.host.vmm.unmap(space, Pages::at(scene.at(7))).expect("mapped");
    scene.host.vmm.unmap(space, Pages::at(scene.at(30)).count(8)).expect("mapped");
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 0);
    scene.host.check();
    scene.touched(8);
    let calls = scene.host.vmm.kernel_calls();
    scene.host.vmm.release(scene.clone).expect("a region");
    let calls = scene.host.vmm.kernel_calls().since(&calls);
    // The one that was touched.
    let [unmaps, deletes, copies] =
        [Invocation::PageUnmap, Invocation::CNodeDelete, Invocation::CNodeCopy]
            .map(|call| calls.of(call));
    assert_eq!((unmaps, deletes, copies), (1, 1, 0));
    scene.host.check();
    // Nobody shares them any more.
    scene.host.vmm.restore_write_access(scene.origin).expect("a region");
    assert!(
        scene
            .host
            .vmm
            .mapping_at(scene.spaces[0], FREE)
            .is_ok_and(|page| { page.is_some_and(|page| !page.copy_on_write) })
    );
    let settled = Snapshot::settled(&mut scene.host);
    let again = scene.host.vmm.clone_region_on_demand(scene.origin, space, Placement::at(FREE));
    scene.host.vmm.release(again.expect("memory")).expect("a region");
    scene.host.vmm.restore_write_access(scene.origin).expect("a region");
    settled.assert_same(&Snapshot::settled(&mut scene.host));
    // A space ends with such pages, and the memory of those whose owner is gone with them.
    let last = scene.host.vmm.clone_region_on_demand(scene.origin, space, Placement::at(FREE));
    last.expect("memory");
    scene.host.vmm.release(scene.origin).expect("a region");
    scene.host.spaces.retain(|&other| other != space);
    scene.host.vmm.destroy_space(space).expect("a space");
    scene.host.check();
}

/// A305: where each page is recorded by itself.
fn nor_does_what_is_given_up_page_by_page(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let (space, page) = (scene.spaces[1], |page: usize| Pages::at(FREE + page * PAGE));
    // What others become in the block that one leaves.
    for first in [3, 19] {
        scene.host.vmm.protect(space, page(first), Rights::READ).expect("mapped");
        scene.host.vmm.protect(space, page(first + 2), Rights::READ).expect("mapped");
    }
    let calls = scene.host.vmm.kernel_calls();
    for single in [3, 5, 4, 8, 19, 21, 6] {
        scene.host.vmm.unmap(space, page(single)).expect("mapped");
        scene.host.check();
    }
    scene.host.vmm.decommit(space, page(0).count(PAGES)).expect("a region's");
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 0);
    scene.host.check();
}

/// A304.
fn a_touch_brings_as_many_as_the_region_says(target: Target) {
    let lazy = RegionOptions::new(PAGES).backed(Backing::OnDemand { around: 8 });
    let mut host = apart(Machine::roomy(target));
    let spaces = [new_space(&mut host), new_space(&mut host)];
    let origin = host.vmm.reserve(spaces[0], &lazy.at(FREE + 3 * PAGE)).expect("addresses");
    let start = origin.start().bits();
    // One of the second block is not there.
    let there = Pages::at(start).count(PAGES);
    host.vmm.populate(spaces[0], there).expect("memory");
    host.vmm.unmap(spaces[0], Pages::at(start + 7 * PAGE)).expect("mapped");
    let placement = Placement::at(start);
    host.vmm.clone_region_on_demand(origin, spaces[1], placement).expect("memory");
    // Blocks begin at multiples of eight pages, and the region three pages behind one.
    for (page, brought) in [(1, 5), (8, 7), (PAGES - 1, 3)] {
        let before = host.mappings(spaces[1]).len();
        let address = start + page * PAGE;
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        host.vmm.resolve_fault(spaces[1], &fault).expect("memory");
        assert_eq!(host.mappings(spaces[1]).len() - before, brought, "page {page}");
        assert!(host.mappings(spaces[1]).contains_key(&address));
        host.check();
    }
}

/// A306, A3.
fn a_refused_touch_is_one_that_may_come_again(target: Target) {
    for nth in 1..=2 {
        let mut scene = Scene::new(Machine::roomy(target));
        scene.host.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let refused = scene.touch(5, Access::Read);
        assert!(matches!(refused, Err(Error::Kernel { .. })), "call {nth}: {refused:?}");
        scene.host.check();
        assert_eq!(scene.mapped(), 0);
        scene.touched(5);
        scene.host.vmm.release(scene.clone).expect("a region");
        scene.host.check();
    }
}

/// A306, A3: each call of it.
fn a_first_write_that_is_refused_leaves_what_was(target: Target) {
    for nth in 1.. {
        let mut scene = Scene::new(Machine::roomy(target));
        scene.host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        let written = scene.touch(5, Access::Write);
        let unharmed = scene.host.kernel().disarm();
        scene.host.check();
        scene.touch(5, Access::Write).expect("nothing is refused");
        scene.host.check();
        let space = scene.spaces[1];
        assert_eq!(scene.host.read(space, scene.at(5)), 6, "call {nth}");
        scene.host.write(space, scene.at(5), 99);
        assert_eq!(scene.host.read(scene.spaces[0], scene.at(5)), 6);
        scene.touched(6);
        if unharmed {
            written.expect("nothing was refused");
            break;
        }
    }
}

/// A306: the first owner unmaps, the second ends.
fn pages_outlive_what_they_were_cloned_of(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let third = new_space(&mut scene.host);
    let again = scene.host.vmm.clone_region_on_demand(scene.clone, third, Placement::at(FREE));
    again.expect("memory");
    scene.host.vmm.release(scene.origin).expect("a region");
    scene.host.check();
    (0..PAGES / 2).for_each(|page| scene.touched(page));
    scene.host.vmm.release(scene.clone).expect("a region");
    scene.host.check();
    for page in 0..PAGES {
        let address = FREE + page * PAGE;
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        scene.host.vmm.resolve_fault(third, &fault).expect("no memory is wanted");
        assert_eq!(scene.host.read(third, address), 1 + page as u64);
    }
    scene.host.check();
}

/// A306: with the page mapped then, by the two calls of a touch.
fn the_last_user_has_the_right_to_write(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    scene.host.vmm.release(scene.origin).expect("a region");
    let calls = scene.host.vmm.kernel_calls();
    scene.host.vmm.restore_write_access(scene.clone).expect("a region");
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 0);
    scene.host.check();
    let space = scene.spaces[1];
    // The first is told as one that is recorded: the right is there already.
    let calls = scene.host.vmm.kernel_calls();
    let resolved = scene.touch(9, Access::Write).expect("memory");
    assert_eq!(resolved, Resolution::Resolved(FaultClass::Recorded));
    assert_eq!(scene.host.vmm.kernel_calls().since(&calls).total(), 2);
    assert_eq!(scene.host.read(space, scene.at(9)), 10);
    scene.host.write(space, scene.at(9), 99);
    scene.host.check();
    // A write to one that is under copy-on-write still, and nobody else's.
    let mut scene = Scene::new(Machine::roomy(target));
    scene.host.vmm.release(scene.origin).expect("a region");
    let resolved = scene.touch(9, Access::Write).expect("memory");
    assert_eq!(resolved, Resolution::Resolved(FaultClass::CopyOnWrite));
    scene.host.write(scene.spaces[1], scene.at(9), 99);
    scene.host.check();
}

/// A306.
fn what_is_asked_of_a_page_is_the_same_before_its_touch(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let [first, second] = scene.spaces;
    let address = scene.host.vmm.physical_address(first, FREE).expect("mapped");
    assert_eq!(scene.host.vmm.physical_address(second, FREE), Ok(address));
    let mut word = [0; 8];
    scene.host.vmm.read(second, scene.at(2), &mut word).expect("mapped");
    assert_eq!(u64::from_le_bytes(word), 3);
    assert_eq!(scene.mapped(), 0, "looking maps nothing");
    // A capability to it is one to its frame.
    let told = scene.host.vmm.mapping_at(second, scene.at(2)).expect("alive").expect("mapped");
    let slot = scene.host.vmm.alloc_slots(1).expect("slots");
    let path = scene.host.vmm.allocator().path(slot);
    scene.host.vmm.copy_cap(path, told.frame, Rights::READ).expect("it is there");
    scene.host.vmm.delete_cap(path).expect("it is the caller's");
    scene.host.vmm.free_slots(slot, 1).expect("it is empty");
    // The manager's own write is a first write.
    scene.host.vmm.write(second, scene.at(4) + 8, &77u64.to_le_bytes()).expect("memory");
    let mut words = [0; 16];
    scene.host.vmm.read(second, scene.at(4), &mut words).expect("mapped");
    assert_eq!(words, [5u64.to_le_bytes(), 77u64.to_le_bytes()].concat()[..]);
    assert_eq!(scene.host.read(first, scene.at(4)), 5);
    scene.host.check();
    // Shared with a third, it is a page of the clone's own first.
    let third = new_space(&mut scene.host);
    let into = scene.host.vmm.reserve(third, &RegionOptions::new(4).at(FREE)).expect("room");
    let source = Pages::at(scene.at(10)).count(2);
    scene.host.vmm.share_into(second, source, into, 1).expect("memory");
    assert_eq!(scene.host.read(third, FREE + PAGE), 11);
    scene.host.write(third, FREE + PAGE, 55);
    assert_eq!(scene.host.read(first, scene.at(10)), 11);
    scene.host.check();
    scene.touched(20);
}

/// A306.
fn a_page_that_was_moved_and_protected_is_brought_so(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let space = scene.spaces[1];
    let calls = scene.host.vmm.kernel_calls();
    scene.host.vmm.protect(space, Pages::at(scene.at(4)).count(3), Rights::READ).expect("mapped");
    let moved = scene.host.vmm.move_region(scene.clone, Placement::at(2 * FREE));
    let moved = moved.expect("room");
    let remaps = scene.host.vmm.kernel_calls().since(&calls);
    assert_eq!(remaps.of(Invocation::PageMap) + remaps.of(Invocation::PageRemap), 0);
    scene.host.check();
    let address = moved.start().bits() + 5 * PAGE;
    let fault = |access| PageFault { address, access, present: false, ip: 0 };
    let refused = scene.host.vmm.resolve_fault(space, &fault(Access::Write)).expect("an answer");
    assert_eq!(refused, Resolution::Unresolved(FaultClass::BeyondRights));
    let brought = scene.host.vmm.resolve_fault(space, &fault(Access::Read)).expect("memory");
    assert_eq!(brought, Resolution::Resolved(FaultClass::Recorded));
    assert_eq!(scene.host.read(space, address), 6);
    assert_eq!(scene.host.mappings(space)[&address].rights & Rights::READ_WRITE, Rights::READ);
    scene.host.check();
}

/// A306: where it comes nobody may answer its fault.
fn a_page_that_is_given_away_is_there(target: Target) {
    let mut scene = Scene::new(Machine::roomy(target));
    let own = scene.host.own();
    scene.host.vmm.release(scene.origin).expect("a region");
    let into = scene.host.vmm.reserve(own, &RegionOptions::new(2)).expect("addresses");
    let page = (scene.spaces[1], scene.at(6));
    scene.host.vmm.transfer_into(page.0, page.1, into, 1).expect("it is nobody else's");
    let there = into.start().bits() + PAGE;
    assert_eq!(scene.host.read(own, there), 7);
    scene.host.check();
}

/// A304.
fn the_own_space_has_no_such_pages(target: Target) {
    let mut host = apart(Machine::roomy(target));
    let own = host.own();
    let region = tagged(&mut host, FREE, 4);
    let refusal = Error::OwnSpace(own);
    let anywhere = Placement::anywhere();
    host.refuses(refusal, |vmm| vmm.clone_region_on_demand(region, own, anywhere));
    host.refuses(refusal, |vmm| vmm.clone_space_on_demand(own));
    let like = host.vmm.reserve_like(region, own, anywhere).expect("addresses");
    host.refuses(refusal, |vmm| vmm.clone_pages_on_demand(region, 0, like, 4));
}
