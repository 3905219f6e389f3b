// SPDX-License-Identifier: BSD-2-Clause
//! The first round after boot: memory is dirty, and what programs take is cleared for them, many MiB
//! at a time, beside a program that computes.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::PacerParts;
use vmm_service::server::End;

use super::floods::{begin, COMPUTE, END, MAX_GAP, SLICE};
use super::world::{World, PRIORITY};

static PARTS: PacerParts = PacerParts::new();

/// A278: a program takes all its pages, and one computes for `millions` of instructions. The
/// longest gap of that one is within its neighbour's slice, as anywhere else.
pub fn run(world: &mut World, millions: usize) -> Outcome {
    world.server.start_clock(&mut world.vmm, &PARTS)?;
    let before = world.vmm.stats().allocator.cleared_bytes;
    let takes = begin(world, END, (PRIORITY, 0))?;
    let computes = begin(world, COMPUTE, (PRIORITY, millions))?;
    let mut code = None;
    while let Some((program, end)) = world.server.run(&mut world.vmm)? {
        match end {
            End::Exited(by) if program == computes => code = Some(by),
            End::Exited(_) => check!(program == takes),
            other => check_eq!(other, End::Exited(0)),
        }
    }
    let longest = code.map_or(u64::MAX, |code| u64::from(code >> 10) << 10);
    let cleared = (world.vmm.stats().allocator.cleared_bytes - before) >> 20;
    debug_println!("  {cleared} MiB were cleared; the longest gap was {longest}");
    check!(cleared >= 16);
    check!(longest <= SLICE + MAX_GAP);
    world.server.stop_clock(&mut world.vmm)?;
    world.check_empty()?;
    Ok(())
}
