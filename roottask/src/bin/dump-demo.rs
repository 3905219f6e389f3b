// SPDX-License-Identifier: BSD-2-Clause
//! What the manager shows of itself: two spaces, the allocator, threads, the statistics.
//!
//! It stops nowhere by itself. Under `qemu-scripts/debug.sh` a breakpoint at `almost_all_mapped` or
//! at `all_shown` holds it where it can be looked at: at the latter what it printed is still so.
#![no_std]
#![no_main]

use core::hint::black_box;

use roottask::{check_eq, Manager, Outcome};
use sel4::{cap, DebugWrite};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, SpawnOptions, StartOptions};
use vmm::{
    Access, Blueprint, Error, PageFault, PageSize, Pages, RegionOptions, Rights, ShareOptions,
    SpaceId, ThreadId,
};

static POOL: BootPool<32> = BootPool::new();

/// Everything is mapped but the last region.
#[inline(never)]
fn almost_all_mapped() {
    core::hint::black_box(());
}

/// Everything was printed, and nothing has changed since.
#[inline(never)]
fn all_shown() {
    core::hint::black_box(());
}

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let own = vmm.own_space();
    let other = fill(&mut vmm)?;
    almost_all_mapped();
    let threads = [run_deep(&mut vmm)?, wait_for_pager(&mut vmm, other)?];
    vmm.map(other, &RegionOptions::new(5).named("the last"))?;
    vmm.validate()?;
    show(&vmm, own, other, &threads).map_err(|_| Error::BadBootInfo(0))?;
    all_shown();
    check_eq!(vmm.validate(), Ok(()));
    debug_println!("dump-demo: passed");
    exit(ExitCode::Success)
}

/// A little of everything: guards, a ceiling, holes, rights that differ, large pages, memory that
/// two spaces share, objects of which some were given back. Returns the second space.
fn fill(vmm: &mut Manager) -> Outcome<SpaceId> {
    let own = vmm.own_space();
    let heap = vmm.map(own, &RegionOptions::new(300).named("heap").guarded(1, 1))?;
    let first = vmm.pages_of(heap)?.start().bits();
    vmm.unmap(own, Pages::at(first + 16 * 4096).count(8))?;
    vmm.protect(own, Pages::at(first).count(4), Rights::READ)?;
    vmm.reserve(own, &RegionOptions::new(64).named("later").at(0x2000_0000))?;
    let inside = RegionOptions::new(1024).at(0x3000_0000).named("for others");
    let reservation = vmm.create_reservation(own, &inside)?;
    vmm.map(own, &RegionOptions::new(3).at(0x3001_0000).inside(reservation).named("of another"))?;
    let bits = roottask::arch::LARGE_BITS;
    let large = RegionOptions::new(1 << (bits - 12)).page_size(PageSize::Large { bits });
    let large = large.aligned(bits);
    vmm.map(own, &large.named("large"))?;
    vmm.allocate_stack(own, 4, "worker-1")?;
    vmm.allocate_ipc_buffer(own)?;

    let other = vmm.create_space()?;
    vmm.share(
        own,
        Pages::at(first).count(4),
        other,
        &ShareOptions::new().named("shared").rights(Rights::READ),
    )?;
    vmm.map(other, &RegionOptions::new(20).named("code").rights(Rights::READ).at(0x40_0000))?;
    let gone = vmm.create_space()?;
    vmm.map(gone, &RegionOptions::new(10).named("gone"))?;
    vmm.destroy_space(gone)?;

    let threads = vmm.allocate_many(Blueprint::Tcb, 5)?;
    let endpoints = [vmm.allocate(Blueprint::Endpoint)?, vmm.allocate(Blueprint::Endpoint)?];
    vmm.allocate(Blueprint::Untyped { size_bits: 16 })?;
    vmm.free(endpoints[0])?;
    vmm.free_many(threads)?;
    vmm.alloc_slots(3)?;
    Ok(other)
}

/// A thread that stands in the midst of functions which called each other; and its id.
fn run_deep(vmm: &mut Manager) -> Outcome<ThreadId> {
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let arrived: cap::Notification = vmm.allocate(Blueprint::Notification)?.cap();
    let options = SpawnOptions::new().named("deep").answered_at(endpoint.slot());
    let thread = vmm.spawn(&options, move || black_box(outer(arrived)))?;
    arrived.wait();
    Ok(thread.id().ok_or(Error::BadBootInfo(0))?)
}

#[inline(never)]
fn outer(arrived: cap::Notification) -> usize {
    black_box(inner(arrived)) + 1
}

#[inline(never)]
fn inner(arrived: cap::Notification) -> usize {
    loop {
        arrived.signal();
    }
}

/// A thread that does not run, and is taken to wait for its pager; and its id.
fn wait_for_pager(vmm: &mut Manager, space: SpaceId) -> Outcome<ThreadId> {
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let tcb = vmm.allocate(Blueprint::Tcb)?;
    let id = vmm.register_thread(space, tcb.slot(), endpoint.slot(), "waiting")?;
    let fault =
        PageFault { address: 0x5000_1234, access: Access::Read, present: false, ip: 0x40_0000 };
    vmm.wait_for_page(7, id, fault, (9, 3))?;
    Ok(id)
}

/// Prints what is known of threads, as the debugger does.
fn show_threads(vmm: &Manager, threads: &[ThreadId]) -> Result<(), Error> {
    debug_println!("-- threads");
    let mut waiting = 0;
    for &id in threads {
        let (thread, request) = (vmm.thread(id)?, vmm.request_of(id)?);
        debug_println!(
            "badge {}: {:?} in {:?}, TCB in slot {:#x}, faults go to slot {:#x}{}",
            id.badge(),
            thread.name.as_str(),
            thread.space,
            thread.tcb.bits(),
            thread.fault_endpoint.bits(),
            if request.is_some() { ", waits for its pager" } else { "" }
        );
        waiting += usize::from(request.is_some());
    }
    debug_println!("{} threads are registered", threads.len());
    for request in threads.iter().filter_map(|&id| vmm.request_of(id).ok().flatten()) {
        debug_println!(
            "ticket {} of queue {}: badge {} waits for page {} of token {}, touching {:#x}",
            request.ticket,
            request.queue,
            request.thread.badge(),
            request.page,
            request.token,
            request.fault.address
        );
    }
    debug_println!("{waiting} requests wait");
    debug_println!("{} in quarantine", vmm.stats().quarantined);
    Ok(())
}

/// Prints all of it, each part between two lines of its own.
fn show(vmm: &Manager, own: SpaceId, other: SpaceId, threads: &[ThreadId]) -> core::fmt::Result {
    for space in [own, other] {
        debug_println!("-- dump of {space:?}");
        vmm.dump(space, &mut DebugWrite)?;
    }
    debug_println!("-- untypeds");
    vmm.allocator().dump_untypeds(&mut DebugWrite)?;
    debug_println!("-- slots");
    vmm.allocator().dump_slots(&mut DebugWrite)?;
    show_threads(vmm, threads).map_err(|_| core::fmt::Error)?;
    debug_println!("-- statistics");
    debug_println!("{}", vmm.stats());
    debug_println!("-- end");
    Ok(())
}
