// SPDX-License-Identifier: BSD-2-Clause
//! The least a root task does with the manager: start it, map memory, use it, give it back.
#![no_std]
#![no_main]

use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::RegionOptions;

static POOL: BootPool = BootPool::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Result<Never, vmm::Error> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let space = vmm.own_space();
    let heap = vmm.map(space, &RegionOptions::new(16).named("heap").guarded(1, 1))?;
    let first_word = vmm.pages_of(heap)?.start().bits() as *mut u32;
    // SAFETY: the region's first page after its guard is mapped, and nobody else has it.
    let found = unsafe { first_word.replace(42) };
    debug_println!("found {found} at {first_word:p}, left 42 there");
    vmm.release(heap)?;
    exit(ExitCode::Success)
}
