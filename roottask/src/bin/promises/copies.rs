// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities wherever programs put them: copies in every slot of three CNodes end by one revoke;
//! and who deletes, moves and overwrites all it has can still be ended for its fault.

use roottask::{check_eq, Outcome};
use vmm::Rights;
use vmm_service::objects::protocol::Amounts;
use vmm_service::server::End;

use super::images;
use super::world::{Part, World, MEETING_SLOT};

const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);

/// A141 A144: as often as `times` says.
pub fn run(world: &mut World, times: usize) -> Outcome {
    let part = |name, file, argument| Part { name, file, amounts: AMOUNTS, argument };
    let copier = (part("copier", images::COPIER, 2), End::Exited(0));
    let collector = (part("collector", images::COLLECTOR, 0), End::Exited(0));
    let vandal = (part("vandal", images::VANDAL, 0), End::Fault);
    let witness = (part("witness", images::WITNESS, 10), End::Exited(0));
    for _ in 0..times {
        world.run_with(&[copier, collector, collector], |world, programs| {
            let (server, vmm) = (&mut world.server, &mut world.vmm);
            for (nth, &meeting) in world.meetings.iter().enumerate() {
                let [copier, collector] = [programs[0], programs[1 + nth]];
                let (Some(copier), Some(collector)) = (copier, collector) else { continue };
                let (send, receive) = (Rights::WRITE | Rights::GRANT, Rights::READ | Rights::GRANT);
                server.give(vmm, copier, (MEETING_SLOT + nth as u32, meeting), send)?;
                server.give(vmm, collector, (MEETING_SLOT, meeting), receive)?;
            }
            Ok(())
        })?;
        world.check_empty()?;
    }
    let before = world.server.counts().unresolved;
    world.run(&[vandal, witness])?;
    check_eq!(world.server.counts().unresolved, before + 1);
    world.check_empty()?;
    Ok(())
}
