// SPDX-License-Identifier: BSD-2-Clause
//! Addresses of whose faults the kernel does not tell all, which x86_64 of seL4 5.0.0 has from 4
//! GiB on: nothing is left to faults there, and no thread repeats one for ever.

use vmm::{
    Access, Backing, Blueprint, FaultClass, Invocation, PageFault, Pages, Placement, RegionId,
    RegionOptions, Resolution, SpaceId, ThreadId,
};
use vmm_tests::support::{Machine, not_told};

use crate::support::{Fixture, PAGE, Target, on_each};
use crate::world::touch;

on_each!(
    what_faults_map_lies_where_they_are_told,
    the_manager_chooses_a_place_where_faults_are_told,
    a_clone_and_its_origin_lie_where_faults_are_told,
    pages_under_copy_on_write_stay_where_faults_are_told,
    pages_do_not_move_by_themselves_where_faults_are_not_told,
    pages_of_a_store_lie_anywhere,
    page_tables_are_taken_where_faults_are_told,
);

/// An address in the middle of user space, beyond 4 GiB where there are such addresses.
fn high(target: Target) -> usize {
    (target.user_end() / 2) & !((1 << target.large_bits()) - 1)
}

/// Whether faults at the addresses of [`high`] are told.
fn is_told(target: Target) -> bool {
    high(target) < target.fault_end()
}

fn space(host: &mut Fixture<'static>) -> SpaceId {
    let space = host.vmm.create_space().expect("a space");
    host.spaces.push(space);
    space
}

/// A307: elsewhere each page is changed by a call of its own, and is there all the time.
fn page_tables_are_taken_where_faults_are_told(target: Target) {
    let mut host = Fixture::roomy(target);
    let (space, start) = (space(&mut host), high(target));
    host.vmm.map(space, &RegionOptions::new(40).at(start)).expect("memory");
    let calls = host.vmm.kernel_calls();
    let pages = Pages::at(start).count(40);
    host.vmm.protect_on_demand(space, pages, vmm::Rights::READ).expect("mapped");
    let calls = host.vmm.kernel_calls().since(&calls);
    let told = is_told(target);
    assert_eq!(calls.of(Invocation::TableUnmap), u64::from(told));
    assert_eq!(host.mappings(space).len(), if told { 0 } else { 40 });
    host.check();
}

/// What is mapped by faults.
fn by_faults(pages: usize) -> [RegionOptions; 3] {
    let options = RegionOptions::new(pages).guarded(1, 1).named("lazy");
    let lazy = options.backed(Backing::OnDemand { around: 4 });
    [lazy, lazy.stack(), options.backed(Backing::Pager { token: 7 })]
}

/// A164, A165.
fn what_faults_map_lies_where_they_are_told(target: Target) {
    let mut host = Fixture::roomy(target);
    let (space, high, end) = (space(&mut host), high(target), target.fault_end());
    for options in by_faults(8) {
        if is_told(target) {
            let region = host.vmm.reserve(space, &options.at(high)).expect("nothing is there");
            host.vmm.release(region).expect("a region");
            continue;
        }
        host.refuses(not_told(high, end), |vmm| vmm.reserve(space, &options.at(high)));
        // One page is enough, and the last that can be is the last below.
        let across = options.at(end - 7 * PAGE);
        host.refuses(not_told(end, end), |vmm| vmm.reserve(space, &across));
        let below = host.vmm.reserve(space, &options.at(end - 8 * PAGE)).expect("room");
        host.vmm.release(below).expect("a region");
        let between = options.within(high..high + 64 * PAGE);
        host.refuses(not_told(high, end), |vmm| vmm.reserve(space, &between));
        // It goes nowhere else by being moved, either.
        let region = host.vmm.reserve(space, &options).expect("room");
        let there = Placement::at(high);
        host.refuses(not_told(high, end), |vmm| vmm.move_region(region, there));
        host.vmm.release(region).expect("a region");
    }
    // What is mapped by request lies anywhere, and is told nothing of.
    let region = host.vmm.map(space, &RegionOptions::new(8).at(high)).expect("memory");
    host.write(space, high + PAGE, 5);
    host.vmm.move_region(region, Placement::at(high + 64 * PAGE)).expect("room");
    assert_eq!(host.read(space, high + 65 * PAGE), 5);
    host.check();
}

