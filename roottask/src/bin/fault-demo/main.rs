// SPDX-License-Identifier: BSD-2-Clause
//! What happens when a thread touches memory that is not there.
//!
//! ```text
//!   main.rs      the course of it, from all memory free to all memory free
//!   manager.rs   the manager, which several threads share from some point on
//!   clones.rs    copy-on-write between two address spaces, messages fed from our own loop
//!   remote.rs    threads of other spaces, of a few instructions each
//!   workers.rs   threads of our own space, and who hears of their ends
//!   touching.rs  lazily mapped memory, a stack that grows, a guard that is hit, a jump to nowhere
//!   paging.rs    a pager outside, one that refuses and one that never answers
//! ```
#![no_std]
#![no_main]

mod clones;
mod manager;
mod paging;
mod remote;
mod touching;
mod workers;

use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::faults::{start, HandlerOptions};
use vmm::sel4::{start as start_manager, BootPool};

use manager::MANAGER;

static POOL: BootPool<48> = BootPool::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_manager(bootinfo, &POOL)?;
    debug_println!("fault-demo: memory that comes when it is touched");
    let before = free(&mut vmm)?;
    debug_println!("before: {} bytes and {} slots free", before.0, before.1);

    debug_println!("copy-on-write, faults answered in our own loop:");
    clones::show(&mut vmm)?;

    MANAGER.share(vmm)?;
    workers::prepare(&mut MANAGER.lock())?;
    let pagers = paging::prepare(&mut MANAGER.lock())?;
    let handler = start(&MANAGER, &HandlerOptions::default(), workers::policy, |vmm, handler| {
        pagers.register(vmm, handler)
    })
    .map_err(workers::refused)?;
    debug_println!("from here on a thread of its own answers faults");
    touching::lazy_memory(&handler)?;
    touching::growing_stack(&handler)?;
    touching::guard(&handler)?;
    touching::nowhere(&handler)?;
    pagers.show(&handler)?;

    pagers.release(&mut MANAGER.lock())?;
    handler.stop(&mut MANAGER.lock()).map_err(workers::refused)?;
    workers::release(&mut MANAGER.lock())?;
    let mut vmm = MANAGER.unshare()?;
    let after = free(&mut vmm)?;
    debug_println!("after:  {} bytes and {} slots free", after.0, after.1);
    check_eq!(after, before);
    debug_println!("all memory and slots are free again");
    debug_println!("fault-demo: passed");
    exit(ExitCode::Success)
}

/// Free bytes and slots, after what is kept for speed was given back and everything was checked.
fn free(vmm: &mut Manager) -> Outcome<(usize, usize)> {
    // Here it may take as long as it takes: otherwise what can no more be cleared by one call stays
    // in pieces, each with a slot.
    let limit = vmm.clearing_limit();
    vmm.limit_clearing(usize::MAX);
    vmm.trim()?;
    vmm.limit_clearing(limit);
    vmm.validate()?;
    let stats = vmm.stats();
    Ok((stats.free_bytes(), stats.allocator.free_slots))
}
