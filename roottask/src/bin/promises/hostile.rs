// SPDX-License-Identifier: BSD-2-Clause
//! Pagers and programs that do what they should not, beside a program that uses its guarantee; and
//! programs of more priorities at a time than the server has threads that tell whose turn it is.

use roottask::Outcome;
use vmm_service::objects::protocol::{Amounts, FIRST_FREE_SLOT};
use vmm_service::server::End;

use super::images;
use super::world::{Part, World};

const AMOUNTS: Amounts = Amounts([1600, 1240, 7000, 280, 78, 1000, 2200, 0]);
/// For 34 programs at a time.
const MANY: Amounts = Amounts([2200, 1285, 7000, 350, 80, 1000, 2200, 0]);
const WITNESS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);

/// A256 A257 A258: so many times.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let part = |name, file, amounts, argument| Part { name, file, amounts, argument };
    let witness = (part("witness", images::WITNESS, WITNESS, 10 * rounds), End::Exited(0));
    for (name, file, amounts, own) in [
        ("arbiter", images::ARBITER, AMOUNTS, images::ARBITER),
        ("ladder", images::LADDER, MANY, images::BRIEF),
    ] {
        let hostile = (part(name, file, amounts, rounds), End::Exited(0));
        world.run_with(&[hostile, witness], |world, programs| {
            for &program in programs.iter().flatten().take(1) {
                world.server.give_file(&mut world.vmm, program, (FIRST_FREE_SLOT, own))?;
            }
            Ok(())
        })?;
        world.check_empty()?;
    }
    Ok(())
}
