// SPDX-License-Identifier: BSD-2-Clause
//! An arena of many addresses, of which only what is touched gets memory.

use roottask::{check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::faults::SharedManager;
use vmm::{Backing, RegionOptions, PAGE_BYTES};

/// 16 MiB of addresses.
const PAGES: usize = 4096;

pub fn recipe(manager: &SharedManager) -> Outcome {
    let (arena, before) = {
        let vmm = &mut *manager.lock();
        let own = vmm.own_space();
        let options = RegionOptions::new(PAGES).named("arena").guarded(1, 1);
        // A fault maps one page. With more `around` it would map its neighbours, too.
        let arena = vmm.reserve(own, &options.backed(Backing::OnDemand { around: 1 }))?;
        (arena, vmm.usage(own)?.frames)
    };
    let start = arena.start().bits() + PAGE_BYTES;
    // Never touch such memory while the manager is locked: its fault would wait for the lock.
    for page in [0, 1000, PAGES - 1] {
        // SAFETY: the addresses are the arena's; a fault maps the page.
        let found = unsafe { ((start + page * PAGE_BYTES) as *mut usize).replace(page) };
        check_eq!(found, 0);
    }
    let vmm = &mut *manager.lock();
    let own = vmm.own_space();
    check_eq!(vmm.usage(own)?.frames, before + 3);
    debug_println!("lazy arena: 3 of {PAGES} pages have memory");
    Ok(vmm.release(arena)?)
}
