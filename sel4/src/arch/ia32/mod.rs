// SPDX-License-Identifier: BSD-2-Clause
//! IA32: words of 32 bits, two levels of paging structures, `sysenter`.

pub(crate) mod fault;
pub(crate) mod frames;
pub(crate) mod ipc_buffer;
pub(crate) mod objects;
pub(crate) mod syscall;
pub(crate) mod tables;
pub(crate) mod types;
mod user_context;

/// What this architecture adds to the crate's own names.
pub mod public {
    pub use super::objects::{ObjectBlueprintIA32, ObjectTypeIA32};
    pub use super::user_context::ThreadEntry;
}

/// What this architecture adds to the names of `sys`: nothing.
pub mod public_sys {}

/// A machine word, as a number.
pub(crate) type WordBits = u32;
/// The message words that travel in registers.
pub(crate) const MESSAGE_REGISTERS: usize = 2;
