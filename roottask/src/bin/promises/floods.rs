// SPDX-License-Identifier: BSD-2-Clause
//! The table of floods: what a program that computes gets of the processor beside others that flood
//! the service, and how long it waits; and what those get that flood it.

use roottask::{check, check_eq, Outcome};
use sel4::sel4_cfg_usize;
use sel4_root_task::debug_println;
use vmm_service::objects::protocol::{Amounts, Resource, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, ProgramId};
use vmm_service::server::End;

use super::images;
use super::world::{World, PRIORITY, STACK_PAGES};

pub const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);
/// Of one that ends with much.
const MANY: Amounts = Amounts([6000, 160, 12_500, 40, 16, 100, 200, 0]);

/// What the program does, by the number that it knows that by; and how that is called here.
pub type Flood = (usize, &'static str);
pub const COMPUTE: Flood = (0, "computing");
const NULL: Flood = (1, "null requests");
const MAP: Flood = (2, "mapping and unmapping");
const FAULTS: Flood = (3, "faults");
const LARGE: Flood = (4, "large requests");
const LINES: Flood = (5, "lines");
const FORGED: Flood = (6, "forged faults");
const FORGED_SENT: Flood = (7, "forged faults, sent");
const SENT: Flood = (8, "requests, sent");
const STRAY: Flood = (9, "sent by another capability");
pub const END: Flood = (10, "the end of many pages");
const SPAWN: Flood = (11, "threads made and ended");
const CLONE: Flood = (13, "rights changed, clones made");
const THINK: Flood = (14, "computing, then null requests");
const SUSPEND: Flood = (16, "a thread suspended and resumed");
const REGISTERS: Flood = (17, "a thread's registers");
const BIND: Flood = (18, "a notification bound, unbound");
const PAGES: Flood = (19, "pages supplied and taken back");
const START: Flood = (12, "programs started and ended");
const BULK: Flood = (23, "a large page mapped and ended");
const FORGED_WAITING: Flood = (15, "forged faults of a thread that waits for a page");

/// The rows of the table: what others do beside the one that computes, and with which priority.
const ROWS: [&[(Flood, u8)]; 24] = [
    &[(NULL, PRIORITY)],
    &[(MAP, PRIORITY)],
    &[(FAULTS, PRIORITY)],
    &[(LARGE, PRIORITY)],
    &[(LINES, PRIORITY)],
    &[(FORGED, PRIORITY)],
    &[(FORGED_SENT, PRIORITY)],
    &[(FORGED_WAITING, PRIORITY)],
    &[(SENT, PRIORITY)],
    &[(STRAY, PRIORITY)],
    &[(END, PRIORITY)],
    &[(SPAWN, PRIORITY)],
    &[(START, PRIORITY)],
    &[(CLONE, PRIORITY)],
    &[(THINK, PRIORITY)],
    &[(SUSPEND, PRIORITY)],
    &[(REGISTERS, PRIORITY)],
    &[(BIND, PRIORITY)],
    &[(PAGES, PRIORITY)],
    &[(BULK, PRIORITY)],
    &[(NULL, PRIORITY), (LARGE, PRIORITY)],
    &[(THINK, PRIORITY), (NULL, PRIORITY)],
    &[(FAULTS, PRIORITY), (COMPUTE, PRIORITY)],
    &[(LARGE, PRIORITY - 1)],
];

/// Bytes that are clear before anybody runs: more than all of a row have.
const CLEAR: usize = 28 << 20;
/// The most programs beside the one that computes.
const MAX_OTHERS: usize = 2;
/// Instructions of a time slice: 10^6 last a millisecond.
pub const SLICE: u64 =
    (sel4_cfg_usize!(TIME_SLICE) * sel4_cfg_usize!(TIMER_TICK_MS) * 1_000_000) as u64;
/// The most instructions of a gap beside slices of others.
pub const MAX_GAP: u64 = 600_000;
/// Of what it gets beside others that compute, the part that it gets beside those that flood, in
/// hundredths.
pub const MIN_SHARE: u32 = 40;
/// Of the processor, what it gets beside one of a lower priority, in thousandths.
const ALONE: u32 = 990;

/// A186 A187 A188 A190 A255 A263: each row for `millions` of instructions.
pub fn run(world: &mut World, millions: usize) -> Outcome {
    let one = row(world, &[(COMPUTE, PRIORITY)], millions)?.0;
    let two = row(world, &[(COMPUTE, PRIORITY); 2], millions)?.0;
    for others in ROWS {
        // As long as both take, the pages and their end.
        let millions = if others[0].0 == END { 4 * millions } else { millions };
        let (share, longest) = row(world, others, millions)?;
        let equal = others.iter().filter(|(_, priority)| *priority == PRIORITY).count();
        let least = match equal {
            0 => ALONE,
            1 => one * MIN_SHARE / 100,
            _ => two * MIN_SHARE / 100,
        };
        check!(share >= least);
        // Who computes before it floods may have two.
        let think = others.iter().filter(|(flood, _)| *flood == THINK).count();
        check!(longest <= (equal + think) as u64 * SLICE + MAX_GAP);
    }
    rates(world, millions / 2)?;
    world.check_empty()?;
    Ok(())
}

/// A program that computes beside others. Returns the thousandths of the processor that it got, and
/// its longest gap.
fn row(world: &mut World, others: &[(Flood, u8)], millions: usize) -> Outcome<(u32, u64)> {
    // A large untyped is cleared in one call, in which nobody runs: now.
    world.vmm.clear_ahead(CLEAR)?;
    let mut begun = [None; MAX_OTHERS];
    for (place, &(flood, priority)) in begun.iter_mut().zip(others) {
        *place = Some(begin(world, flood, (priority, 0))?);
    }
    let computes = begin(world, COMPUTE, (PRIORITY, millions))?;
    let code = loop {
        match world.server.run(&mut world.vmm)? {
            Some((program, End::Exited(code))) if program == computes => break code,
            // One of the others may have ended, by itself.
            Some((program, End::Exited(pages))) if pages >= MANY.0[0] / 2 => {
                begun.iter_mut().filter(|begun| **begun == Some(program)).for_each(|it| *it = None);
            }
            other => check_eq!(other, None),
        }
    };
    // What that had has come back while the other computed.
    let back = world.server.objects().amounts().1.of(Resource::Pages);
    check!(back <= (1 + others.len()) as u32 * (AMOUNTS.0[0] + 1));
    // Some are held now: what is kept of them goes with them.
    for program in begun.into_iter().flatten() {
        world.server.kill(&mut world.vmm, program)?;
    }
    check_eq!(world.server.run(&mut world.vmm)?, None);
    let (share, longest) = (code & 0x3ff, u64::from(code >> 10) << 10);
    for (nth, ((_, name), priority)) in others.iter().enumerate() {
        let lower = if *priority < PRIORITY { ", lower" } else { "" };
        match nth {
            0 => debug_println!("  {share:>4} ‰, longest gap {longest:>10}, beside {name}{lower}"),
            _ => debug_println!("  {:>41} {name}{lower}", "and"),
        }
    }
    Ok((share, longest))
}

/// Millions of ticks for which two programs are compared: a hundred slices. The kernel's slices and
/// the service's turns begin where the image has them begin: what one gains by that, the other has
/// within a few slices.
const TOGETHER: usize = 1000;

/// A188: one alone has the rate that it has where nobody is held; two have as much each, to a tenth.
fn rates(world: &mut World, millions: usize) -> Outcome {
    world.server.measure_slices(false);
    let free = flood(world, 1, millions)?[0];
    world.server.measure_slices(true);
    let alone = flood(world, 1, millions)?[0];
    let [one, other] = flood(world, 2, TOGETHER.max(10 * millions))?;
    debug_println!("  {free} null requests where nobody is held, {alone} otherwise");
    debug_println!("  {one} and {other} of two programs");
    check!(alone * 100 >= free * 95);
    let share = one * 100 / (one + other);
    check!((45..=55).contains(&share));
    Ok(())
}

/// How many null requests each of so many programs makes.
fn flood(world: &mut World, programs: usize, millions: usize) -> Outcome<[u32; 2]> {
    let (mut begun, mut done) = ([None; 2], [0; 2]);
    for place in &mut begun[..programs] {
        *place = Some(begin(world, NULL, (PRIORITY, millions))?);
    }
    while let Some((program, end)) = world.server.run(&mut world.vmm)? {
        for (done, _) in done.iter_mut().zip(begun).filter(|(_, begun)| *begun == Some(program)) {
            if let End::Exited(times) = end {
                *done = times;
            }
        }
    }
    check!(done[..programs].iter().all(|&times| times != 0));
    Ok(done)
}

/// Makes a program that floods or computes for `millions` of instructions, and lets it run.
pub fn begin(
    world: &mut World,
    (number, name): Flood,
    (priority, millions): (u8, usize),
) -> Outcome<ProgramId> {
    let amounts = match number {
        number if number == END.0 => MANY,
        number if number == BULK.0 => AMOUNTS.with(Resource::LargePages, 1),
        _ => AMOUNTS,
    };
    begin_with(world, (number, name), amounts, (priority, millions))
}

/// The same, where it may use these amounts.
pub fn begin_with(
    world: &mut World,
    (number, name): Flood,
    amounts: Amounts,
    (priority, millions): (u8, usize),
) -> Outcome<ProgramId> {
    let new = NewProgram::new(name, images::FLOOD, amounts);
    let new = NewProgram { stack_pages: STACK_PAGES, ..new };
    let (program, begin) = world.server.create(&mut world.vmm, &new)?;
    if number == START.0 {
        let file = (FIRST_FREE_SLOT, images::BRIEF);
        world.server.give_file(&mut world.vmm, program, file)?;
    }
    world.server.start(&mut world.vmm, &begin, (priority, number | millions << 8))?;
    Ok(program)
}
