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

use roottask::measure::warm;
use roottask::{Arguments, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::BootPool;

static POOL: BootPool = BootPool::new();

#[root_task(stack_size = 256 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    debug_println!("bench: begin");
    match arguments.words().next() {
        Some("program") => warm(bootinfo, &POOL, program::run)?,
        Some("growth") => warm(bootinfo, &POOL, growth::run)?,
        Some("memory") => memory::run(bootinfo, &POOL)?,
        part => {
            debug_println!("bench-large: the parts are program, growth, memory, not {part:?}");
            exit(ExitCode::Failure)
        }
    }
    debug_println!("bench: end");
    exit(ExitCode::Success)
}
