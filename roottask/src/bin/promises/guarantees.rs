// SPDX-License-Identifier: BSD-2-Clause
//! Guarantees that add up to all there is: one program takes and scatters all of its own, and its
//! neighbour, which uses all of its own again and again, is refused nothing.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm_service::objects::protocol::{Amounts, Resource};
use vmm_service::server::End;

use super::images;
use super::world::{Part, World};

/// A147 A160: `rounds` of both.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let (limits, used) = world.server.objects().amounts();
    check_eq!(used, Amounts::NONE);
    // Of each resource a quarter and three quarters; each account is a space and a record itself.
    let quarter = Amounts(limits.0.map(|amount| (amount / 4).saturating_sub(2)));
    let most = Amounts(limits.0.map(|amount| amount.saturating_sub(amount / 4 + 2)));
    let pages = |amounts: Amounts| amounts.of(Resource::Pages);
    let parts = [
        Part { name: "scatterer", file: images::SCATTERER, amounts: most, argument: rounds },
        Part { name: "neighbour", file: images::WITNESS, amounts: quarter, argument: 4 * rounds },
    ];
    let (most, quarter) = (pages(most), pages(quarter));
    debug_println!("  {most} and {quarter} pages of {} are guaranteed", pages(limits));
    check!(most + quarter + 4 == pages(limits));
    world.run(&parts.map(|part| (part, End::Exited(0))))?;
    world.check_empty()?;
    Ok(())
}
