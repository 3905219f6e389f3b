// SPDX-License-Identifier: BSD-2-Clause
//! What fuzzing and stress runs found, one test each: the input is in the test's words, the rule in
//! its name.

#[allow(dead_code, unused_imports, unused_macros)] // what other suites need of it
#[path = "core/support/mod.rs"]
mod support;

use page_tables::Geometry;
use support::{Fixture, Machine, PAGE, Snapshot, Target, on_both};
use untyped_alloc::{
    Allocator, Blueprint, CPtr, Error as AllocError, KernelError, ObjectSizes, UntypedInfo,
};
use vmm::{
    Access, Backing, Error, FaultClass, Invocation, PageFault, PageSize, Pages, Placement, Quota,
    RegionOptions, Resolution, Resource, ShareOptions, ThreadOptions,
};
use vmm_tests::model::{Arena, CallKind, ModelKernel};
use vmm_tests::support::{cspace_info, overlap};

/// An address with nothing near it.
const FREE: usize = 0x4000_0000;

on_both![
    a_page_that_another_fault_has_brought_takes_no_refused_call,
    a_recycled_large_page_is_clear,
    a_page_table_that_a_failed_map_left_empty_is_known_to_be,
    an_empty_page_table_is_in_the_way_of_no_large_page_of_a_run,
    a_share_that_is_refused_copies_nothing,
    a_clone_of_a_space_that_fails_leaves_it_writable,
    a_stack_that_cannot_be_given_back_is_given_back_later,
    what_a_destroyed_space_had_in_quarantine_is_gone_too,
    a_split_off_region_is_no_page_of_packed_buffers,
];

#[test]
fn a_part_far_outside_a_range_is_none() {
    let range = Geometry::IA32.range(Pages::at(0x1000_0000).count(4)).unwrap();
    // Its address would not fit in a word.
    assert_eq!(range.part(usize::MAX >> 12, 1), None);
    assert_eq!(range.part(usize::MAX, 1), None);
}

/// Zeroing mapped the large frame at a temporary slot, which is not aligned for it.
fn a_recycled_large_page_is_clear(target: Target) {
    let mut fixture = Fixture::roomy(target);
    let (own, bits) = (fixture.own(), target.large_bits());
    let pages = 1 << (bits - 12);
    let one = RegionOptions::new(pages).page_size(PageSize::Large { bits }).aligned(bits);
    // Two of them come together, so the one that is given back cannot be reset with the other.
    let two = RegionOptions::new(2 * pages).page_size(PageSize::Large { bits }).at(FREE);
    fixture.vmm.map(own, &two).unwrap();
    let last = FREE + (1 << bits) + (pages - 1) * PAGE;
    fixture.write(own, last, 7);
    fixture.vmm.unmap(own, Pages::at(FREE + (1 << bits)).count(pages)).unwrap();
    let again = fixture.vmm.map(own, &one).unwrap();
    assert_eq!(fixture.vmm.large_pages_in(again), Ok(pages), "it is large again");
    assert_eq!(fixture.read(own, again.start().bits() + (pages - 1) * PAGE), 0);
    fixture.check();
}

/// Counting no entries as used took the page table off the list of empty ones.
fn a_page_table_that_a_failed_map_left_empty_is_known_to_be(target: Target) {
    let mut fixture = Fixture::roomy(target);
    let own = fixture.own();
    fixture.kernel().fail_nth_of(CallKind::PageMap, 1, KernelError::InvalidCapability);
    let refused = fixture.vmm.map(own, &RegionOptions::new(8).at(FREE));
    assert!(matches!(refused, Err(Error::Kernel { invocation: Invocation::PageMap, .. })));
    fixture.check();
}

/// Only the first large page of a run made way. Found by a stress run: seed 5 with 512 MiB.
fn an_empty_page_table_is_in_the_way_of_no_large_page_of_a_run(target: Target) {
    const LARGE_PAGES: usize = 4;
    let bits = target.large_bits();
    let pages = LARGE_PAGES << (bits - 12);
    for above in 0..LARGE_PAGES {
        let mut fixture = Fixture::roomy(target);
        let own = fixture.own();
        let small = RegionOptions::new(1).at(FREE + (above << bits));
        let small = fixture.vmm.map(own, &small).unwrap();
        fixture.vmm.release(small).unwrap();
        let kept = fixture.vmm.space_stats(own).unwrap().empty_tables;
        assert!(kept > 0, "its page table is kept");
        let large = RegionOptions::new(pages).page_size(PageSize::Large { bits }).at(FREE);
        let large = fixture.vmm.map(own, &large).unwrap();
        assert_eq!(fixture.vmm.large_pages_in(large), Ok(pages));
        assert_eq!(fixture.vmm.space_stats(own).unwrap().empty_tables, kept - 1, "it made way");
        fixture.check();
    }
}

