// SPDX-License-Identifier: BSD-2-Clause
//! Falls four calls deep: by a touch of what is not mapped, or by a panic, as its argument says.
#![no_std]
#![no_main]

use core::hint::black_box;

use vmm_client::{client_program, Result, Service};

client_program!(main);

/// With 0 it touches what is not mapped.
fn main(_: Service, argument: usize) -> Result {
    // What comes back is used, so that each call is one, and no jump.
    black_box(climb(argument));
    Ok(())
}

#[inline(never)]
fn climb(argument: usize) -> usize {
    black_box(step(argument)) + 1
}

#[inline(never)]
fn step(argument: usize) -> usize {
    black_box(fall(argument)) + 1
}

#[inline(never)]
fn fall(argument: usize) -> usize {
    assert!(black_box(argument) == 0, "fell");
    // SAFETY: none: nothing is mapped there, and the service ends the program.
    unsafe { (black_box(0x0000_0124) as *mut usize).write_volatile(argument) };
    argument
}
