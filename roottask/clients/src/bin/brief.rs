// SPDX-License-Identifier: BSD-2-Clause
//! Ends at once: what it takes to start a program and to be told of its end is measured with it.
#![no_std]
#![no_main]

use vmm_client::handles::{Program, Result};
use vmm_client::program;

program!(main);

fn main(_: &Program, _: usize) -> Result {
    Ok(())
}
