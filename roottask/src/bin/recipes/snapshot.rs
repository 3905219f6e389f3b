// SPDX-License-Identifier: BSD-2-Clause
//! A snapshot by copy-on-write: what a region holds now, kept while the region goes on changing.

use roottask::{check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::faults::SharedManager;
use vmm::{Placement, RegionOptions, PAGE_BYTES};

const PAGES: usize = 16;

pub fn recipe(manager: &SharedManager) -> Outcome {
    let (ledger, snapshot, free) = {
        let vmm = &mut *manager.lock();
        let own = vmm.own_space();
        let ledger = vmm.map(own, &RegionOptions::new(PAGES).named("ledger"))?;
        // SAFETY: the region was mapped right now, and nobody else has it.
        unsafe { (ledger.start().bits() as *mut u32).write_volatile(1) };
        // No page is copied here. Of the options only the place counts.
        let snapshot = vmm.clone_region(ledger, own, Placement::anywhere())?;
        (ledger, snapshot, vmm.stats().free_bytes())
    };
    let now = ledger.start().bits() as *mut u32;
    let then = snapshot.start().bits() as *const u32;
    // SAFETY: both regions are ours. The write faults, and the handler copies that one page.
    let (new, old) = unsafe {
        now.write_volatile(2);
        (now.read_volatile(), then.read_volatile())
    };
    check_eq!((new, old), (2, 1));
    let vmm = &mut *manager.lock();
    check_eq!(free - vmm.stats().free_bytes(), PAGE_BYTES);
    debug_println!("snapshot: it says {old}, the ledger {new}; one page was copied");
    vmm.release(ledger)?;
    Ok(vmm.release(snapshot)?)
}
