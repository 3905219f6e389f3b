// SPDX-License-Identifier: BSD-2-Clause
//! The adapter to seL4: what needs the bindings, and nothing else in this crate.
//!
//! - `kernel.rs`: the seam on the bindings ([`Sel4`]), and [`start`], which makes a manager of the
//!   boot information.
//! - `architecture.rs`: which architecture that is, held to the bindings.
//! - `bindings/`: what differs between seL4 5.0.0 and today's, chosen by a feature: see below.
//! - `error.rs`: what the manager or the kernel refuses, for a `main` that asks both.
//! - `heap.rs`: the manager as the source of the root task's heap ([`ManagerHeap`]).
//! - `options.rs`: how a manager starts ([`StartOptions`]).
//! - `own_threads.rs`: threads of the manager's own space by the badges of their faults.
//! - `run.rs`: a thread's priority and first registers.
//! - `slices.rs`: time slices that the kernel does not count.
//! - `threads.rs`: a closure as a thread ([`Vmm::spawn`](crate::Vmm::spawn)), and joining it.
//! - `tls.rs`: this program's thread-local storage
//!   ([`TlsImage::of_this_program`](crate::TlsImage::of_this_program)).
//! - `pacer`: a timer lets others run while memory is cleared; sleeping.
//! - [`faults`]: page faults as messages; a handler in a thread of its own, or fed from another
//!   loop.
//!
//! # Kernels
//! The adapter is written to names that our `sel4` crate and rust-sel4's have in common, without
//! MCS. The feature `kernel-5` (the default) is for seL4 5.0.0 with these
//! bindings, `kernel-16` for today's seL4 with rust-sel4's; where both are asked for, `kernel-16` counts.
//!
//! | | `kernel-5` | `kernel-16` |
//! |---|---|---|
//! | new rights for a mapped page | `frame_remap` (`Page_Remap`) | `frame_map` again |
//! | a paging structure is unmapped | one typed method | a method of `sys` for each kind |
//! | a thread's IPC buffer is set | `tcb_set_ipc_buffer` | a method of `sys` |
//! | waiting messages are cancelled | `cancel_badged_sends` | a method of `sys` |
//! | a fault's address | on x86_64 its low 32 bits | all of it |
//! | cache policies | constants of `VmAttributes` | words of `sys` |
//!
//! `kernel-16` is written for x86_64: what names its paging structures, its cache policies and its
//! registers is in `bindings/arch/`. Checks hold it to our own bindings, which have these methods of
//! `sys`. By hand it was compiled with rust-sel4 5.0.0, unchanged, and booted on seL4 16.0.0: memory
//! mapped, protected, unmapped, all of it used and given back; threads, their faults, a fault handler
//! in a thread of its own, copy-on-write.
//! What rust-sel4 has not is there, too: how a thread begins (it sets its IPC buffer by itself, and has
//! thread-local storage, in which those bindings keep it), a lock that knows its owner. A fault
//! report has no callers with `kernel-16`, and there is no `pacer` yet: its timer's ports are named by
//! our bindings alone.

mod arch;
mod architecture;
mod bindings;
mod error;
pub mod faults;
mod heap;
mod kernel;
mod options;
mod own_threads;
#[cfg(not(feature = "kernel-16"))]
pub mod pacer;
mod run;
mod slices;
mod threads;
mod tls;

pub use bindings::Backtrace;
pub use error::{Error, Result};
pub use heap::ManagerHeap;
pub use kernel::{start, start_with, BootPool, Sel4};
pub use options::StartOptions;
pub use run::{first_registers, let_run};
pub use threads::{JoinError, JoinHandle, SpawnOptions};
