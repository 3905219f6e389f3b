// SPDX-License-Identifier: BSD-2-Clause
//! How a thread begins: with its two arguments where C has them, its thread-local storage, in which
//! rust-sel4 keeps where its IPC buffer is, and that buffer set by itself.

use sel4::{IpcBuffer, UserContext, Word};

use super::super::arch;
use super::program::tls_segment;
use crate::types::thread::TlsImage;

/// Where a thread can start.
pub(crate) type ThreadEntry = extern "C" fn(usize, usize) -> !;

/// Defines a function where a thread can start (a [`ThreadEntry`]).
macro_rules! thread_entry {
    ($(#[$attribute:meta])* $visible:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visible extern "C" fn $($rest)*
    };
}
pub(crate) use thread_entry;

/// Does nothing: the thread sets its IPC buffer itself.
///
/// # Safety
/// None is needed here; what is promised elsewhere is told to both kernels.
pub unsafe fn prepare_ipc_buffer(_address: usize) {}

/// What a thread does first, in its entry.
///
/// # Safety
/// Its IPC buffer must be the one at `ipc_buffer`, which nobody else uses.
#[inline(always)]
pub unsafe fn begin_thread(ipc_buffer: usize) {
    // SAFETY: the caller's promise; the buffer is there for as long as the thread is.
    sel4::set_ipc_buffer(unsafe { &mut *(ipc_buffer as *mut IpcBuffer) });
}

/// The thread-local storage that a thread needs for invocations: the program's.
pub fn tls_for_invocations() -> Option<TlsImage<'static>> {
    tls_segment()
}

/// The registers of a thread that begins with `entry`.
pub fn first_registers(
    entry: usize,
    stack_top: usize,
    arguments: [Word; 2],
    thread_pointer: usize,
) -> UserContext {
    let mut registers = UserContext::default();
    *registers.pc_mut() = entry as Word;
    // As after a call.
    *registers.sp_mut() = ((stack_top & !15) - arch::CALL_BYTES) as Word;
    for (index, argument) in arguments.into_iter().enumerate() {
        *registers.c_param_mut(index) = argument;
    }
    arch::set_thread_pointer(&mut registers, thread_pointer as Word);
    registers
}
