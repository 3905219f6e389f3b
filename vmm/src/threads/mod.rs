//! What a thread needs of memory: its stack, its IPC buffer, its thread-local storage.

pub(crate) mod create;
pub(crate) mod ipc_buffer;
pub(crate) mod memory;
pub(crate) mod stack;
