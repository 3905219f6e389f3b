// SPDX-License-Identifier: BSD-2-Clause
//! Memory for a device's DMA: physically contiguous, and its physical address.

use roottask::arch::LARGE_BITS;
use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::{PageSize, RegionOptions, PAGE_BYTES};

/// A large page is one piece of physical memory.
const LARGE: usize = 1 << LARGE_BITS;

pub fn recipe(vmm: &mut Manager) -> Outcome {
    let own = vmm.own_space();
    let options = RegionOptions::new(LARGE / PAGE_BYTES).named("DMA").aligned(LARGE_BITS);
    let buffer = vmm.map(own, &options.page_size(PageSize::Large { bits: LARGE_BITS }))?;
    let start = buffer.start().bits();

    // What the device is told. It stays so: a page whose address was told is not moved.
    let physical = vmm.physical_address(own, start)?;
    check_eq!(
        vmm.physical_address(own, start + LARGE - PAGE_BYTES)?,
        physical + LARGE - PAGE_BYTES
    );

    // SAFETY: the region is mapped, and nobody else has it.
    unsafe { (start as *mut u32).write_volatile(0xd0a) };
    debug_println!("DMA: {LARGE} bytes at {start:#x}, for the device at {physical:#x}");
    Ok(vmm.release(buffer)?)
}
