// SPDX-License-Identifier: BSD-2-Clause
//! A root task as users of rust-sel4 write it, without the manager: every name of the `sel4` and
//! `sel4-root-task` crates below is upstream's, so that this also compiles there. Only the last
//! line of `main` is not: upstream's programs suspend themselves, this one ends QEMU.
//!
//! ```text
//!   main.rs     the course of it
//!   thread.rs   a second thread in the same address space
//!   task.rs     a program in an address space and a CSpace of its own
//!   vspace.rs   that address space, made of the program's ELF file
//!   elf.rs      the segments of an ELF file
//!   image.rs    the frames of the root task's own image
//!   objects.rs  kernel objects, one behind the other out of one untyped
//! ```
#![no_std]
#![no_main]

extern crate alloc;

mod elf;
mod image;
mod objects;
mod task;
mod thread;
mod vspace;

use objects::Objects;
use sel4_root_task::{root_task, Never};

#[root_task(heap_size = 64 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> sel4::Result<Never> {
    thread::run(bootinfo)?;
    task::run(bootinfo, &mut Objects::new(bootinfo, thread::SLOTS))?;
    sel4::debug_println!("upstream-spawn: passed");
    sel4_root_task::exit(sel4_root_task::ExitCode::Success)
}