/// Mapping it was tried first, and refused, for each thread but one that had touched the page.
/// Found by a stress run: its threads fault all at once.
fn a_page_that_another_fault_has_brought_takes_no_refused_call(target: Target) {
    let mut fixture = Fixture::roomy(target);
    let own = fixture.own();
    let lazy = RegionOptions::new(4).backed(Backing::OnDemand { around: 1 }).at(FREE);
    fixture.vmm.reserve(own, &lazy).unwrap();
    let fault = PageFault { address: FREE, access: Access::Write, present: false, ip: 0 };
    fixture.vmm.resolve_fault(own, &fault).unwrap();
    let before = fixture.vmm.kernel_calls();
    let again = fixture.vmm.resolve_fault(own, &fault);
    assert_eq!(again, Ok(Resolution::Resolved(FaultClass::Recorded)));
    let calls = fixture.vmm.kernel_calls().since(&before);
    assert_eq!((calls.total(), calls.of(Invocation::PageRemap)), (1, 1));
    fixture.check();
}

/// An allocator that owns nothing but 64 KiB of device memory; and where that is.
fn with_a_device(arena: &Arena) -> (ModelKernel<'_>, Allocator<'_>, usize) {
    let mut kernel = ModelKernel::boot(arena, &Machine::small(Target::Ia32).config);
    let facts = kernel.facts().clone();
    let mut alloc = Allocator::new(ObjectSizes::IA32, cspace_info(&facts));
    let mut pages = facts.image.step_by(PAGE);
    while let Some(kind) = alloc.wanting() {
        alloc.adopt_page(&mut kernel, pages.next().unwrap(), kind);
    }
    let device = facts.untypeds.iter().find(|untyped| untyped.device).unwrap();
    let (slot, paddr) = (CPtr::new(device.slot), device.paddr);
    let info = UntypedInfo { slot, paddr, size_bits: device.size_bits, is_device: true };
    alloc.add_untyped(info).unwrap();
    (kernel, alloc, paddr)
}

const FRAME: Blueprint = Blueprint::Frame { size_bits: 12 };

/// The objects were gone, but what came after, uniting their memory, had failed: so they were said
/// to be there still.
#[test]
fn device_objects_are_freed_though_their_memory_cannot_be_united() {
    let arena = Arena::new();
    let (mut kernel, mut alloc, paddr) = with_a_device(&arena);
    let frames = alloc.allocate_at(&mut kernel, FRAME, paddr, 2).unwrap();
    kernel.fail_nth_of(CallKind::CNodeRevoke, 2, KernelError::IllegalOperation);
    alloc.free_many(&mut kernel, frames).unwrap();
    assert!(!kernel.disarm(), "uniting was refused");
    assert!(kernel.is_empty_slot(frames.first_slot()));
    alloc.allocate_at(&mut kernel, FRAME, paddr, 16).unwrap();
    assert_eq!(alloc.validate(), Ok(()));
}

/// Device memory that a refused call left cut stayed so until somebody asked for more of it.
#[test]
fn trimming_unites_device_memory() {
    let arena = Arena::new();
    let (mut kernel, mut alloc, paddr) = with_a_device(&arena);
    let untouched = alloc.stats().free_slots;
    let frames = alloc.allocate_at(&mut kernel, FRAME, paddr, 1).unwrap();
    kernel.fail_nth_of(CallKind::CNodeRevoke, 2, KernelError::IllegalOperation);
    alloc.free_many(&mut kernel, frames).unwrap();
    assert!(!kernel.disarm(), "uniting was refused");
    assert!(alloc.stats().free_slots < untouched, "it is cut still");
    alloc.trim(&mut kernel).unwrap();
    assert_eq!(alloc.stats().free_slots, untouched);
    assert_eq!(alloc.validate(), Ok(()));
}

/// The kernel's refusal was passed on as if it were a bug of the manager's.
#[test]
fn a_page_table_in_device_memory_is_the_callers_mistake() {
    let arena = Arena::new();
    let (mut kernel, mut alloc, paddr) = with_a_device(&arena);
    let refused = alloc.allocate_at(&mut kernel, Blueprint::Table { level: 1 }, paddr, 1);
    assert_eq!(refused, Err(AllocError::DeviceMemory(paddr)));
}

