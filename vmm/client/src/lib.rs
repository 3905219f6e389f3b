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
//!   calls/       typed calls; long work is asked for in bounded requests until it is done
//!   handles/     typed handles of objects that are named by capabilities
//!   runtime.rs   how a client program starts, panics and ends; `client_program!`, `client_thread!`
//! ```
//!
//! A room of this list uses rooms above it only. The crate does not depend on the manager: a client
//! knows messages, not address spaces.
#![no_std]
#![deny(unsafe_code)]

mod arch;
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

// A program without a C library needs what compiled code calls in place of one.
#[cfg(feature = "sel4")]
use sel4_mem as _;

/// What the macros of this crate expand to.
#[cfg(feature = "sel4")]
#[doc(hidden)]
pub mod _private {
    #[cfg(feature = "alloc")]
    pub use growing_heap::GlobalHeap;
    pub use sel4;
}

#[allow(unused_imports)] // there is none of a machine on which nothing runs
pub use arch::*;
pub use calls::error::{Error, Result};
#[cfg(feature = "sel4")]
pub use calls::service::{Memory, Service, Thread};
