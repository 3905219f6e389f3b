//! The adapter to seL4: what needs the bindings, and nothing else in this crate.
//!
//! - `kernel.rs`: the seam on the bindings ([`Sel4`]), and [`start`], which makes a manager of the
//!   boot information.
//! - [`faults`]: page faults as messages; a handler in a thread of its own, or fed from another
//!   loop.

pub mod faults;
mod kernel;

pub use kernel::{start, BootPool, Sel4};
