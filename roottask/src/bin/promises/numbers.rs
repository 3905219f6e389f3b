// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that are used up: of objects, badges and tokens there are few, and a program has all of
//! them many times.

use roottask::{check, Outcome};
use vmm_service::objects::protocol::Amounts;
use vmm_service::objects::NewProgram;
use vmm_service::server::End;

use super::images;
use super::world::{World, PRIORITY, STACK_PAGES};

/// The greatest number of each kind.
const MAX: u32 = 64;
const AMOUNTS: Amounts = Amounts([300, 400, 500, 40, 16, 400, 400, 0]);
/// Of them, those that a program can have at the least, beside what it begins with.
const MIN_LEFT: u32 = 40;

/// A152: `rounds` objects are made, each with numbers of its own.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    left(world, rounds)?;
    world.check_empty()?;
    Ok(())
}

/// Returns how many there are for a program that has used as many as `rounds` before, if no other
/// runs.
pub fn left(world: &mut World, rounds: usize) -> Outcome<u32> {
    let World { vmm, server, .. } = world;
    server.narrow_numbers(Some(MAX));
    let new = NewProgram::new("cycler", images::CYCLER, AMOUNTS);
    let new = NewProgram { stack_pages: STACK_PAGES, ..new };
    let (program, begin) = server.create(vmm, &new)?;
    server.start(vmm, &begin, (PRIORITY, rounds))?;
    let ended = server.run(vmm)?;
    server.run(vmm)?;
    server.narrow_numbers(None);
    let left = match ended {
        Some((by, End::Exited(left))) if by == program => left,
        _ => 0,
    };
    check!((MIN_LEFT..MAX).contains(&left));
    Ok(left)
}
