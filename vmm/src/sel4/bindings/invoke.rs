// SPDX-License-Identifier: BSD-2-Clause
//! Invocations that rust-sel4's bindings have as methods of the IPC buffer alone.

use sel4::sys::{seL4_Error, seL4_IPCBuffer};
use sel4::{Error, Result};

/// Makes an invocation through the calling thread's IPC buffer.
pub fn invoke(make: impl FnOnce(&mut seL4_IPCBuffer) -> seL4_Error::Type) -> Result<()> {
    let number = sel4::with_ipc_buffer_mut(|buffer| make(buffer.inner_mut()));
    Error::from_sys(number).map_or(Ok(()), Err)
}
