// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that are used up: of objects, badges and tokens there are few, and a program has all of
//! them many times.

use roottask::Outcome;
use vmm_service::objects::protocol::Amounts;
use vmm_service::server::End;

use super::images;
use super::world::{Part, World};

/// The greatest number of each kind.
const MAX: u32 = 64;
const AMOUNTS: Amounts = Amounts([300, 400, 500, 40, 16, 400, 400, 0]);

/// A152: `rounds` objects are made, each with numbers of its own.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    world.server.narrow_numbers(Some(MAX));
    let cycler = Part { name: "cycler", file: images::CYCLER, amounts: AMOUNTS, argument: rounds };
    world.run(&[(cycler, End::Exited(0))])?;
    world.server.narrow_numbers(None);
    world.check_empty()?;
    Ok(())
}
