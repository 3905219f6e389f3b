// SPDX-License-Identifier: BSD-2-Clause
//! Has paged memory, a pager of it, and programs that read and write its pages, all of this one
//! file: for stress runs. Pagers and readers are ended in the midst of anything, and others take
//! their places; whoever reads looks at every word.
//!
//! ```text
//!   init.rs     starts and ends the others; a pager itself while there is none
//!   pager.rs    supplies pages in all the ways there are, and takes them back
//!   reader.rs   maps them, shared or privately, reads and writes
//!   pages.rs    what pages hold, whoever wrote them
//! ```
//!
//! The store has a page for each of the paged memory: what is not there is in it, as it was left.
//! So a pager can end at any time, and nothing is lost.
#![no_std]
#![no_main]

mod init;
mod pager;
mod pages;
mod reader;

use vmm_client::handles::{Program, Result};
use vmm_client::program;
use vmm_clients::trials::Numbers;

use pages::{PAGER, READER};

program!(main);

/// Its page tells it its numbers: what it is, the seed, and what its own file here says.
fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("its starter gives it a page");
    let numbers = Numbers::of(given.arguments());
    match numbers.at(0) {
        PAGER => pager::run(program, &given, numbers),
        READER => reader::run(program, &given, numbers),
        _ => init::run(program, &given, numbers),
    }
}
