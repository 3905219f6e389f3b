// SPDX-License-Identifier: BSD-2-Clause
//! A pacer, its clock, and what was done with them in a run.

use roottask::{check, check_eq, Failure, Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Clock, Pacer, PacerError, PacerOptions, PacerParts};
use vmm::{Blame, Job};

use crate::input::Random;

static PARTS: PacerParts = PacerParts::new();

/// The smallest and the largest piece that is asked for, in bits.
const BITS: (usize, usize) = (12, 22);

/// The most jobs after a phase, and the most bytes that one clears.
const JOBS: usize = 16;
const MAX_CLEARED: usize = 1 << 20;

/// Microseconds that are slept now and then.
const SLEEP_US: u64 = 700;

/// A pacer, its clock, and what was done with it.
pub struct Pacing {
    pacer: Pacer,
    clock: Clock,
    begun: u32,
    bytes: u64,
    jobs: u32,
    slept: u32,
    refused: u32,
}

impl Pacing {
    /// Starts the pacer.
    pub fn start(vmm: &mut Manager) -> Outcome<Pacing> {
        let pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
        let clock = pacer.clock(vmm)?;
        Ok(Pacing { pacer, clock, begun: 0, bytes: 0, jobs: 0, slept: 0, refused: 0 })
    }

    /// Has something cleared from now on.
    pub fn begin_clearing(&mut self, vmm: &mut Manager, random: &mut Random) -> Outcome {
        let bytes = 1 << random.within(BITS.0, BITS.1);
        check_eq!(vmm.stats().allocator.clearing_bytes, 0);
        match self.pacer.begin_clearing(vmm, bytes) {
            Ok(begun) => {
                check_eq!(vmm.stats().allocator.clearing_bytes, begun);
                self.begun += u32::from(begun != 0);
                self.bytes += begun as u64;
                Ok(())
            }
            // No slot, or no node: nothing was begun.
            Err(PacerError::Manager(error)) if error.blame() == Blame::Resource => {
                self.refused += 1;
                Ok(())
            }
            Err(error) => Err(Failure::Pacer(error)),
        }
    }

    /// Waits for what is being cleared, sleeps now and then, and does some jobs.
    pub fn end_clearing(&mut self, vmm: &mut Manager, random: &mut Random) -> Outcome {
        self.pacer.wait(vmm)?;
        check_eq!(vmm.stats().allocator.clearing_bytes, 0);
        if random.once_in(4) {
            let before = self.clock.ticks();
            self.clock.sleep(SLEEP_US)?;
            check!(self.clock.ticks().wrapping_sub(before) >= 2);
            self.slept += 1;
        }
        let small = |job: &Job| job.cleared_by_one_call() <= MAX_CLEARED;
        for _ in 0..random.below(JOBS) {
            let Some(job) = vmm.next_job().filter(small) else { break };
            match vmm.run_job(job) {
                Ok(_) => self.jobs += 1,
                Err(error) if error.blame() == Blame::Resource => {
                    self.refused += 1;
                    break;
                }
                Err(error) => return Err(Failure::Manager(error)),
            }
        }
        Ok(())
    }

    /// Stops the pacer, and tells what it did.
    pub fn stop(self, vmm: &mut Manager) -> Outcome {
        let Pacing { pacer, clock, begun, bytes, jobs, slept, refused } = self;
        debug_println!(
            "stress: pacer: {begun} untypeds cleared beside others, {} KiB, suspended {} times; \
             {jobs} jobs, {slept} times slept, {refused} refused",
            bytes >> 10,
            pacer.times_suspended()
        );
        check_eq!(pacer.calls_refused(), 0);
        clock.release(vmm)?;
        Ok(pacer.stop(vmm)?)
    }
}
