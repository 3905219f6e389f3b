// SPDX-License-Identifier: BSD-2-Clause
//! What has ended is gone: a program ends others, beside one that computes. It looks for itself
//! that none of their threads runs on, how long the answer took, and that all is back without a
//! request.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm_service::objects::protocol::{Amounts, FIRST_FREE_SLOT};
use vmm_service::objects::NewProgram;
use vmm_service::server::End;

use super::images;
use super::world::{World, PRIORITY, STACK_PAGES};

const AMOUNTS: Amounts = Amounts([1200, 900, 3200, 280, 80, 600, 1200, 0]);
const SMALL: Amounts = Amounts([100, 60, 200, 10, 4, 20, 40, 0]);

/// A235 A236: all sorts of programs end, so many times.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let World { vmm, server, .. } = world;
    let new = |name, file, amounts| {
        let new = NewProgram::new(name, file, amounts);
        NewProgram { stack_pages: STACK_PAGES, ..new }
    };
    // For ever: it is ended when the other has.
    let computing = server.create(vmm, &new("computing", images::FLOOD, SMALL))?;
    let warden = server.create(vmm, &new("warden", images::WARDEN, AMOUNTS))?;
    server.give_file(vmm, warden.0, (FIRST_FREE_SLOT, images::RUNNER))?;
    server.start(vmm, &computing.1, (PRIORITY, 0))?;
    server.start(vmm, &warden.1, (PRIORITY, rounds))?;
    let before = server.counts().unresolved;
    check_eq!(server.run(vmm)?, Some((warden.0, End::Exited(0))));
    check_eq!(server.counts().unresolved, before);
    server.kill(vmm, computing.0)?;
    check_eq!(server.run(vmm)?, None);
    world.check_empty()?;
    check!(rounds != 0);
    debug_println!("  all that they had is back");
    Ok(())
}
