// SPDX-License-Identifier: BSD-2-Clause
//! Overcommit: a request for memory that another has waits, and goes on when it comes back. So does
//! a touch, where there is less memory than was promised.

use roottask::{Manager, Outcome};
use sel4_root_task::debug_println;
use vmm::{Blueprint, Object, Rights};
use vmm_service::objects::protocol::{Amounts, PAGE_BYTES};
use vmm_service::server::End;

use super::images;
use super::world::{Part, World, MEETING_SLOT};

const AMOUNTS: Amounts = Amounts([300, 160, 700, 40, 16, 100, 200, 0]);
/// Bytes that are left for who touches 128 pages while 128 others are there.
const LEFT: usize = (128 + 80) * PAGE_BYTES;
/// The most pieces of memory that are withheld.
const PIECES: usize = 64;

/// A162 A340 A344 A346: so many times.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    with_friend(world, ("patient", images::PATIENT), rounds, |_| Ok(()))?;
    let mut withheld = [None; PIECES];
    with_friend(world, ("toucher", images::TOUCHER), rounds, |vmm| withhold(vmm, &mut withheld))?;
    for object in withheld.into_iter().flatten() {
        world.vmm.free(object)?;
    }
    Ok(())
}

/// Runs a program beside one that ends what it is given, once both are made and `before` is done.
fn with_friend(
    world: &mut World,
    (name, file): (&'static str, &'static [u8]),
    rounds: usize,
    before: impl FnOnce(&mut Manager) -> Outcome,
) -> Outcome {
    let part = |name, file| Part { name, file, amounts: AMOUNTS, argument: rounds };
    let waits = (part(name, file), End::Exited(0));
    let friend = (part("friend", images::FRIEND), End::Exited(0));
    world.run_with(&[waits, friend], |world, programs| {
        let rights = [Rights::WRITE | Rights::GRANT, Rights::READ | Rights::GRANT];
        for (&program, rights) in programs.iter().flatten().zip(rights) {
            let at = (MEETING_SLOT, world.meetings[0]);
            world.server.give(&mut world.vmm, program, at, rights)?;
        }
        before(&mut world.vmm)
    })?;
    world.check_empty()?;
    Ok(())
}

/// Takes all memory but [`LEFT`], so that there is less than is promised.
fn withhold(vmm: &mut Manager, withheld: &mut [Option<Object>; PIECES]) -> Outcome {
    let mut pieces = withheld.iter_mut();
    for size_bits in (12..28).rev() {
        while vmm.allocator().free_block_bytes() >= LEFT + (1 << size_bits) {
            let Ok(object) = vmm.allocate(Blueprint::Untyped { size_bits }) else { break };
            let Some(piece) = pieces.next() else { return Ok(()) };
            *piece = Some(object);
        }
    }
    debug_println!("  {} bytes are left", vmm.allocator().free_block_bytes());
    Ok(())
}
