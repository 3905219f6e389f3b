// SPDX-License-Identifier: BSD-2-Clause
//! The client's side of the memory service.
//!
//! ```text
//!   types/       the values that messages are made of; errors and limits
//!   messages/    requests, answers and refusals as words: the layout that both sides use
//!   protocol.rs  the public names of both
//!   objects/     the protocol of the service whose objects are named by capabilities
//!   arch/        the names of a thread's registers, which differ between architectures
//!
//!   with the feature `sel4`, on the target:
//!   bindings/    what kernels and their bindings have apart: how a thread begins, a lock
//!   calls/       typed calls; long work is asked for in bounded requests until it is done
//!   handles/     typed handles of objects that are named by capabilities
//!   runtime.rs   how a client program starts, panics and ends; `client_program!`, `client_thread!`
//! ```
//!
//! A room of this list uses rooms above it only. The crate does not depend on the manager: a client
//! knows messages, not address spaces.
//!
//! # Kernels
//! A program is for seL4 5.0.0 with the `sel4` crate of this repository (the feature `kernel-5`,
//! the default), or for today's seL4 without MCS with rust-sel4's (`kernel-16`; where both are
//! asked for, it counts), as its server's `vmm`. `kernel-16` is for all architectures but IA32,
//! and for threads with local storage, in which rust-sel4's bindings keep the IPC buffer: those of
//! its targets. What differs is in `bindings/`. A program that keeps to names that both `sel4`
//! crates have is for both, with `thread_entry!` in place of `sel4::thread_entry!`; locks for its
//! threads' own use it has from its bindings' crates. Functions that compiled code calls in place
//! of a C library (`memcpy`) are this crate's with `kernel-5`, and the compiler's with `kernel-16`.
//! A panic says who had called whom if the program has frame pointers, for which targets of
//! rust-sel4 want `-C force-frame-pointers=yes`. Of an architecture whose registers have no names
//! here, they are the message's words.
#![no_std]
#![deny(unsafe_code)]

mod arch;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
mod bindings;
#[cfg(feature = "sel4")]
mod calls;
// Off the target nothing is called, but what calls return has its words there, too.
#[cfg(not(feature = "sel4"))]
mod calls {
    pub(crate) mod error;
}
#[cfg(feature = "sel4")]
pub mod handles;
/// Why a call by a typed handle fails. The handles are there with the feature `sel4`.
#[cfg(not(feature = "sel4"))]
pub mod handles {
    mod error;
    pub use error::{Error, Result};
}
mod messages;
pub mod objects;
pub mod protocol;
#[cfg(feature = "sel4")]
#[allow(unsafe_code)]
pub mod runtime;
mod types;

/// What the macros of this crate expand to.
#[cfg(feature = "sel4")]
#[doc(hidden)]
pub mod _private {
    #[cfg(feature = "kernel-16")]
    pub use crate::bindings::begin_thread;
    pub use crate::bindings::thread_entry;
    #[cfg(feature = "alloc")]
    pub use growing_heap::GlobalHeap;
}

#[allow(unused_imports)] // there is none of a machine on which nothing runs
pub use arch::*;
#[cfg(all(feature = "sel4", not(feature = "kernel-16")))]
pub use bindings::thread_entry;
#[cfg(feature = "sel4")]
pub use bindings::ThreadEntry;
pub use calls::error::{Error, Result};
#[cfg(feature = "sel4")]
pub use calls::service::{Memory, Service, Thread};
