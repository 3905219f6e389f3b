// SPDX-License-Identifier: BSD-2-Clause
//! The model kernel: what seL4 5.0.0 answers to the invocations of memory management.
//!
//! ```text
//!            invoke ── counts, fails on purpose (inject), then decodes:
//!               │
//!     untyped · delete · vspace · asid · tcb · sends   one file for each kind of invocation
//!               │
//!     cspace (look-up) · mdb (derivation) · paging     what they are made of
//!     kernel                                           all that is remembered, as one
//!     state/                                           the parts of that, each by itself
//!
//!     boot (how it starts) · access, beside (user mode) · check, fingerprint, shared: for tests
//! ```
//!
//! It is strict: checks come in the kernel's order, so that the error that wins is the kernel's;
//! what would crash or block a root task panics; what the kernel gets wrong it gets wrong too.
//! Every file names the kernel's files its rules come from.
//!
//! It is held to the real kernels of IA32 and x86_64 by [`transcript`](crate::transcript): the same
//! random calls and written scenarios, the same answers, the same pages mapped.
//!
//! What it leaves out:
//! - Time. Long invocations are not preempted, which changes nothing but their length; nothing of
//!   scheduling or IPC is there, so no reply capabilities, and the threads made never run; but
//!   messages can be put into an endpoint's queue ([`ModelKernel::send`]).
//! - What is no invocation of the seam: moving capabilities, interrupts, I/O.
//! - Limits of fields that IA32's memory cannot exceed.
//! - The TLB, but for [`ModelKernel::stale_translations`].
//! - A kernel of the architectures that are made up ([`BootConfig::made_up`]): there is none to
//!   compare with.

mod access;
mod asid;
mod beside;
mod boot;
mod check;
mod cspace;
mod delete;
mod fingerprint;
mod inject;
mod invoke;
mod kernel;
mod mdb;
mod paging;
mod sends;
mod shared;
mod state;
mod tcb;
mod untyped;
mod vspace;

#[cfg(test)]
mod tests;

pub use access::AccessFault;
pub use check::Dangling;
pub use kernel::{Arena, ModelKernel};
pub use shared::SharedModel;
pub use state::arch::Arch;
pub use state::cap::{Cap, Place, Remains, VmRights};
pub use state::machine::{BootConfig, BootFacts, BootUntyped, slot, split_region};
pub use state::meter::{Bound, CallKind};
pub use state::objects::ObjectKind;
pub use state::tables::Mapping;
pub use state::threads::TcbView;
