// SPDX-License-Identifier: BSD-2-Clause
//! Finding the calling thread's IPC buffer (feature `state`).
//!
//! The kernel makes a segment register lead to the IPC buffer of the thread it returns to (on IA32
//! FS, when it is loaded with a selector for it; on x86_64 GS). So a word of the *calling* thread's
//! buffer can be read and written, whichever thread that is, without TLS and without a table
//! (`arch/*/ipc_buffer.rs`). What this cannot tell is the buffer's linear address, which Rust
//! references need. That is kept in the buffer's word `tag`, which the 5.0.0 kernel never touches,
//! together with a borrow count in the low bits, free since a buffer is aligned to its size (512
//! bytes on IA32, 1024 on x86_64):
//!
//! ```text
//!                      8    7     6       0
//!   ┌───────────────────┬─┬──────┬───────────┐
//!   │ linear address    │0│ FREE │  borrows  │     0: no buffer has been set
//!   └───────────────────┴─┴──────┴───────────┘
//!    FREE = 1, borrows = 0    nobody looks at the buffer
//!    FREE = 0, borrows = n    n closures of with_ipc_buffer are running
//!    FREE = 0, borrows = 127  a closure of with_ipc_buffer_mut is running
//! ```
//!
//! "A buffer is set and free" is then the sign of the low byte: one test, one branch. An invocation
//! runs no code of its caller's between finding the buffer and the system call, so it tests the
//! word and leaves it alone.
//!
//! `userData` (libsel4's own place for the address) is left to
//! [`IpcBuffer::set_user_data`](crate::IpcBuffer::set_user_data).

use crate::arch::ipc_buffer::{self as own, load_tag as load, store_tag as store};
use crate::sys::seL4_IPCBuffer;
use crate::{InvocationContext, IpcBuffer, Word};

/// The buffer is set and nobody looks at it.
const FREE: Word = 0x80;
/// The borrow count that stands for an exclusive borrow.
const EXCLUSIVE: Word = 0x7f;
/// What is not address.
const LOW_BITS: Word = align_of::<seL4_IPCBuffer>() as Word - 1;

const _: () = assert!(FREE & EXCLUSIVE == 0 && FREE < LOW_BITS);

/// The buffer's address, when it is set and free.
#[inline(always)]
fn free_ipc_buffer() -> *mut IpcBuffer {
    let word = load();
    if word as i8 >= 0 {
        not_free(word);
    }
    (word - FREE) as *mut IpcBuffer
}

#[cold]
#[inline(never)]
fn not_free(word: Word) -> ! {
    if word == 0 {
        panic!("this thread has no IPC buffer yet: call sel4::set_ipc_buffer first");
    }
    panic!("IPC buffer already borrowed: capabilities cannot be invoked inside with_ipc_buffer");
}

/// Makes `ipc_buffer` the buffer that the calling thread's invocations go through.
///
/// The first thing a thread does that was not started by the runtime, as upstream. It is about the
/// calling thread alone: each thread has its own buffer and calls this for it. (A thread whose
/// creator called [`init_ipc_buffer`] and began with
/// [`UserContext::default`](crate::UserContext) need not.)
///
/// # Panics
/// When `ipc_buffer` is not the buffer the kernel knows for the calling thread.
pub fn set_ipc_buffer(ipc_buffer: &'static mut IpcBuffer) {
    let address = ipc_buffer as *mut IpcBuffer as Word;
    own::prepare();
    // SAFETY: the reference is static and exclusive, so nobody else can be looking at the buffer.
    unsafe { init_ipc_buffer(ipc_buffer) };
    assert!(load() == address | FREE, "not the IPC buffer of the calling thread");
}

/// Prepares the IPC buffer at `ipc_buffer` for a thread that does not run yet, in place of the
/// thread's own [`set_ipc_buffer`]. Beyond upstream.
///
/// The thread must start with what finds the buffer ([`UserContext::default`](crate::UserContext)
/// has that), see the buffer at this same address, and have it set by `TCB_SetIPCBuffer`.
///
/// # Safety
/// `ipc_buffer` must be mapped writable, aligned to its size, and in use by no running thread.
pub unsafe fn init_ipc_buffer(ipc_buffer: *mut IpcBuffer) {
    assert!(ipc_buffer as Word & LOW_BITS == 0, "an IPC buffer is aligned to its size");
    // SAFETY: the caller's promise.
    unsafe { (*ipc_buffer).inner().tag.get().write(ipc_buffer as Word | FREE) };
}

/// The address of the calling thread's IPC buffer, by which a program can tell its threads apart; 0
/// when none has been set. Beyond upstream.
#[inline(always)]
pub fn ipc_buffer_address() -> Word {
    load() & !LOW_BITS
}

/// Calls `f` with the calling thread's IPC buffer. Calls may be nested.
///
/// # Panics
/// When no buffer has been set, or inside [`with_ipc_buffer_mut`]. Inside `f`, invoking a
/// capability panics.
pub fn with_ipc_buffer<T>(f: impl FnOnce(&IpcBuffer) -> T) -> T {
    let word = load();
    let borrows = if word & FREE != 0 { 0 } else { word & EXCLUSIVE };
    if word == 0 || borrows >= EXCLUSIVE - 1 {
        not_free(word);
    }
    let address = word & !LOW_BITS;
    store(address | (borrows + 1));
    // SAFETY: the count keeps exclusive borrows away while `f` runs.
    let value = f(unsafe { &*(address as *const IpcBuffer) });
    store(word);
    value
}

/// Calls `f` with the calling thread's IPC buffer, to write to it.
///
/// # Panics
/// When no buffer has been set, or inside [`with_ipc_buffer`] or itself. Inside `f`, invoking a
/// capability panics.
pub fn with_ipc_buffer_mut<T>(f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
    let address = free_ipc_buffer();
    store(address as Word | EXCLUSIVE);
    // SAFETY: the mark keeps all other borrows away while `f` runs.
    let value = f(unsafe { &mut *address });
    store(address as Word | FREE);
    value
}

/// Whether each thread has its own implicit IPC buffer: always.
pub const fn ipc_buffer_is_thread_local() -> bool {
    true
}

/// The calling thread's own IPC buffer as an [`InvocationContext`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ImplicitInvocationContext(());

impl ImplicitInvocationContext {
    /// The only value.
    pub const fn new() -> Self {
        Self(())
    }
}

impl InvocationContext for ImplicitInvocationContext {
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        with_ipc_buffer_mut(f)
    }

    #[inline(always)]
    fn with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        // SAFETY: the buffer is borrowed by nobody, and by the contract of this method `f` borrows
        // it by no other way while it runs.
        f(unsafe { &mut *free_ipc_buffer() })
    }

    fn try_with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> Option<T> {
        (load() & FREE != 0).then(|| self.with_context_leaf(f))
    }
}
