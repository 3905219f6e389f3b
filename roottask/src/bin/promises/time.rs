// SPDX-License-Identifier: BSD-2-Clause
//! Time: who sleeps is up in time, and who computes has its share, beside programs that sleep with
//! many threads, or set limits for others again and again.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm_service::server::End;

use super::floods::{begin, Flood, COMPUTE, MAX_GAP, MIN_SHARE, SLICE};
use super::world::{World, PRIORITY};

static PARTS: PacerParts = PacerParts::new();

const SLEEP: Flood = (20, "sleeping, seven threads");
const NAP: Flood = (21, "sleeping, measured");
const LIMIT: Flood = (22, "limits of waits");
/// What floods beside one that computes and one whose sleeps are measured.
const ROWS: [&[Flood]; 3] = [&[], &[SLEEP], &[LIMIT]];
const MAX_OTHERS: usize = 1;
/// What a program exits with whose sleeps were never too long: one more for each 1024 ticks.
const MIN_NAP: u32 = 1 << 16;
/// Ticks of a pacer's tick, and of a millisecond, by which a sleep is longer at the most beside the
/// turns of others.
const ROUNDING: u64 = 2_000_000;
/// Threads that can have a turn before one that is up: of each row those of its floods, and the
/// one that computes.
const READY: [u64; 3] = [1, 8, 2];

/// A259 A260: each row for `millions` of instructions. The server has a clock from then on.
pub fn run(world: &mut World, millions: usize) -> Outcome {
    let pacer = Pacer::start(&mut world.vmm, &PARTS, PacerOptions::new())?;
    world.server.keep_time(&mut world.vmm, &pacer, sel4::init_thread::slot::TCB.cap())?;
    let mut alone = 0;
    for (floods, ready) in ROWS.into_iter().zip(READY) {
        let (share, longest) = row(world, floods, millions)?;
        let name = floods.first().map_or("nobody else", |(_, name)| name);
        debug_println!("  {share:>4} ‰, sleeps up to {longest:>10} too long, beside {name}");
        check!(share >= alone * MIN_SHARE / 100);
        check!(longest <= ready * SLICE + MAX_GAP + ROUNDING);
        alone = alone.max(share);
    }
    world.check_empty()?;
    // The pacer goes on for as long as the server: its end would have to wait for its threads' while
    // this thread has a notification that is signalled.
    Ok(())
}

/// Returns the thousandths of the processor that who computes got, and by how much a sleep was too
/// long at the most.
fn row(world: &mut World, floods: &[Flood], millions: usize) -> Outcome<(u32, u64)> {
    let mut begun = [None; MAX_OTHERS];
    for (place, &flood) in begun.iter_mut().zip(floods) {
        *place = Some(begin(world, flood, (PRIORITY, 0))?);
    }
    let naps = begin(world, NAP, (PRIORITY, millions))?;
    let computes = begin(world, COMPUTE, (PRIORITY, millions))?;
    let (mut code, mut longest) = (None, None);
    while code.is_none() || longest.is_none() {
        match world.server.run(&mut world.vmm)? {
            Some((program, End::Exited(by))) if program == computes => code = Some(by),
            Some((program, End::Exited(by))) if program == naps && by >= MIN_NAP => {
                longest = Some(u64::from(by - MIN_NAP + 1) << 10);
            }
            other => check_eq!(other, None),
        }
    }
    for program in begun.into_iter().flatten() {
        world.server.kill(&mut world.vmm, program)?;
    }
    check_eq!(world.server.run(&mut world.vmm)?, None);
    Ok((code.unwrap_or(0) & 0x3ff, longest.unwrap_or(0)))
}
