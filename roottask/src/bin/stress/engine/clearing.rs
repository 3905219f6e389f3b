// SPDX-License-Identifier: BSD-2-Clause
//! The pacer beside a run: memory is being cleared through each phase, and work is done ahead.
//!
//! What is being cleared is nobody's from the beginning of a phase to its end, however soon the
//! kernel is done: so what a phase finds does not depend on time.

use roottask::Outcome;

use super::pacing::Pacing;
use super::stress::Stress;

impl Stress {
    /// Starts the pacer, if the run is to have one.
    pub fn start_pacer(&mut self) -> Outcome {
        if self.settings.pacer {
            self.pacing = Some(Pacing::start(&mut self.vmm)?);
        }
        Ok(())
    }

    /// Has something cleared from now on, if there is a pacer.
    pub fn begin_clearing(&mut self) -> Outcome {
        match &mut self.pacing {
            Some(pacing) => pacing.begin_clearing(&mut self.vmm, &mut self.random),
            None => Ok(()),
        }
    }

    /// Waits for what is being cleared, and does what there is time for then.
    pub fn end_clearing(&mut self) -> Outcome {
        match &mut self.pacing {
            Some(pacing) => pacing.end_clearing(&mut self.vmm, &mut self.random),
            None => Ok(()),
        }
    }

    /// Stops the pacer, if there is one.
    pub fn stop_pacer(&mut self) -> Outcome {
        match self.pacing.take() {
            Some(pacing) => pacing.stop(&mut self.vmm),
            None => Ok(()),
        }
    }
}
