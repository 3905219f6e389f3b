// SPDX-License-Identifier: BSD-2-Clause
//! A root task: it starts the manager, maps memory, uses it, and gives it back.
#![no_std]
#![no_main]

use sel4_root_task::{ExitCode, Never, debug_println, exit, root_task};
use vmm::RegionOptions;
use vmm::sel4::{BootPool, StartOptions, start_with};

/// The manager's first records; start asks for more where there are very many untypeds.
static POOL: BootPool = BootPool::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Result<Never, vmm::Error> {
    // As much memory is cleared as a request needs, whoever waits meanwhile.
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let space = vmm.own_space();
    let heap = vmm.map(space, &RegionOptions::new(16).named("heap").guarded(1, 1))?;
    let first_word = vmm.pages_of(heap)?.start().bits() as *mut u32;
    // SAFETY: the region's first page is mapped, and nobody else has it.
    let found = unsafe { first_word.replace(42) };
    debug_println!("found {found} at {first_word:p}, left 42 there");
    vmm.release(heap)?;
    exit(ExitCode::Success)
}