/// All addresses below the end of those that are told, but for some pages at the end.
fn fill_low(host: &mut Fixture<'static>, space: SpaceId, left: usize) -> RegionId {
    let end = host.target().fault_end() - left * PAGE;
    let all = RegionOptions::new(end / PAGE - 1).at(PAGE);
    host.vmm.reserve(space, &all).expect("nothing is there")
}

/// A164.
fn the_manager_chooses_a_place_where_faults_are_told(target: Target) {
    if is_told(target) {
        return;
    }
    let mut host = Fixture::roomy(target);
    let (space, end) = (space(&mut host), target.fault_end());
    let low = fill_low(&mut host, space, 16);
    for options in by_faults(8) {
        let plain = RegionOptions::new(8).guarded(1, 1);
        let plain = host.vmm.reserve(space, &plain).expect("room");
        assert_eq!(plain.start().bits(), end - 16 * PAGE, "the lowest place");
        let above = host.vmm.reserve(space, &RegionOptions::new(8)).expect("room");
        assert!(above.start().bits() + 8 * PAGE > end, "what need not be told lies across the end");
        host.vmm.release(above).expect("a region");
        host.vmm.release(plain).expect("a region");
        let region = host.vmm.reserve(space, &options).expect("room");
        let start = region.start().bits();
        assert_eq!(start, end - 16 * PAGE, "the lowest place where faults are told");
        let touched = touch(&mut host, space, start + 3 * PAGE, Access::Read, 0).expect("memory");
        let pager = touched.class == Some(FaultClass::Pager { token: 7 });
        assert!(touched.done != pager, "{touched:?}");
        host.vmm.release(region).expect("a region");
        // 18 pages are more than is left below: there is room, and none where it would have to be.
        let more = RegionOptions::new(18).backed(Backing::OnDemand { around: 1 });
        let refused = host.vmm.reserve(space, &more);
        assert!(
            matches!(refused, Err(vmm::Error::FaultsNotTold { address, end: from, .. })
            if address >= end && from == end),
            "{refused:?}"
        );
    }
    // Inside of a reservation as well.
    let across = RegionOptions::new(32).at(end - 8 * PAGE);
    let across = host.vmm.create_reservation(space, &across).expect("room");
    let inside = RegionOptions::new(8).backed(Backing::OnDemand { around: 1 }).inside(across);
    let region = host.vmm.reserve(space, &inside).expect("room");
    assert_eq!(region.start().bits(), end - 8 * PAGE);
    assert!(host.vmm.reserve(space, &inside).is_err(), "no more is told");
    host.vmm.release(region).expect("a region");
    host.vmm.release(low).expect("a region");
    host.check();
}

/// A166.
fn a_clone_and_its_origin_lie_where_faults_are_told(target: Target) {
    let mut host = Fixture::roomy(target);
    let (one, other) = (space(&mut host), space(&mut host));
    let (high, end) = (high(target), target.fault_end());
    let above = RegionOptions::new(8).at(high).named("above");
    let above = host.vmm.reserve(one, &above).expect("nothing is there");
    let below = host.vmm.map(one, &RegionOptions::new(4)).expect("memory");
    // Of what has no page there is nothing to copy.
    let empty = host.vmm.clone_region(above, other, Placement::at(high)).expect("room");
    host.vmm.release(empty).expect("a region");
    host.vmm.populate(one, Pages::at(high + 2 * PAGE).count(2)).expect("memory");
    host.write(one, high + 2 * PAGE, 3);
    if is_told(target) {
        let clone = host.vmm.clone_region(above, other, Placement::at(high)).expect("room");
        assert_eq!(host.read(other, high + 2 * PAGE), 3);
        host.vmm.release(clone).expect("a region");
        host.check();
        return;
    }
    let origin = not_told(high + 2 * PAGE, end);
    host.refuses_leaving_nothing(origin, |vmm| {
        vmm.clone_region(above, other, Placement::anywhere())
    });
    host.refuses(origin, |vmm| vmm.clone_space(one));
    let there = Placement::at(high);
    host.refuses_leaving_nothing(not_told(high, end), |vmm| vmm.clone_region(below, other, there));
    // Each page for itself: the first two lie below the end.
    let across = host.vmm.reserve_like(below, other, Placement::at(end - 2 * PAGE));
    let across = across.expect("room");
    assert_eq!(host.vmm.clone_pages(below, 0, across, 2), Ok(2));
    host.refuses(not_told(end, end), |vmm| vmm.clone_pages(below, 2, across, 2));
    // The pages above are as they were, and can be written.
    let touched = touch(&mut host, one, high + 2 * PAGE, Access::Write, 4).expect("mapped");
    assert_eq!((touched.faults, touched.done), (0, true));
    // Where the place is left to the manager it is one that is told.
    fill_low(&mut host, other, 16);
    let clone = host.vmm.clone_region(below, other, Placement::anywhere()).expect("room");
    assert!(clone.start().bits() + 4 * PAGE <= end, "{clone:?}");
    host.check();
}

