// SPDX-License-Identifier: BSD-2-Clause
//! The adapter to seL4: what needs the bindings, and nothing else in this crate.
//!
//! - `kernel.rs`: the seam on the bindings ([`Sel4`]), and [`start`], which makes a manager of the
//!   boot information.
//! - `arch/`: what it has for one architecture, whatever the kernel.
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
//! MCS. The feature `kernel-5` (the default) is for seL4 5.0.0 with these bindings, `kernel-16` for
//! today's seL4 with rust-sel4's; where both are asked for, `kernel-16` counts.
//!
//! | | `kernel-5` | `kernel-16` |
//! |---|---|---|
//! | new rights for a mapped page | `frame_remap` (`Page_Remap`) | `frame_map` again |
//! | a paging structure is unmapped | one typed method | a method of `sys` for each kind |
//! | a thread's IPC buffer is set | `tcb_set_ipc_buffer` | a method of `sys` |
//! | waiting messages are cancelled | `cancel_badged_sends` | a method of `sys` |
//! | a fault's address | on x86_64 its low 32 bits | all of it |
//! | cache policies | constants of `VmAttributes` | words of `sys` |
//! | a signal in place of a message | its label is 0 | told by the badge alone |
//! | no execution | cannot be asked for | an attribute on Arm and RISC-V |
//! | the timer's ports and line | slot 7, of the PIC | a range of its own, of the IOAPIC |
//! | the counter's frequency | `archInfo` | a chunk of its own |
//! | sizes that the configuration changes | as described | the bindings' |
//!
//! `kernel-16` is written for all architectures that rust-sel4 has: x86_64, aarch64, aarch32 (with
//! the kernel at PL1), riscv64 (Sv39) and riscv32. What names paging structures, cache policies,
//! execution and registers is in `bindings/arch/`, and what an architecture has whatever the kernel
//! in `arch/`. On aarch64 the kernel's own root and end of user space say which
//! of three descriptions it is: at EL1, or as hypervisor with physical addresses of 44 or of 40
//! bits, where there are three levels. On Arm caches do not agree by themselves: a page that is
//! mapped to be run is unified, and so is what [`Vmm::write`](crate::Vmm::write) writes to it. All
//! cache policies but write-back are the kernel's device memory.
//!
//! Where a signal of a bound notification ends a wait at an endpoint, rust-sel4's `recv` returns a
//! message's description that was never set: a loop of one's own asks the badge first which it is.
//! Joining a thread is not kept from its end so, whatever the signal's badge is.
//!
//! What rust-sel4 has not is there, too: how a thread begins (it sets its IPC buffer by itself, and
//! has thread-local storage, in which those bindings keep it), a lock that knows its owner. A fault
//! report has callers where the program is compiled with frame pointers, by the option
//! `-C force-frame-pointers=yes`. The [`pacer`] has the PC's timer on x86_64 alone: elsewhere the
//! program brings one ([`pacer::Timer`]).
//!
//! Checks hold `kernel-16` to our own bindings on x86_64, which have these methods of `sys`. By
//! hand it was compiled with rust-sel4 5.0.0, unchanged, for seL4 16.0.0 on each of them, on aarch64
//! with three and four levels; README's table of what is supported says where it was booted.

mod arch;
mod architecture;
mod bindings;
mod error;
pub mod faults;
mod heap;
mod kernel;
mod options;
mod own_threads;
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
pub use slices::ticks_per_us;
pub use threads::{JoinError, JoinHandle, SpawnOptions};
