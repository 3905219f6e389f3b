// SPDX-License-Identifier: BSD-2-Clause
//! The life of a client program: how it starts, says lines, panics and ends.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! vmm_client::client_program!(main);
//!
//! fn main(service: vmm_client::Service, argument: usize) -> vmm_client::Result {
//!     let memory = service.allocate(4, "mine")?;
//!     vmm_client::say!("{} pages at {:#x}", memory.pages, memory.first);
//!     Ok(())
//! }
//! ```
//!
//! The program begins at `_start`, which [`thread_entry!`](crate::thread_entry) defines: its arguments are the
//! address of the IPC buffer and a word chosen by the starter of the program; the stack is as after
//! a call, and the thread finds its IPC buffer and its thread-local storage, if the program has
//! any, as every thread (`sel4::UserContext`). A main that
//! returns ends the program: with 0 for `Ok`, and for an error with [`FAILED`] after saying it. A
//! panic says where it was and ends the program with [`PANICKED`].

use core::fmt;
use core::panic::PanicInfo;

use crate::bindings::{self, Backtrace};
use crate::calls::error::Result;
use crate::calls::service::Service;
use crate::protocol::Request;
use crate::types::pending::Pending;

/// The exit code of a main that returned an error.
pub const FAILED: u32 = 1;
/// The exit code of a panic.
pub const PANICKED: u32 = 101;

/// Runs a program: `_start` calls it.
///
/// # Safety
/// `ipc_buffer` must be the address of the calling thread's IPC buffer, which no other code uses.
pub unsafe fn start(main: fn(Service, usize) -> Result, ipc_buffer: usize, argument: usize) -> ! {
    // SAFETY: by the caller's promise.
    unsafe { bindings::set_ipc_buffer(ipc_buffer) };
    let service = Service::default();
    match main(service, argument) {
        Ok(()) => service.exit(0),
        Err(error) => {
            print(format_args!("failed: {error}"));
            service.exit(FAILED)
        }
    }
}

/// Runs a further thread: its `main`, and then its end, which frees all that it had. An error ends
/// the whole program with [`FAILED`], after saying it.
///
/// # Safety
/// As for [`start`].
pub unsafe fn start_thread(
    main: fn(Service, usize) -> Result,
    ipc_buffer: usize,
    argument: usize,
) -> ! {
    // SAFETY: by the caller's promise.
    unsafe { bindings::set_ipc_buffer(ipc_buffer) };
    let service = Service::default();
    if let Err(error) = main(service, argument) {
        print(format_args!("failed: {error}"));
        service.exit(FAILED)
    }
    loop {
        // There is no answer, unless the kernel refused to end the thread: then it asks again.
        let _ = service.call(&Request::EndThread { thread: ipc_buffer, own: true });
    }
}

/// Says where a panic was, and ends the program.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let backtrace = Backtrace::of_this_thread();
    print(format_args!("{}", info.message()));
    if let Some(place) = info.location() {
        print(format_args!("panicked at {}:{}", place.file(), place.line()));
    }
    print_backtrace(&backtrace);
    Service::default().exit(PANICKED)
}

/// Callers that are said in one line: their addresses fit in it.
const CALLERS_A_LINE: usize = 6;

/// Says who had called whom, a few callers a line.
fn print_backtrace(backtrace: &Backtrace) {
    for callers in backtrace.callers().chunks(CALLERS_A_LINE) {
        print(format_args!("backtrace: called from{}", Addresses(callers)));
    }
}

/// Addresses, each behind a blank.
struct Addresses<'a>(&'a [sel4::Word]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|address| write!(f, " {address:#x}"))
    }
}

/// Has the service say a line; bytes beyond [`Line::BYTES`](crate::protocol::Line::BYTES) are cut
/// off. See [`say!`](crate::say).
pub fn print(line: fmt::Arguments<'_>) {
    // The service refuses no well-formed line, and there is nobody else to report an error to.
    let _ = Service::default().say(Pending::line(line));
}

/// Has the service say a line to people: at most 96 bytes, printable ASCII.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::runtime::print(::core::format_args!($($arg)*)) };
}

/// Defines `$entry`, for [`Service::spawn`](crate::Service::spawn): the entry of further threads
/// whose main is `$main`, a `fn(Service, usize) -> Result`.
#[macro_export]
macro_rules! client_thread {
    ($entry:ident, $main:path) => {
        $crate::_private::thread_entry! {
            fn $entry(ipc_buffer: usize, argument: usize) -> ! {
                // SAFETY: the service passes a new thread the address of its IPC buffer.
                unsafe { $crate::runtime::start_thread($main, ipc_buffer, argument) }
            }
        }
    };
}

/// Defines the entry and the panic handler of a client program whose main is `$main`, a
/// `fn(Service, usize) -> Result`. See [`runtime`](crate::runtime).
#[macro_export]
macro_rules! client_program {
    ($main:path) => {
        $crate::_private::thread_entry! {
            /// The entry.
            // SAFETY: the one symbol of this name: a client program has no other entry.
            #[unsafe(no_mangle)]
            fn _start(ipc_buffer: usize, argument: usize) -> ! {
                // SAFETY: the starter of a client program passes the address of its IPC buffer.
                unsafe { $crate::runtime::start($main, ipc_buffer, argument) }
            }
        }

        // Where tests are checked, std has one.
        #[cfg(not(test))]
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::runtime::panicked(info)
        }
    };
}