/// A166.
fn pages_under_copy_on_write_stay_where_faults_are_told(target: Target) {
    let mut host = Fixture::roomy(target);
    let (one, other) = (space(&mut host), space(&mut host));
    let region = host.vmm.map(one, &RegionOptions::new(4)).expect("memory");
    host.write(one, region.start().bits() + PAGE, 6);
    let clone = host.vmm.clone_region(region, other, Placement::anywhere()).expect("room");
    let there = Placement::at(high(target));
    if !is_told(target) {
        let refusal = not_told(high(target), target.fault_end());
        host.refuses(refusal, |vmm| vmm.move_region(region, there));
        host.refuses(refusal, |vmm| vmm.move_region(clone, there));
        // Nobody else has the frames, and no write is a fault any more.
        host.vmm.release(clone).expect("a region");
        host.vmm.restore_write_access(region).expect("it is cloned no more");
    }
    let moved = host.vmm.move_region(region, there).expect("nothing is there");
    assert_eq!(host.read(one, moved.start().bits() + PAGE), 6);
    host.check();
}

/// A168.
fn pages_do_not_move_by_themselves_where_faults_are_not_told(target: Target) {
    let mut host = Fixture::roomy(target);
    let space = space(&mut host);
    let at = |address: usize| RegionOptions::new(2).at(address);
    let low = host.vmm.map(space, &at(0x1000_0000)).expect("memory");
    let above = host.vmm.map(space, &at(high(target))).expect("memory");
    let asked = host.vmm.map(space, &at(high(target) + 64 * PAGE).movable(true)).expect("memory");
    let may = |region| host.vmm.may_region_move(region);
    assert_eq!([may(low), may(above), may(asked)], [Ok(true), Ok(is_told(target)), Ok(true)]);
}

/// A108, A271, I47: what maps, moves and clones them takes no kernel call but for frames and
/// tables.
fn pages_of_a_store_lie_anywhere(target: Target) {
    let mut host = Fixture::roomy(target);
    let (plain, high) = (space(&mut host), high(target));
    let store = host.vmm.create_store().expect("a space");
    host.spaces.push(store);
    for options in by_faults(8) {
        let region = host.vmm.reserve(store, &options.at(high)).expect("nothing is there");
        let there = Placement::at(high + 64 * PAGE);
        let region = host.vmm.move_region(region, there).expect("nothing is there");
        host.vmm.release(region).expect("a region");
    }
    let origin = host.vmm.map(store, &RegionOptions::new(4).at(high)).expect("memory");
    host.vmm.write(store, high + PAGE, &[6]).expect("it can be written");
    let there = Placement::at(high + 64 * PAGE);
    let before = host.vmm.kernel_calls();
    let clone = host.vmm.clone_region(origin, store, there).expect("room");
    let moved = host.vmm.move_region(clone, Placement::at(high + 128 * PAGE)).expect("room");
    let calls = host.vmm.kernel_calls().since(&before);
    let of = [Invocation::PageMap, Invocation::PageUnmap, Invocation::PageRemap];
    assert_eq!(of.map(|of| calls.of(of)), [0; 3]);
    let byte = |host: &mut Fixture<'_>, space, at| {
        let mut byte = [0];
        host.vmm.read(space, at, &mut byte).map(|()| byte[0])
    };
    assert_eq!(byte(&mut host, store, moved.start().bits() + PAGE), Ok(6));
    // A clone of a store is a store; in a space of threads a clone lies where faults are told.
    let other = host.vmm.clone_space(store).expect("a space");
    host.spaces.push(other);
    assert_eq!(byte(&mut host, other, high + PAGE), Ok(6));
    // Of either, a write is its own.
    host.vmm.write(store, high + PAGE, &[7]).expect("it can be written");
    let clone = moved.start().bits() + PAGE;
    let all = [(store, high + PAGE), (store, clone), (other, high + PAGE)];
    assert_eq!(all.map(|(space, at)| byte(&mut host, space, at)), [Ok(7), Ok(6), Ok(6)]);
    if !is_told(target) {
        let refusal = not_told(high, target.fault_end());
        host.refuses(refusal, |vmm| vmm.clone_region(origin, plain, Placement::at(high)));
    }
    // No thread can touch anything there.
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    for store in [store, other] {
        let refusal = vmm::Error::StoreSpace(store);
        host.refuses(refusal, |vmm| vmm.register_thread(store, tcb, endpoint, "in a store"));
        let cspace = vmm::ThreadCSpace::Manager;
        host.refuses(refusal, |vmm| vmm.set_thread_space(tcb, store, cspace, vmm::CPtr::NULL));
    }
    host.check();
}

