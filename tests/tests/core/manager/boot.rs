// SPDX-License-Identifier: BSD-2-Clause
//! Starting.

use untyped_alloc::{Blueprint, Error as AllocError, NodeKind as AllocNodeKind, UntypedInfo};
use vmm::{Access, AddressError, Blame, BootInfo, CPtr, Error, FaultClass, PageFault};
use vmm::{RegionOptions, Result, ThreadCSpace, Vmm};
use vmm_tests::model::{Arena, ModelKernel, SharedModel};
use vmm_tests::support::overlap;

use super::FREE;
use crate::support::{BootParts, Fixture, Machine, PAGE, Target, on_each};

on_each!(
    starting_makes_no_kernel_call,
    what_the_boot_mapped_is_recorded,
    nothing_is_ever_mapped_over_it,
    the_first_threads_stack_has_a_guard,
    the_first_threads_faults_go_where_they_went_when_the_cspace_grows,
    a_machine_without_ram_is_refused,
    a_pool_that_is_too_small_is_refused,
    boot_information_that_makes_no_sense_is_refused,
    the_smallest_pool_grows_by_its_own_pages,
    devices_that_are_not_aligned_or_lie_beyond_user_space_start,
);

/// Starts on a roomy machine with what `change` makes of its boot information.
fn start(target: Target, change: impl FnOnce(&mut BootParts)) -> Result<()> {
    let arena = Arena::new();
    let machine = Machine::roomy(target);
    let kernel = ModelKernel::boot(&arena, &machine.config);
    let mut parts = BootParts::of(&kernel, machine.pool_pages);
    change(&mut parts);
    Vmm::new(SharedModel::new(kernel), target.architecture(), &parts.info()).map(drop)
}

/// A11.
fn starting_makes_no_kernel_call(target: Target) {
    let host = Fixture::roomy(target);
    assert_eq!(host.kernel().total_calls(), 0);
    host.check();
}

/// I1.
fn what_the_boot_mapped_is_recorded(target: Target) {
    let host = Fixture::roomy(target);
    let kernel = host.kernel();
    for (vaddr, _) in kernel.mappings(kernel.facts().vspace) {
        let region = host.vmm.region_at(host.own(), vaddr).expect("a space");
        assert!(region.is_some(), "{vaddr:#x} is nobody's");
    }
    let null = host.vmm.region_at(host.own(), 0).expect("a space");
    assert!(null.is_some(), "the page of the null pointer is never mapped");
}

/// A53.
fn the_first_threads_stack_has_a_guard(target: Target) {
    let arena = Arena::new();
    let machine = Machine::roomy(target);
    let kernel = ModelKernel::boot(&arena, &machine.config);
    let parts = BootParts::of(&kernel, machine.pool_pages);
    let image = parts.mapped[0].1.clone();
    let guard = image.start + PAGE;
    let info = BootInfo { stack: Some(guard..guard + 3 * PAGE), ..parts.info() };
    let vmm = Vmm::new(SharedModel::new(kernel), target.architecture(), &info).expect("it starts");
    let region = |address| vmm.region_at(vmm.own_space(), address).expect("a space").expect("one");
    let stack = region(guard);
    assert_eq!((stack.name.as_str(), stack.guard_below), ("stack of main", 1));
    assert_eq!((stack.range.start().bits(), stack.range.pages()), (guard, 3));
    for (address, start) in [(image.start, image.start), (guard + 3 * PAGE, guard + 3 * PAGE)] {
        assert_eq!((region(address).name.as_str(), region(address).guard_below), ("image", 0));
        assert_eq!(region(address).range.start().bits(), start);
    }
    assert_eq!(region(image.end - PAGE).range.end(), image.end);
    let write = |address| PageFault { address, access: Access::Write, present: false, ip: 0 };
    let report = |address| vmm.report_fault(vmm.own_space(), write(address), "main");
    let at_guard = report(guard + PAGE - 8).expect("a space");
    assert_eq!(at_guard.class, FaultClass::Guard);
    assert!(at_guard.to_string().contains("is 8 bytes below the stack of main: its guard"));
    assert_eq!(report(guard + PAGE).expect("a space").class, FaultClass::Boot);
}

/// A56.
fn the_first_threads_faults_go_where_they_went_when_the_cspace_grows(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).slots(9));
    let (own, tcb) = (host.own(), host.kernel().facts().tcb);
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let id = host.vmm.register_thread(own, tcb, endpoint, "main").expect("memory");
    let faults = host.vmm.thread(id).expect("registered").fault_endpoint;
    host.vmm.set_thread_space(tcb, own, ThreadCSpace::Manager, faults).expect("it runs");
    let (before, mut runs) = (host.vmm.cspace_root(), 0);
    while host.vmm.cspace_root() == before {
        host.vmm.alloc_slots(200).expect("the CSpace grows");
        runs += 1;
        assert!(runs < 8, "there were no 1600 slots");
    }
    let thread = host.kernel().tcb(tcb).expect("a thread");
    assert_eq!(thread.fault_endpoint, faults.bits());
    host.check();
}

/// A5, A11.
fn nothing_is_ever_mapped_over_it(target: Target) {
    let mut host = Fixture::roomy(target);
    let image = host.kernel().facts().image.clone();
    let own = host.own();
    for (at, region_start) in [(image.start, image.start), (image.end - PAGE, image.start), (0, 0)]
    {
        let error = overlap(at, region_start);
        host.refuses(error, |vmm| vmm.map(own, &RegionOptions::new(1).at(at)));
    }
}

