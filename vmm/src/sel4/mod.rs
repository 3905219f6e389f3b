//! The adapter to seL4: what needs the bindings, and nothing else in this crate.
//!
//! - `kernel.rs`: the seam on the bindings ([`Sel4`]), and [`start`], which makes a manager of the
//!   boot information.
//! - `architecture.rs`: which architecture that is, held to the bindings.
//! - `error.rs`: what the manager or the kernel refuses, for a `main` that asks both.
//! - `own_threads.rs`: threads of the manager's own space by the badges of their faults.
//! - `run.rs`: a thread's priority and first registers.
//! - [`faults`]: page faults as messages; a handler in a thread of its own, or fed from another
//!   loop.

mod architecture;
mod error;
pub mod faults;
mod kernel;
mod own_threads;
mod run;

pub use error::{Error, Result};
pub use kernel::{start, BootPool, Sel4};
pub use run::{first_registers, let_run};
