// SPDX-License-Identifier: BSD-2-Clause
//! x86_64: words of 64 bits, four levels of paging structures, `syscall`.

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
    pub use super::objects::{ObjectBlueprintX64, ObjectTypeX64};
    pub use super::user_context::ThreadEntry;
}

/// A machine word, as a number.
pub(crate) type WordBits = u64;
/// The message words that travel in registers.
pub(crate) const MESSAGE_REGISTERS: usize = 4;
