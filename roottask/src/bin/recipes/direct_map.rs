// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is used again and again: zeroed at a second mapping that stays.

use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::{Job, RegionOptions};

pub fn recipe(vmm: &mut Manager) -> Outcome {
    vmm.make_direct_map()?;
    let (own, buffer) = (vmm.own_space(), RegionOptions::new(64).named("buffer"));
    let mut calls = 0;
    for _ in 0..4 {
        let region = vmm.map(own, &buffer)?;
        vmm.release(region)?;
        // Nothing else to do: what was used is zeroed, here or when it is wanted.
        let before = vmm.kernel_calls();
        while let Some(job @ Job::ZeroFrames { .. }) = vmm.next_job() {
            vmm.run_job(job)?;
        }
        calls = vmm.kernel_calls().since(&before).total();
    }
    check_eq!(calls, 0); // once all of them were in it
    let stats = vmm.stats();
    let (frames, tables) = (stats.direct_map_frames, stats.direct_map_tables);
    debug_println!("direct map: {frames} frames below {tables} page tables");
    Ok(vmm.remove_direct_map()?)
}
