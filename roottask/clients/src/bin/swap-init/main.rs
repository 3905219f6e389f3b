// SPDX-License-Identifier: BSD-2-Clause
//! Starts a disk's driver and a pager that keeps memory there, and programs that use more of it
//! than there is. Its first argument says which:
//!
//! ```text
//!   all      one sorts, one has a map; the driver is ended some times meanwhile, and started again
//!   faults   two keep pages: who touches one that cannot be had faults, and nothing else is lost
//!   for-ever one keeps pages until the machine ends
//! ```
#![no_std]
#![no_main]

mod cases;
mod system;

use vmm_client::handles::{Program, Result};
use vmm_client::program;

use system::System;

program!(main);

/// The exit code of one that was not told what to do.
const NO_CASE: u32 = 4;

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("the root task gives it something");
    let mut system = System::new(program, given)?;
    match given.arguments().split_whitespace().next() {
        Some("all") => cases::all(&mut system)?,
        Some("faults") => cases::faults(&mut system)?,
        Some("for-ever") => cases::for_ever(&mut system)?,
        _ => program.exit(NO_CASE),
    }
    system.close()
}
