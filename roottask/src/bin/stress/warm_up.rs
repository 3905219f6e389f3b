//! What happens before the start is taken: the manager's own pages come to their largest number.
//!
//! Book-keeping grows by pages that are never given back (they serve again), and the CSpace by a root
//! that stays. Neither is a leak, and both must be part of the start, or they would look like one.

use roottask::Outcome;

use crate::engine::Stress;
use crate::phases::PHASES;

/// Does each phase a few times, whatever was asked for, and gives everything back.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..3 {
        for phase in &PHASES {
            stress.set_phase(phase.name);
            (phase.run)(stress)?;
        }
    }
    stress.drain()
}
