// SPDX-License-Identifier: BSD-2-Clause
//! Threads put together, and what one needs of memory: stack, IPC buffer, thread-local storage.

pub(crate) mod create;
pub(crate) mod ipc_buffer;
pub(crate) mod memory;
pub(crate) mod stack;
mod tls_layout;