fn a_machine_without_ram_is_refused(target: Target) {
    let nothing = start(target, |parts| parts.untypeds.clear());
    assert_eq!(nothing, Err(Error::Allocator(AllocError::NoUntyped)));
    let devices = start(target, |parts| parts.untypeds.retain(|untyped| untyped.is_device));
    assert_eq!(devices, Err(Error::Allocator(AllocError::NoUntyped)));
    assert_eq!(AllocError::NoUntyped.blame(), Blame::Caller);
}

fn a_pool_that_is_too_small_is_refused(target: Target) {
    let arena = Arena::new();
    let machine = Machine::roomy(target);
    let enough = (1..64).find(|&pages| {
        let kernel = ModelKernel::boot(&arena, &machine.config);
        let parts = BootParts::of(&kernel, pages);
        let started = Vmm::new(SharedModel::new(kernel), target.architecture(), &parts.info());
        let kind = |error: &Error| match error {
            Error::OutOfNodes(_) => true,
            Error::Allocator(error) => *error == AllocError::OutOfNodes(AllocNodeKind::Block),
            _ => false,
        };
        if let Err(error) = started.as_ref().map(drop) {
            assert!(kind(error), "{error:?}");
            assert_eq!(error.blame(), Blame::Resource);
        }
        started.is_ok()
    });
    assert!(enough.is_some_and(|pages| (2..=16).contains(&pages)), "{enough:?}");
}

fn boot_information_that_makes_no_sense_is_refused(target: Target) {
    let end = target.user_end();
    let bits = 12;
    let misaligned = start(target, |parts| parts.mapped[0].1.start += 8);
    assert!(matches!(misaligned, Err(Error::Address(AddressError::Misaligned { bits: 12, .. }))));
    let empty = start(target, |parts| parts.mapped[1].1 = FREE..FREE);
    assert_eq!(empty, Err(AddressError::Empty { address: FREE }.into()));
    let inverted =
        start(target, |parts| parts.mapped[1].1 = std::ops::Range { start: 8192, end: 4096 });
    assert_eq!(inverted, Err(Error::BadBootInfo(4096)));
    let outside = start(target, |parts| parts.mapped[1].1 = end..end + PAGE);
    assert_eq!(outside, Err(AddressError::OutsideUserSpace { address: end + PAGE, end }.into()));
    let twice = start(target, |parts| parts.mapped.push(parts.mapped[0].clone()));
    assert!(matches!(twice, Err(Error::Overlap { .. })), "{twice:?}");
    let table = start(target, |parts| parts.tables.push(parts.tables[0]));
    assert!(matches!(table, Err(Error::BadBootInfo(_))), "a table twice: {table:?}");
    // The root is no table in the space, and there is none below the deepest.
    let levels = target.architecture().geometry.levels.len() as u8;
    for level in [0, levels, levels + 1, u8::MAX] {
        let level = start(target, |parts| parts.tables.push((level, FREE, CPtr::new(40))));
        assert_eq!(level, Err(Error::BadBootInfo(FREE)));
    }
    let untyped = UntypedInfo { slot: CPtr::new(40), paddr: 8, size_bits: 12, is_device: false };
    let odd = start(target, |parts| parts.untypeds.push(untyped));
    assert_eq!(odd, Err(Error::Allocator(AllocError::BadUntyped(8))));
    let twice = start(target, |parts| parts.untypeds.push(parts.untypeds[0]));
    assert!(matches!(twice, Err(Error::Allocator(AllocError::BadUntyped(_)))));
    let pool = start(target, |parts| parts.pool = FREE + 8..FREE + 8 + 16 * PAGE);
    assert_eq!(pool, Err(AddressError::Misaligned { address: FREE + 8, bits }.into()));
}

fn the_smallest_pool_grows_by_its_own_pages(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).pool(16));
    let own = host.own();
    // Every other page, so that each costs a region and a run of its own.
    for page in 0..600 {
        let options = RegionOptions::new(1).at(FREE + page * 2 * PAGE);
        host.vmm.map(own, &options).expect("memory");
    }
    assert!(host.vmm.stats().bookkeeping_pages > 0);
    host.check();
}

/// As kernels newer than 5.0.0 tell of them: one is left out, the other is as good as any.
fn devices_that_are_not_aligned_or_lie_beyond_user_space_start(target: Target) {
    let beyond = target.user_end().next_multiple_of(1 << 16);
    let mut machine = Machine::small(target);
    machine.config.devices = vec![(0x4000_1000, 13), (beyond, 16)];
    let mut host = Fixture::new(machine);
    let own = host.own();
    assert_eq!(host.vmm.stats().allocator.left_out_bytes, 1 << 13);
    let options = RegionOptions::new(2).at(FREE);
    let region = host.vmm.map_physical(own, beyond + PAGE, &options).expect("it is free");
    let mapped = host.mappings(own);
    assert_eq!([FREE, FREE + PAGE].map(|at| mapped[&at].paddr), [beyond + PAGE, beyond + 2 * PAGE]);
    let left_out = AllocError::NoUntypedAt(0x4000_1000);
    host.refuses(left_out.into(), |vmm| vmm.map_physical(own, 0x4000_1000, &RegionOptions::new(1)));
    host.vmm.release(region).expect("a region");
    host.check();
}
