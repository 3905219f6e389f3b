// SPDX-License-Identifier: BSD-2-Clause
//! What the service promises to programs that have their objects by capabilities: each part prints
//! its figures and checks them.
//!
//! ```text
//!   world.rs    the manager, the server, programs that run together
//!   storm.rs    random messages, right and wrong
//! ```
//!
//! `run.sh promises -- storm 10000` does one part, with a number for it.
#![no_std]
#![no_main]

mod images;
mod storm;
mod world;

use roottask::{Arguments, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm_service::objects::protocol::Amounts;

use world::World;

static POOL: BootPool<32> = BootPool::new();

/// What all programs together may have: pages, tables, slots, objects, spaces, badges, records.
const ALL: Amounts = Amounts([6000, 2000, 10_000, 100, 100, 4000, 6000]);

/// A part: it takes the world, and a number that says how much is to be done.
type Run = fn(&mut World, usize) -> Outcome;

/// The parts: their names, what they do, and how much where nothing is said.
const PARTS: [(&str, Run, usize); 1] = [("storm", storm::run, 10_000)];

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    let mut words = arguments.words();
    let (only, number) = (words.next(), words.next().and_then(|word| word.parse().ok()));
    let vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let mut world = World::new(vmm, ALL)?;
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
