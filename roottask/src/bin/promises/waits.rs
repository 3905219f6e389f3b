// SPDX-License-Identifier: BSD-2-Clause
//! Overcommit: a request for memory that another has waits, and goes on when it comes back.

use roottask::Outcome;
use vmm::Rights;
use vmm_service::objects::protocol::Amounts;
use vmm_service::server::End;

use super::images;
use super::world::{Part, World, MEETING_SLOT};

const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);

/// A162: so many times.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let part = |name, file| Part { name, file, amounts: AMOUNTS, argument: rounds };
    let patient = (part("patient", images::PATIENT), End::Exited(0));
    let friend = (part("friend", images::FRIEND), End::Exited(0));
    world.run_with(&[patient, friend], |world, programs| {
        let rights = [Rights::WRITE | Rights::GRANT, Rights::READ | Rights::GRANT];
        for (&program, rights) in programs.iter().flatten().zip(rights) {
            let at = (MEETING_SLOT, world.meetings[0]);
            world.server.give(&mut world.vmm, program, at, rights)?;
        }
        Ok(())
    })?;
    world.check_empty()?;
    Ok(())
}
