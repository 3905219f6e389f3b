// SPDX-License-Identifier: BSD-2-Clause
//! Random requests over regions and spaces, each answer foreseen by the reference model.
//!
//! ```text
//!   strategy.rs    how requests are made up: addresses from a few dozen pages around a page table's
//!                  end, the end of user space, address 0 and the image; heaps that grow and shrink
//!   dense.rs       memory on demand that becomes large in the background, while it is used
//!   run.rs         one sequence of them, compared after each and taken down
//! ```
//!
//! What is right is said by [`vmm_tests::expected`]. Checks A1–A12 and I1–I9 of `MODEL.md`.
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose how many and which.

mod dense;
pub mod run;
pub mod strategy;

use crate::support::{Machine, Target, explore_with, on_both};

on_both!(requests_do_what_the_reference_says, so_do_they_when_memory_is_short);

/// Runs sequences of up to `most` requests on `machine`.
fn explore(machine: &Machine, most: usize, cases: u32) {
    explore_with(strategy::requests(most), cases, |requests| run::run(machine, &requests));
}

fn requests_do_what_the_reference_says(target: Target) {
    explore(&Machine::roomy(target), 80, 100);
    // A120: the model kernel panics at a call that clears more than it may.
    explore(&Machine::in_pieces(target), 80, 100);
}

fn so_do_they_when_memory_is_short(target: Target) {
    // 26 pages in three untypeds: page tables alone can take half of them.
    let ram = vec![(0x100_0000, 16), (0x80_0000, 15), (0x70_2000, 13)];
    explore(&Machine::with_ram(target, ram), 60, 200);
}
