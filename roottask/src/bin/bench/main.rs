// SPDX-License-Identifier: BSD-2-Clause
//! What the manager's operations cost, beside what the kernel alone would cost.
//!
//! ```text
//!   floor.rs     the same invocations without a manager
//!   bulk.rs      many pages in one call          single.rs   one page, buffer, stack in a call
//!   service.rs   requests of client programs, and the life of one
//!   spaces.rs    address spaces               growth.rs    the same beside more and more others
//!   faults.rs    page faults, as the faulting thread sees them
//!   objects.rs   requests of programs that have their objects by capabilities
//!   cold.rs      memory that was not cleared before, in boots of their own
//!   orders/      single operations in orders that are not the kindest, in a boot of their own
//! ```
//!
//! Its argument says which part: without one the first, of memory that was cleared before; or
//! `give-back` or `objects`, which are some rows by themselves, for a profiler. The
//! program prints a line of JSON for each row between two markers; `qemu-scripts/bench.sh`
//! makes a table and a file of them. How it measures is in the library, `measure.rs`. Run it on the
//! release kernel with instruction counting.

#![no_std]
#![no_main]

mod bulk;
mod cold;
mod faults;
mod floor;
mod growth;
mod objects;
mod orders;
mod service;
mod single;
mod spaces;

use roottask::measure::warm;
use roottask::{Arguments, Manager, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::BootPool;
use vmm::Result;

static POOL: BootPool = BootPool::new();

#[root_task(stack_size = 512 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    debug_println!("bench: begin");
    match arguments.words().next() {
        None => warm(bootinfo, &POOL, run)?,
        Some("orders") => warm(bootinfo, &POOL, orders::run)?,
        Some("give-back") => warm(bootinfo, &POOL, orders::give_back)?,
        Some("objects") => warm(bootinfo, &POOL, objects::run)?,
        // The same, of small pages that become large in the background.
        Some("promote") => warm(bootinfo, &POOL, orders::promote)?,
        Some("direct") => warm(bootinfo, &POOL, orders::direct)?,
        Some("cold") => cold::needed(bootinfo)?,
        Some("cold-cleared") => cold::cleared(bootinfo)?,
        Some("cold-paced") => cold::paced(bootinfo)?,
        Some(word) => {
            debug_println!("bench: there is no part {word}");
            exit(ExitCode::Failure)
        }
    }
    debug_println!("bench: end");
    exit(ExitCode::Success)
}

/// Runs the first part. The order matters: what maps fresh memory comes before anything is given
/// back.
fn run(vmm: &mut Manager) -> Result {
    bulk::alloc_1024_frames(vmm)?;
    let pages = bulk::fresh(vmm)?;
    bulk::protect(vmm)?;
    let regions = single::fresh(vmm)?;
    single::populated(vmm, "map_single_4k", 1)?;
    single::populated(vmm, "map_scattered_4k", 2)?;
    single::ipc_buffers(vmm)?;
    single::stacks(vmm)?;
    faults::run(vmm)?;
    bulk::map_large(vmm)?;
    single::used(vmm, regions)?;
    bulk::used(vmm, pages)?;
    single::reserve_release(vmm)?;
    spaces::create_destroy(vmm)?;
    let null = service::run(vmm)?;
    growth::regions(vmm)?;
    growth::spaces(vmm)?;
    service::null(vmm, null)?;
    objects::run(vmm)
}
