// SPDX-License-Identifier: BSD-2-Clause
//! The runtime beneath a root task: what happens before `main`, and after it.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use sel4_root_task::{debug_println, root_task, Never};
//!
//! #[root_task]
//! fn main(bootinfo: &sel4::BootInfoPtr) -> sel4::Result<Never> {
//!     debug_println!("{} untypeds", bootinfo.untyped().len());
//!     sel4_root_task::exit(sel4_root_task::ExitCode::Success)
//! }
//! ```
//!
//! ```text
//!   kernel ──► _start (arch/)         stack, segment registers
//!                 └► start            TLS if the program has any (tls.rs), IPC buffer (entry.rs)
//!                      └► main        yours
//!                           └► Termination (termination.rs) or panic (panicking.rs)
//!                                └► exit (exit.rs)
//! ```
//!
//! Beside that it links what a program without a C library lacks, `memcpy` and its kin (sel4-mem),
//! and where `heap_size` is given a heap (heap.rs).
//!
//! Names are upstream's (rust-sel4's `sel4-root-task`). Beyond upstream: [`exit`], and output on
//! release kernels too. There is no unwinding: a panic ends the program.
//!
//! # Linking
//! `-C relocation-model=static` and the linker arguments `-nostartfiles -nostdlib -static -no-pie`
//! (and `-m32` for IA32); qemu-scripts/run.sh passes them.
#![no_std]

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
compile_error!("the sel4-root-task crate is for seL4 on IA32 and x86_64, as the sel4 crate");

mod arch;
mod declare;
mod entry;
mod exit;
mod heap;
pub mod panicking;
mod stack;
mod termination;
pub mod tls;

use sel4_mem as _;

pub use exit::{exit, ExitCode};
pub use heap::{grow_heap_from, set_global_allocator_mutex_notification, trim_heap};
/// Prints for debugging, on every kernel; see [`sel4::DebugWrite`].
pub use sel4::debug_print;
/// Prints a line for debugging, on every kernel; see [`sel4::DebugWrite`].
pub use sel4::debug_println;
/// Makes a function the root task's main.
///
/// The function is a `fn(&sel4::BootInfoPtr) -> T` with `T:` [`Termination`]. The attribute takes
/// `stack_size = E` (bytes, [`DEFAULT_STACK_SIZE`] by default) and `heap_size = E` (bytes), both
/// constant expressions, in this order. The second makes a global allocator that begins with that
/// many bytes, two pages at least ([`grow_heap_from`] has it grow); without it there is none, and
/// the program may have one of its own.
pub use sel4_root_task_macros::root_task;
pub use stack::DEFAULT_STACK_SIZE;
pub use termination::{Never, Termination};

/// What the macros of this crate expand to.
#[doc(hidden)]
pub mod _private {
    pub use crate::entry::{_start, returned, RunAny, RunDisplayed};
    pub use crate::heap::RootTask;
    pub use crate::panicking::{abort_with, panicked};
    pub use crate::stack::{StackBounds, StackMemory, StackTop};
    pub use growing_heap::GlobalHeap;
    pub use sel4;
}
