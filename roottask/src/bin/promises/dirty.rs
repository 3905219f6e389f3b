// SPDX-License-Identifier: BSD-2-Clause
//! The first round after boot, and the end of as many pages: memory is dirty, what a program takes
//! is cleared for it, many MiB at a time, and given back when it ends, beside a program that
//! computes.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::PacerParts;
use vmm_service::objects::protocol::{Amounts, Resource};
use vmm_service::server::End;

use super::floods::{begin, begin_with, AMOUNTS, COMPUTE, END, MAX_GAP, SLICE};
use super::world::{World, PRIORITY};

static PARTS: PacerParts = PacerParts::new();

/// Pages of a page table that has few.
const TABLE_PAGES: u32 = 512;
/// What an account is itself.
const ACCOUNT_PAGES: u32 = 1;
/// Millions of instructions in which a thousand pages are taken and given back beside one that
/// computes, and in which both begin.
const MILLIONS: u32 = 20;
const BEGINNING: u32 = 30;

/// A278: a program takes so many pages, or all that are left if those are fewer, and ends; another
/// computes until they are back. The longest gap of that one is within its neighbour's slice, as
/// anywhere else.
pub fn run(world: &mut World, pages: usize) -> Outcome {
    let asked = pages as u32;
    world.server.start_clock(&mut world.vmm, &PARTS)?;
    let before = world.vmm.stats().allocator.cleared_bytes;
    let all = world.server.objects().amounts().0.of(Resource::Pages);
    let own = AMOUNTS.of(Resource::Pages) + ACCOUNT_PAGES;
    let pages = asked.min(all.saturating_sub(2 * own));
    // Each has a slot and a place in a table as the memory object's, and as the mapping's.
    let more = Amounts::NONE
        .with(Resource::Pages, pages)
        .with(Resource::Tables, 2 * pages / TABLE_PAGES)
        .with(Resource::Slots, 2 * pages);
    let takes = begin_with(world, END, AMOUNTS.plus(more).unwrap_or(AMOUNTS), (PRIORITY, 0))?;
    let millions = (BEGINNING + pages * MILLIONS / 1000) as usize;
    let computes = begin(world, COMPUTE, (PRIORITY, millions))?;
    let (mut code, mut taken, mut left) = (None, 0, u32::MAX);
    while let Some((program, end)) = world.server.run(&mut world.vmm)? {
        match end {
            End::Exited(by) if program == computes => {
                code = Some(by);
                left = world.server.objects().amounts().1.of(Resource::Pages);
            }
            End::Exited(by) if program == takes => taken = by,
            other => check_eq!(other, End::Exited(0)),
        }
    }
    let longest = code.map_or(u64::MAX, |code| u64::from(code >> 10) << 10);
    let cleared = (world.vmm.stats().allocator.cleared_bytes - before) >> 20;
    let fewer = if pages < asked { " (as many as there are)" } else { "" };
    debug_println!("  {taken} pages{fewer} were taken and given back; {cleared} MiB were cleared");
    debug_println!("  the longest gap was {longest}");
    check!(taken >= pages);
    // All were back before the other ended.
    check!(left <= own);
    check!(cleared >= u64::from(taken) * 4 / 1024 * 2 / 3);
    check!(longest <= SLICE + MAX_GAP);
    world.server.stop_clock(&mut world.vmm)?;
    world.check_empty()?;
    Ok(())
}
