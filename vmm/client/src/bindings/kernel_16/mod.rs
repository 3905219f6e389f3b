// SPDX-License-Identifier: BSD-2-Clause
//! Today's seL4 without MCS, with rust-sel4's bindings. Those keep the address of a thread's IPC
//! buffer in thread-local storage, which the service gives each thread before it begins.

mod backtrace;
#[cfg(feature = "alloc")]
mod lock;

use super::arch;

pub use backtrace::Backtrace;
#[cfg(feature = "alloc")]
pub use lock::Lock;

/// Where a thread can start: see [`thread_entry!`](crate::thread_entry).
pub type ThreadEntry = extern "C" fn(usize, usize) -> !;

/// Defines a function where a thread can start (a [`ThreadEntry`](crate::ThreadEntry)): it has the
/// address of its IPC buffer and a word of its starter's.
///
/// ```ignore
/// vmm_client::thread_entry! {
///     fn further(ipc_buffer: usize, argument: usize) -> ! { … }
/// }
/// ```
#[macro_export]
macro_rules! thread_entry {
    ($(#[$attribute:meta])* $visible:vis fn $name:ident($($arguments:tt)*) -> ! $body:block) => {
        $(#[$attribute])* $visible extern "C" fn $name($($arguments)*) -> ! {
            $crate::_private::begin_thread();
            $body
        }
    };
}
pub use thread_entry;

/// What a thread does first, in its entry.
#[inline(always)]
pub fn begin_thread() {
    arch::begin();
    backtrace::begin(arch::frame_pointer(), arch::stack_pointer());
}
