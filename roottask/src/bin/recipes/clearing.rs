// SPDX-License-Identifier: BSD-2-Clause
//! Memory that the kernel must clear, and nobody waits for: in words, ahead, and beside others.

use roottask::{check, Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm::AllocatorError::NeedsClearing;
use vmm::{Error, RegionOptions};

static PARTS: PacerParts = PacerParts::new();

pub fn recipe(vmm: &mut Manager) -> Outcome {
    // In words: this request may have cleared what it needs, while all others wait.
    let (own, heap) = (vmm.own_space(), RegionOptions::new(2048).named("heap"));
    let region = loop {
        match vmm.map(own, &heap) {
            Err(Error::Allocator(NeedsClearing { bytes })) => check!(vmm.clear(bytes)? >= bytes),
            answer => break answer?,
        }
    };
    vmm.release(region)?;

    // Ahead, as long as there is nothing else to do: each job says how much it clears by one call.
    let mut jobs = 0;
    while let Some(job) = vmm.next_job().filter(|job| job.cleared_by_one_call() <= 1 << 20) {
        vmm.run_job(job)?;
        jobs += 1;
    }

    // Beside others: the timer's interrupt lets them run. It gives sleep and time-outs, too.
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let begun = pacer.begin_clearing(vmm, 1 << 21)?;
    let small = vmm.map(own, &RegionOptions::new(16))?; // of other memory
    pacer.wait(vmm)?;
    let clock = pacer.clock(vmm)?;
    clock.sleep(2_000)?;
    debug_println!(
        "clearing: {jobs} jobs, then {begun} bytes, others ran {} times meanwhile",
        pacer.times_suspended()
    );
    clock.release(vmm)?;
    vmm.release(small)?;
    Ok(pacer.stop(vmm)?)
}
