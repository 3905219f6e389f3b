// SPDX-License-Identifier: BSD-2-Clause
//! What the service promises to programs that have their objects by capabilities: each part prints
//! its figures and checks them.
//!
//! ```text
//!   world.rs    the manager, the server, programs that run together
//!   storm.rs    random messages, right and wrong
//!   dirty.rs    memory that is cleared for programs and given back, beside one that computes
//!   guarantees.rs  guarantees that add up to all there is, and a program that scatters its own
//!   large.rs    large pages that were set aside
//!   ends.rs     what has ended is gone, beside a program that computes
//!   hostile.rs  pagers and programs that do what they should not
//!   numbers.rs  numbers that are used up
//!   queued.rs   messages that wait while the server is held elsewhere, and whose sender ends
//!   copies.rs   capabilities wherever programs put them
//!   floods.rs   programs that flood the service beside others
//!   time.rs     programs that sleep, and those that would disturb them
//!   shapes.rs   parts of mappings, reservations, large clones; what pieces cost
//!   waits.rs    requests and touches that wait until memory comes back
//! ```
//!
//! `run.sh promises -- storm 10000` does one part, with a number for it.
#![no_std]
#![no_main]

mod copies;
mod dirty;
mod ends;
mod floods;
mod guarantees;
mod hostile;
mod images;
mod large;
mod numbers;
mod queued;
mod shapes;
mod storm;
mod time;
mod waits;
mod world;

use roottask::{Arguments, Manager, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm_service::objects::protocol::{Amounts, PAGE_BYTES};

use world::World;

static POOL: BootPool<32> = BootPool::new();

/// Of a hundred pages of memory, those that are promised: as pages, and as page tables. The rest is
/// for what is recorded of them. In a small machine much is taken by what is as large in any.
const PARTS_OF_SMALL: (usize, usize) = (80, 12);
const PARTS_OF_LARGE: (usize, usize) = (94, 1);
/// The fewest pages of a large one.
const LARGE_PAGES: usize = 1 << 16;
/// Large pages that are set aside.
const LARGE: u32 = 2;

/// What all programs together may have: as good as all there is.
fn all(vmm: &Manager) -> Amounts {
    let large = vmm.geometry().larger_frame(vmm.geometry().page_bits);
    let large_bytes = large.map_or(0, |bits| (LARGE as usize) << bits);
    let free = (vmm.stats().free_bytes() - large_bytes) / PAGE_BYTES;
    let parts = if free < LARGE_PAGES { PARTS_OF_SMALL } else { PARTS_OF_LARGE };
    let (pages, tables) = ((free * parts.0 / 100) as u32, (free * parts.1 / 100) as u32);
    Amounts([pages, tables, 2 * pages, 400, 100, 4000, 6000, LARGE])
}

/// A part: it takes the world, and a number that says how much is to be done.
type Run = fn(&mut World, usize) -> Outcome;

/// The parts: their names, what they do, and how much where nothing is said.
const PARTS: [(&str, Run, usize); 13] = [
    // The first, as memory is clear afterwards.
    ("dirty", dirty::run, 6000),
    ("guarantees", guarantees::run, 2),
    ("large", large::run, 2),
    ("storm", storm::run, 10_000),
    ("shapes", shapes::run, 3),
    ("numbers", numbers::run, 1000),
    ("copies", copies::run, 2),
    ("waits", waits::run, 10),
    ("ends", ends::run, 2),
    ("hostile", hostile::run, 2),
    ("queued", queued::run, 3),
    ("floods", floods::run, 40),
    // From here on the server has a clock.
    ("time", time::run, 200),
];

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    let mut words = arguments.words();
    let (only, number) = (words.next(), words.next().and_then(|word| word.parse().ok()));
    let vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let amounts = all(&vmm);
    let mut world = World::new(vmm, amounts)?;
    for (name, run, usual) in PARTS {
        if only.is_none_or(|only| only == name) {
            debug_println!("{name}:");
            run(&mut world, number.unwrap_or(usual))?;
        }
    }
    world.check_empty()?;
    debug_println!("promises: passed");
    exit(ExitCode::Success)
}
