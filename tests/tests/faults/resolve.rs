// SPDX-License-Identifier: BSD-2-Clause
//! What each class of fault does to memory, and what it costs.

use untyped_alloc::{Invocation, Rights};
use vmm::{
    Access, Backing, Error, FaultClass, PageFault, Pages, Placement, Quota, RegionOptions,
    Resolution, ShareOptions,
};
use vmm::{Resource, SpaceId};

use crate::support::{Fixture, PAGE, Target, on_both};
use crate::world::{page_fault, touch, try_access};

on_both!(
    the_first_touch_maps_a_clear_page,
    a_fault_maps_the_unmapped_pages_around_it,
    a_stack_grows_to_its_guard_and_no_further,
    the_writer_gets_a_frame_of_its_own,
    the_last_owner_writes_without_a_copy,
    whoever_is_left_can_write_at_once_after_settling,
    what_a_page_does_not_allow_stays_forbidden,
    two_threads_at_one_page_both_get_on,
    shared_memory_is_not_cloned,
    memory_that_is_cloned_can_be_shared_afterwards,
    a_quota_stops_faults_as_it_stops_requests,
    nobody_s_addresses_are_told_apart,
    a_fault_that_is_out_of_date_gives_no_right_to_write,
);

fn space(host: &mut Fixture<'static>) -> SpaceId {
    let space = host.vmm.create_space().expect("a space");
    host.spaces.push(space);
    space
}

fn lazily(pages: usize, around: u8) -> RegionOptions {
    RegionOptions::new(pages).guarded(1, 1).backed(Backing::OnDemand { around })
}

fn the_first_touch_maps_a_clear_page(target: Target) {
    for access in [Access::Read, Access::Write, Access::Execute] {
        let mut host = Fixture::roomy(target);
        let space = space(&mut host);
        let region = host.vmm.reserve(space, &lazily(4, 1)).expect("there is room");
        let at = region.start().bits() + 2 * PAGE;
        let touched = touch(&mut host, space, at + 5, access, 9).expect("there is memory");
        assert_eq!(touched.class, Some(FaultClass::DemandZero { around: 1 }));
        assert!(touched.done && touched.faults == 1);
        assert_eq!(host.mappings(space).keys().copied().collect::<Vec<_>>(), [at]);
        assert_eq!(host.read(space, at), if access == Access::Write { 9 } else { 0 });
        host.check();
    }
}

fn a_fault_maps_the_unmapped_pages_around_it(target: Target) {
    let mut host = Fixture::roomy(target);
    let space = space(&mut host);
    let options = RegionOptions::new(24).aligned(16).backed(Backing::OnDemand { around: 8 });
    let region = host.vmm.reserve(space, &options).expect("there is room");
    let start = region.start().bits();
    host.vmm.populate(space, Pages::at(start + 10 * PAGE)).expect("there is memory");
    let pages = |host: &Fixture<'static>| -> Vec<usize> {
        host.mappings(space).keys().map(|at| (at - start) / PAGE).collect()
    };
    // Of the block 8..16 only what lies on this side of page 10.
    touch(&mut host, space, start + 13 * PAGE, Access::Read, 0).expect("there is memory");
    assert_eq!(pages(&host), [10, 11, 12, 13, 14, 15]);
    touch(&mut host, space, start + 8 * PAGE, Access::Write, 1).expect("there is memory");
    assert_eq!(pages(&host), [8, 9, 10, 11, 12, 13, 14, 15]);
    touch(&mut host, space, start + 23 * PAGE, Access::Read, 0).expect("there is memory");
    assert_eq!(pages(&host), (8..24).collect::<Vec<_>>());
    host.check();
}

fn a_stack_grows_to_its_guard_and_no_further(target: Target) {
    let mut host = Fixture::roomy(target);
    let space = space(&mut host);
    let stack = host.vmm.allocate_growing_stack(space, 6, 2, "stack").expect("there is room");
    assert_eq!(host.mappings(space).len(), 0, "nothing is mapped before it is touched");
    for at in (stack.bottom()..stack.top()).step_by(PAGE).rev() {
        let touched = touch(&mut host, space, at, Access::Write, at as u64).expect("memory");
        assert!(touched.done);
        if let Some(class) = touched.class {
            assert_eq!(class, FaultClass::StackGrowth { around: 2 });
        }
    }
    assert_eq!(host.mappings(space).len(), 6);
    let below = touch(&mut host, space, stack.bottom() - 4, Access::Write, 0).expect("no error");
    assert_eq!((below.class, below.done), (Some(FaultClass::Guard), false));
    let above = touch(&mut host, space, stack.top(), Access::Read, 0).expect("no error");
    assert_eq!((above.class, above.done), (Some(FaultClass::Guard), false));
    host.check();
}

/// Two spaces with a region of four pages in common, each page its number as tag.
fn cloned(host: &mut Fixture<'static>) -> ([SpaceId; 2], usize) {
    let first = space(host);
    let region = host.vmm.map(first, &RegionOptions::new(4).guarded(1, 1)).expect("memory");
    let at = region.start().bits() + PAGE;
    (0..4).for_each(|page| host.write(first, at + page * PAGE, page as u64));
    let second = host.vmm.clone_space(first).expect("a clone");
    host.spaces.push(second);
    ([first, second], at)
}

