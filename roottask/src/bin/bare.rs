// SPDX-License-Identifier: BSD-2-Clause
//! What `hello` prints, by a root task without the manager: what an image has at the least.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};

static WORD: AtomicU32 = AtomicU32::new(0);

#[root_task]
fn main(_: &sel4::BootInfoPtr) -> Never {
    let found = WORD.swap(42, Ordering::Relaxed);
    debug_println!("found {found} at {:p}, left 42 there", &WORD);
    exit(ExitCode::Success)
}
