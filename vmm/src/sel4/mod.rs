//! The adapter to seL4: what needs the bindings, and nothing else in this crate.
//!
//! - `kernel.rs`: the seam on the bindings ([`Sel4`]), and [`start`], which makes a manager of the
//!   boot information.
//! - `architecture.rs`: which architecture that is, held to the bindings.
//! - `bindings/`: what differs between seL4 5.0.0 and today's, chosen by the features `kernel-5` (the
//!   default) and `kernel-16`: its `mod.rs` says what that is.
//! - `error.rs`: what the manager or the kernel refuses, for a `main` that asks both.
//! - `own_threads.rs`: threads of the manager's own space by the badges of their faults.
//! - `run.rs`: a thread's priority and first registers.
//! - `threads.rs`: a closure as a thread ([`Vmm::spawn`](crate::Vmm::spawn)), and joining it.
//! - `tls.rs`: this program's thread-local storage
//!   ([`TlsImage::of_this_program`](crate::TlsImage::of_this_program)).
//! - [`faults`]: page faults as messages; a handler in a thread of its own, or fed from another
//!   loop.

mod architecture;
mod bindings;
mod error;
pub mod faults;
mod kernel;
mod own_threads;
mod run;
mod threads;
mod tls;

pub use error::{Error, Result};
pub use kernel::{start, BootPool, Sel4};
pub use run::{first_registers, let_run};
pub use threads::{JoinError, JoinHandle, SpawnOptions};