/// A thread in a space with one page at 0x2000_0000.
fn thread_beside_a_page(target: Target) -> (Fixture<'static>, ThreadId, SpaceId) {
    let mut host = Fixture::new(Machine::roomy(target));
    let space = space(&mut host);
    host.vmm.map(space, &RegionOptions::new(1).at(0x2000_0000).named("heap")).expect("memory");
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let thread = host.vmm.register_thread(space, tcb, endpoint, "wild").expect("a badge");
    (host, thread, space)
}

/// What the kernel tells of a touch of 0x5_2000_0010: the low 32 bits.
fn wild() -> PageFault {
    let address = 0x2000_0010;
    PageFault { address, access: Access::Write, present: false, ip: 0x40_0000 }
}

/// The class, and whether the thread is to repeat its instruction.
fn answered(
    host: &mut Fixture<'static>,
    thread: ThreadId,
    fault: &PageFault,
) -> (FaultClass, bool) {
    match host.vmm.handle_fault(thread.badge(), fault).expect("a thread").resolution {
        Resolution::Resolved(class) => (class, true),
        Resolution::Unresolved(class) => (class, false),
        Resolution::AskPager { token, .. } => (FaultClass::Pager { token }, false),
    }
}

/// A167.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_thread_that_touches_what_is_not_told_does_not_repeat_it_for_ever() {
    let (mut host, thread, space) = thread_beside_a_page(Target::X86_64);
    let fault = wild();
    // The page may have been mapped since: that is done again, and the thread goes on.
    assert_eq!(answered(&mut host, thread, &fault), (FaultClass::Recorded, true));
    // It has not gone on.
    assert_eq!(answered(&mut host, thread, &fault), (FaultClass::NotTold, false));
    let report = host.vmm.report_fault(space, fault, "wild").expect("a space").to_string();
    for part in ["heap, which allows it: another address was touched", "low 32 bits"] {
        assert!(report.contains(part), "{report}");
    }
    host.check();
}

/// A167. Two threads do not hide each other, and what was done for others does not for ever.
#[cfg(target_pointer_width = "64")]
#[test]
fn threads_that_touch_what_is_not_told_by_turns_do_not_hide_each_other() {
    let (mut host, one, space) = thread_beside_a_page(Target::X86_64);
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let other = host.vmm.register_thread(space, tcb, endpoint, "too").expect("a badge");
    let fault = wild();
    for thread in [one, other] {
        assert!(answered(&mut host, thread, &fault).1);
    }
    for thread in [one, other] {
        assert_eq!(answered(&mut host, thread, &fault), (FaultClass::NotTold, false));
    }
}

/// A167. A page that was away in between is no other address.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_page_that_was_changed_meanwhile_is_mapped_again() {
    let (mut host, thread, space) = thread_beside_a_page(Target::X86_64);
    let fault = wild();
    for _ in 0..5 {
        assert_eq!(answered(&mut host, thread, &fault), (FaultClass::Recorded, true));
        // By another instruction, and after the page was protected and given its right back.
        let elsewhere = PageFault { ip: 0x40_1000, ..fault };
        assert_eq!(answered(&mut host, thread, &elsewhere), (FaultClass::Recorded, true));
        for rights in [vmm::Rights::READ, vmm::Rights::READ_WRITE] {
            host.vmm.protect(space, Pages::at(0x2000_0000), rights).expect("mapped");
        }
    }
}

/// A165: every address is told on IA32, and a fault that comes again is another one.
#[test]
fn where_all_is_told_a_fault_that_comes_again_is_resolved_again() {
    let (mut host, thread, space) = thread_beside_a_page(Target::Ia32);
    for _ in 0..3 {
        assert_eq!(answered(&mut host, thread, &wild()), (FaultClass::Recorded, true));
    }
    let report = host.vmm.report_fault(space, wild(), "wild").expect("a space").to_string();
    assert!(!report.contains("low 32"), "{report}");
}
