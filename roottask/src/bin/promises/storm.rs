// SPDX-License-Identifier: BSD-2-Clause
//! Random messages, a good part of which is granted, beside a program that uses its guarantee.

use roottask::{check, Outcome};
use sel4_root_task::debug_println;
use vmm_service::objects::protocol::{Amounts, Resource};
use vmm_service::server::End;

use super::images;
use super::world::{Part, World};

const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);

/// How often the same is done at the most until it leaves what was there before.
const TIMES: usize = 4;

/// A153: runs `messages` of them.
pub fn run(world: &mut World, messages: usize) -> Outcome {
    let part = |name, file, argument| Part { name, file, amounts: AMOUNTS, argument };
    let storm = |messages| {
        let part = part("storm", images::STORM, messages);
        let amounts = AMOUNTS.with(Resource::LargePages, 1);
        (Part { amounts, ..part }, End::Exited(0))
    };
    let witness = |rounds| (part("witness", images::WITNESS, rounds), End::Exited(0));
    world.run(&[storm(messages), witness(10)])?;
    // Memory that was cut to pieces has slots and records for them, and a batch of small objects of
    // which one is in use has its own: as many at one time as at the time before. What were lost by
    // a message would be lost each time.
    let mut before = world.check_empty()?;
    for _ in 0..TIMES {
        world.run(&[storm(messages), witness(messages / 100)])?;
        let left = world.check_empty()?;
        if left == before {
            return Ok(());
        }
        debug_println!("  {left:?} pages and slots are free, and were {before:?}");
        before = left;
    }
    check!(false);
    Ok(())
}