fn the_writer_gets_a_frame_of_its_own(target: Target) {
    for writer in 0..2 {
        let mut host = Fixture::roomy(target);
        let (spaces, at) = cloned(&mut host);
        let frame = |host: &Fixture<'static>, side: usize| host.mappings(spaces[side])[&at].paddr;
        assert_eq!(frame(&host, 0), frame(&host, 1));
        let before = frame(&host, 0);
        let touched = touch(&mut host, spaces[writer], at, Access::Write, 77).expect("memory");
        assert_eq!(touched.class, Some(FaultClass::CopyOnWrite));
        assert_eq!(frame(&host, 1 - writer), before, "the other keeps the frame");
        assert_ne!(frame(&host, writer), before);
        assert_eq!(host.read(spaces[writer], at), 77);
        assert_eq!(host.read(spaces[1 - writer], at), 0);
        host.check();
    }
}

fn the_last_owner_writes_without_a_copy(target: Target) {
    for last in 0..2 {
        let mut host = Fixture::roomy(target);
        let (spaces, at) = cloned(&mut host);
        let before = host.mappings(spaces[last])[&at].paddr;
        touch(&mut host, spaces[1 - last], at, Access::Write, 5).expect("memory");
        let calls = host.vmm.kernel_calls();
        let touched = touch(&mut host, spaces[last], at, Access::Write, 6).expect("memory");
        assert_eq!((touched.class, touched.faults), (Some(FaultClass::CopyOnWrite), 1));
        let calls = host.vmm.kernel_calls().since(&calls);
        assert_eq!((calls.total(), calls.of(Invocation::PageRemap)), (1, 1));
        assert_eq!(host.mappings(spaces[last])[&at].paddr, before, "it keeps its frame");
        assert_eq!((host.read(spaces[last], at), host.read(spaces[1 - last], at)), (6, 5));
        host.check();
    }
}

fn whoever_is_left_can_write_at_once_after_settling(target: Target) {
    for last in 0..2 {
        let mut host = Fixture::roomy(target);
        let (spaces, at) = cloned(&mut host);
        host.vmm.destroy_space(spaces[1 - last]).expect("nobody uses it");
        host.spaces.retain(|&space| space != spaces[1 - last]);
        let region = host.vmm.region_at(spaces[last], at).expect("a space").expect("a region");
        host.vmm.restore_write_access(region.id).expect("nothing is refused");
        for page in 0..4 {
            assert_eq!(host.read(spaces[last], at + page * PAGE), page as u64);
            let fault = try_access(&host, spaces[last], at + page * PAGE, Access::Write, 1);
            assert_eq!(fault, None);
        }
        host.check();
    }
}

fn what_a_page_does_not_allow_stays_forbidden(target: Target) {
    let mut host = Fixture::roomy(target);
    let (spaces, at) = cloned(&mut host);
    for rights in [Rights::READ, Rights::empty()] {
        host.vmm.protect(spaces[1], Pages::at(at), rights).expect("under the ceiling");
        let touched = touch(&mut host, spaces[1], at, Access::Write, 1).expect("no error");
        assert_eq!((touched.class, touched.done), (Some(FaultClass::BeyondRights), false));
        let read = touch(&mut host, spaces[1], at, Access::Read, 1).expect("no error");
        assert_eq!(read.done, rights.contains(Rights::READ));
    }
    // A45: what may be written may be read.
    host.vmm.protect(spaces[1], Pages::at(at), Rights::WRITE).expect("under the ceiling");
    assert!(touch(&mut host, spaces[1], at, Access::Read, 1).expect("no error").done);
    assert!(touch(&mut host, spaces[1], at, Access::Write, 1).expect("memory").done);
    assert_eq!(host.read(spaces[0], at), 0, "still copy-on-write");
    host.check();
}

fn two_threads_at_one_page_both_get_on(target: Target) {
    let mut host = Fixture::roomy(target);
    let (spaces, at) = cloned(&mut host);
    let lazy = host.vmm.reserve(spaces[0], &lazily(2, 1)).expect("there is room");
    for at in [at, lazy.start().bits() + PAGE] {
        // Both faults are raised before the first is answered.
        let fault = try_access(&host, spaces[0], at, Access::Write, 3).expect("a fault");
        for _ in 0..2 {
            let resolution = host.vmm.resolve_fault(spaces[0], &fault).expect("memory");
            assert!(matches!(resolution, vmm::Resolution::Resolved(_)), "{resolution:?}");
        }
        assert_eq!(try_access(&host, spaces[0], at, Access::Write, 3), None);
        host.check();
    }
}

