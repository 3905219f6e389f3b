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
mod without_buffer;

/// What this architecture adds to the crate's own names.
pub mod public {
    pub use super::objects::{ObjectBlueprintX64, ObjectTypeX64};
    pub use super::user_context::ThreadEntry;
}

/// What this architecture adds to the names of `sys`.
pub mod public_sys {
    pub use super::without_buffer::{
        seL4_CallWithMRsWithoutIPCBuffer, seL4_NBSendWithMRsWithoutIPCBuffer,
        seL4_RecvWithMRsWithoutIPCBuffer, seL4_ReplyWithMRsWithoutIPCBuffer,
        seL4_SendWithMRsWithoutIPCBuffer,
    };
}

/// A machine word, as a number.
pub(crate) type WordBits = u64;
/// The message words that travel in registers.
pub(crate) const MESSAGE_REGISTERS: usize = 4;
