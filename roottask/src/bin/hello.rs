//! The least a root task does with the manager: start it, map memory, use it, give it back.
#![no_std]
#![no_main]

use sel4_root_task::{debug_println, exit, root_task, ExitCode};
use vmm::sel4_kernel::{start, BootPool};
use vmm::RegionOptions;

static POOL: BootPool = BootPool::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Result<sel4_root_task::Never, vmm::Error> {
    let mut vmm = start(bootinfo, &POOL)?;
    let space = vmm.own_space();
    let heap = vmm.map(space, &RegionOptions::new(16).named("heap").guarded(1, 1))?;
    let first_word = (heap.start().bits() + 4096) as *mut u32;
    // SAFETY: the region's first page after its guard is mapped, and nobody else has it.
    unsafe { first_word.write_volatile(42) };
    debug_println!("wrote {} at {first_word:p}", unsafe { first_word.read_volatile() });
    vmm.release(heap)?;
    exit(ExitCode::Success)
}