/// The clone would see what the other owners write.
fn shared_memory_is_not_cloned(target: Target) {
    let mut host = Fixture::roomy(target);
    let (first, second) = (space(&mut host), space(&mut host));
    let region = host.vmm.map(first, &RegionOptions::new(3)).expect("memory");
    let at = region.start().bits() + PAGE;
    let view = host.vmm.share(first, Pages::at(at), second, &ShareOptions::new()).expect("memory");
    let shared = Error::Shared { address: at };
    host.refuses(shared, |vmm| vmm.clone_region(region, second, Placement::anywhere()));
    let address = view.start().bits();
    host.refuses(Error::Shared { address }, |vmm| {
        vmm.clone_region(view, first, Placement::anywhere())
    });
    host.vmm.release(view).expect("it is there");
    host.vmm.clone_region(region, second, Placement::anywhere()).expect("nobody else has it");
    host.check();
}

fn memory_that_is_cloned_can_be_shared_afterwards(target: Target) {
    let mut host = Fixture::roomy(target);
    let (spaces, at) = cloned(&mut host);
    let own = host.own();
    let options = ShareOptions::new();
    let view = host.vmm.share(spaces[1], Pages::at(at).count(2), own, &options).expect("memory");
    host.write(own, view.start().bits(), 88);
    assert_eq!((host.read(spaces[1], at), host.read(spaces[0], at)), (88, 0));
    assert_eq!(host.read(own, view.start().bits() + PAGE), 1);
    host.vmm.release(view).expect("it is there");
    host.check();
}

fn a_quota_stops_faults_as_it_stops_requests(target: Target) {
    let mut host = Fixture::roomy(target);
    let (spaces, at) = cloned(&mut host);
    let lazy = RegionOptions::new(2).backed(Backing::OnDemand { around: 1 });
    let lazy = host.vmm.reserve(spaces[1], &lazy).expect("there is room").start().bits();
    let used = host.vmm.usage(spaces[1]).expect("a space").frames;
    let limit = used + 1;
    host.vmm.set_quota(spaces[1], Quota { frames: limit, ..Quota::UNLIMITED }).expect("a space");
    assert!(touch(&mut host, spaces[1], lazy, Access::Write, 1).expect("one may be had").done);
    let refused = touch(&mut host, spaces[1], lazy + PAGE, Access::Write, 1);
    let resource = Resource::Frames;
    let out = Error::OutOfQuota { space: spaces[1], resource, limit, used: limit, wanted: 1 };
    assert_eq!(refused, Err(out));
    // What is shared was counted when the clone was made: A39.
    assert!(touch(&mut host, spaces[1], at + PAGE, Access::Write, 1).expect("memory").done);
    assert_eq!(host.vmm.usage(spaces[1]).expect("a space").frames, limit);
    host.vmm.set_quota(spaces[1], Quota::UNLIMITED).expect("a space");
    assert!(touch(&mut host, spaces[1], lazy + PAGE, Access::Write, 1).expect("memory").done);
    host.check();
}

fn nobody_s_addresses_are_told_apart(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let image = host.target().image();
    let unmapped = vmm_tests::model::AccessFault::NotMapped { vaddr: 0 };
    let region = host.vmm.reserve(own, &RegionOptions::new(2)).expect("there is room");
    let kernels = host.target().user_end();
    for (address, class) in [
        (0x10, FaultClass::Guard),
        (image, FaultClass::Boot),
        (region.start().bits() + PAGE, FaultClass::NotPopulated),
        (region.range_end(), FaultClass::NoRegion),
        (kernels, FaultClass::OutsideUserSpace),
        (usize::MAX, FaultClass::OutsideUserSpace),
    ] {
        let fault = page_fault(address, Access::Write, unmapped);
        let resolution = host.vmm.resolve_fault(own, &fault).expect("no error");
        assert_eq!(resolution, vmm::Resolution::Unresolved(class), "{address:#x}");
    }
}

/// A9, I16: another thread's fault was answered first, so the page is there; it is mapped again
/// with the rights that it has, which under copy-on-write are fewer than its region's.
fn a_fault_that_is_out_of_date_gives_no_right_to_write(target: Target) {
    for side in 0..2 {
        for access in [Access::Read, Access::Execute] {
            let mut host = Fixture::roomy(target);
            let (spaces, at) = cloned(&mut host);
            let late = PageFault { address: at + PAGE, access, present: false, ip: 0 };
            let resolution = host.vmm.resolve_fault(spaces[side], &late);
            assert_eq!(resolution, Ok(Resolution::Resolved(FaultClass::Recorded)));
            let rights = host.mappings(spaces[side])[&(at + PAGE)].rights;
            assert_eq!(rights, Rights::READ, "the frame is shared");
            let touched = touch(&mut host, spaces[side], at + PAGE, Access::Write, 9);
            assert_eq!(touched.expect("memory").class, Some(FaultClass::CopyOnWrite));
            assert_eq!(host.read(spaces[1 - side], at + PAGE), 1, "as it was when it was cloned");
            host.check();
        }
    }
}

trait RangeEnd {
    fn range_end(&self) -> usize;
}

impl RangeEnd for vmm::RegionId {
    /// Of a region of two pages.
    fn range_end(&self) -> usize {
        self.start().bits() + 2 * PAGE
    }
}
