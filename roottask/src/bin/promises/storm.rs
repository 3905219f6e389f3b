// SPDX-License-Identifier: BSD-2-Clause
//! Random messages, a good part of which is granted, beside a program that uses its guarantee.

use roottask::{check_eq, Outcome};
use vmm_service::objects::protocol::Amounts;
use vmm_service::server::End;

use super::images;
use super::world::{Part, World};

const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200]);

/// A153: runs `messages` of them.
pub fn run(world: &mut World, messages: usize) -> Outcome {
    let part = |name, file, argument| Part { name, file, amounts: AMOUNTS, argument };
    let storm = |messages| (part("storm", images::STORM, messages), End::Exited(0));
    let witness = |rounds| (part("witness", images::WITNESS, rounds), End::Exited(0));
    world.run(&[storm(messages), witness(10)])?;
    // Memory that was cut to pieces has slots and records for them: no more at the second time.
    let before = world.check_empty()?;
    world.run(&[storm(messages), witness(messages / 100)])?;
    check_eq!(world.check_empty()?, before);
    Ok(())
}
