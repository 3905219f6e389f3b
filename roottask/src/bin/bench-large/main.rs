// SPDX-License-Identifier: BSD-2-Clause
//! More of the benchmark, in an image of its own, since where in memory an image ends moves figures
//! of the other rows.
//!
//! ```text
//!   program.rs   a program with 64 MiB; its threads are in walker.rs
//!   growth.rs    operations beside the most regions, spaces, sharers and clones
//!   memory.rs    bytes of records and of a stack
//! ```
//!
//! Its argument says which part: `program`, `growth` or `memory`. Each prints lines of JSON as
//! `bench` does.

#![no_std]
#![no_main]

mod growth;
mod memory;
mod program;
mod walker;

use roottask::measure::clear_all_memory;
use roottask::{Arguments, Manager, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::Result;

static POOL: BootPool = BootPool::new();

#[root_task(stack_size = 256 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    debug_println!("bench: begin");
    match arguments.words().next() {
        Some("program") => warm(bootinfo, program::run)?,
        Some("growth") => warm(bootinfo, growth::run)?,
        Some("memory") => memory::run(bootinfo, &POOL)?,
        part => {
            debug_println!("bench-large: the parts are program, growth, memory, not {part:?}");
            exit(ExitCode::Failure)
        }
    }
    debug_println!("bench: end");
    exit(ExitCode::Success)
}

/// A part whose memory the kernel need not clear.
fn warm(bootinfo: &sel4::BootInfoPtr, part: fn(&mut Manager) -> Result) -> Outcome {
    clear_all_memory(bootinfo);
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    part(&mut vmm)?;
    // Figures of a manager that is in disorder would be worth nothing.
    Ok(vmm.validate()?)
}