/// Copy-on-write ended for what was to be shared before it was known that there is room for it, and
/// that its quota allows it. Found by the enumeration of short sequences.
fn a_share_that_is_refused_copies_nothing(target: Target) {
    let mut fixture = Fixture::roomy(target);
    let own = fixture.own();
    let region = fixture.vmm.map(own, &RegionOptions::new(2).at(FREE)).unwrap();
    fixture.vmm.clone_region(region, own, Placement::anywhere()).unwrap();
    let taken = overlap(FREE, FREE);
    fixture.refuses(taken, |vmm| {
        vmm.share(own, Pages::at(FREE).count(2), own, &ShareOptions::new().at(FREE))
    });
    let used = fixture.vmm.usage(own).unwrap();
    let limit = used.frames + 1;
    fixture.vmm.set_quota(own, Quota { frames: limit, ..Quota::UNLIMITED }).unwrap();
    let resource = Resource::Frames;
    let beyond = Error::OutOfQuota { space: own, resource, limit, used: used.frames, wanted: 2 };
    fixture
        .refuses(beyond, |vmm| vmm.share(own, Pages::at(FREE).count(2), own, &ShareOptions::new()));
}

/// What was cloned before a region could not be stayed under copy-on-write, to be freed of it by a
/// fault that perhaps nobody answers. Found by fuzzing.
fn a_clone_of_a_space_that_fails_leaves_it_writable(target: Target) {
    let mut fixture = Fixture::roomy(target);
    let space = fixture.vmm.create_space().unwrap();
    fixture.spaces.push(space);
    for n in 0..3 {
        fixture.vmm.map(space, &RegionOptions::new(1).at(FREE + 2 * n * PAGE)).unwrap();
    }
    let before = Snapshot::settled(&mut fixture);
    fixture.kernel().fail_nth_of(CallKind::PageMap, 3, KernelError::InvalidCapability);
    fixture.vmm.clone_space(space).expect_err("the third region cannot be mapped");
    fixture.check();
    before.assert_same(&Snapshot::settled(&mut fixture));
}

/// Where the kernel refused to make a thread's buffer and then to unmap its stack, the stack stayed
/// as a region whose id nobody had. Found by fuzzing.
fn a_stack_that_cannot_be_given_back_is_given_back_later(target: Target) {
    let thread =
        ThreadOptions { stack_pages: 8, guard_pages: 1, growing: None, tls: None, name: "thread" };
    for nth in 1.. {
        let mut fixture = Fixture::roomy(target);
        let own = fixture.own();
        let before = Snapshot::settled(&mut fixture);
        fixture.kernel().fail_from(nth, KernelError::InvalidCapability);
        let made = fixture.vmm.allocate_thread_memory(own, &thread);
        fixture.kernel().disarm();
        if made.is_ok() {
            assert!(nth > 10, "{nth} calls");
            return;
        }
        fixture.check();
        before.assert_same(&Snapshot::settled(&mut fixture));
    }
}

/// What the kernel would not let go was counted for good when its space went.
fn what_a_destroyed_space_had_in_quarantine_is_gone_too(target: Target) {
    let mut met = 0;
    for nth in 1.. {
        let mut fixture = Fixture::roomy(target);
        let before = Snapshot::settled(&mut fixture);
        let space = fixture.vmm.create_space().unwrap();
        fixture.spaces.push(space);
        fixture.kernel().fail_from(nth, KernelError::InvalidCapability);
        let mapped = fixture.vmm.map(space, &RegionOptions::new(3).at(FREE));
        fixture.kernel().disarm();
        if mapped.is_ok() {
            assert!(met > 0, "nothing went to the quarantine");
            return;
        }
        met += usize::from(fixture.vmm.stats().quarantined != 0);
        fixture.check();
        fixture.vmm.destroy_space(space).expect("nothing fails now");
        fixture.spaces.pop();
        assert_eq!(fixture.vmm.stats().quarantined, 0);
        before.assert_same(&Snapshot::settled(&mut fixture));
    }
}

/// A split took the node of a page of packed buffers that was given back, with its counts: a buffer
/// made in the upper part could not be given back.
fn a_split_off_region_is_no_page_of_packed_buffers(target: Target) {
    let mut fixture = Fixture::small(target);
    let own = fixture.own();
    let region = fixture.vmm.map(own, &RegionOptions::new(2).at(FREE)).unwrap();
    let packed: Vec<_> = (0..PAGE / target.ipc_buffer_bytes())
        .map(|_| fixture.vmm.allocate_packed_ipc_buffer(own).unwrap())
        .collect();
    for buffer in packed {
        fixture.vmm.release_ipc_buffer(buffer).unwrap();
    }
    let upper = fixture.vmm.split_region(region, 1).unwrap();
    let buffer = fixture.vmm.ipc_buffer_in(upper, FREE + PAGE).unwrap();
    assert_eq!(fixture.vmm.release_ipc_buffer(buffer), Ok(()));
    assert_eq!(fixture.vmm.mapping_at(own, FREE + PAGE), Ok(None), "its page went with it");
    fixture.check();
}
