// SPDX-License-Identifier: BSD-2-Clause
//! What a program has of its kernel's bindings and of no others: nothing else of this crate does.
//! All else keeps to names that our `sel4` crate and rust-sel4's have in common.
//!
//! | | `kernel-5` | `kernel-16` |
//! |---|---|---|
//! | a thread's entry | `sel4::thread_entry!` | a function of C's, made here |
//! | the heap's lock | `sel4::NotificationLock` | here; a thread is known by its local storage |
//! | a backtrace | `sel4::Backtrace` | here |
//! | `memcpy` and its kin | `sel4-mem` | the compiler's own |

#[cfg(feature = "kernel-16")]
mod arch;
#[cfg(feature = "kernel-16")]
mod kernel_16;
#[cfg(not(feature = "kernel-16"))]
mod kernel_5;

#[cfg(feature = "kernel-16")]
pub use kernel_16::*;
#[cfg(not(feature = "kernel-16"))]
pub use kernel_5::*;

/// The address of the calling thread's IPC buffer; `None` where that is not kept for each thread.
pub fn own_ipc_buffer() -> Option<usize> {
    let own = || sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer) as usize);
    sel4::ipc_buffer_is_thread_local().then(own)
}

/// Makes the IPC buffer at an address the calling thread's.
///
/// # Safety
/// It must be that of the calling thread, for as long as this runs, and in use by no other code.
pub unsafe fn set_ipc_buffer(address: usize) {
    // SAFETY: the caller's promise.
    sel4::set_ipc_buffer(unsafe { &mut *(address as *mut sel4::IpcBuffer) });
}
