// SPDX-License-Identifier: BSD-2-Clause
//! A device's memory, at the physical address that the device has: the screen of a PC.

use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::{CachePolicy, RegionOptions};

const SCREEN: usize = 0xb_8000;

pub fn recipe(vmm: &mut Manager) -> Outcome {
    let own = vmm.own_space();
    let options = RegionOptions::new(1).named("screen").cached(CachePolicy::Uncached);
    let screen = vmm.map_physical(own, SCREEN, &options)?;
    check_eq!(vmm.physical_address(own, screen.start().bits())?, SCREEN);

    // A letter and its colour: white on black.
    let first = screen.start().bits() as *mut u16;
    let letter = 0x0f00 | u16::from(b'v');
    // SAFETY: the page is the device's, and nobody else has it; every 16 bits are a letter.
    let shown = unsafe {
        first.write_volatile(letter);
        first.read_volatile()
    };
    check_eq!(shown, letter);
    debug_println!("device: a letter on the screen");
    Ok(vmm.release(screen)?)
}
