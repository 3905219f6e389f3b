// SPDX-License-Identifier: BSD-2-Clause
//! The life of a program that has its objects by capabilities: how it starts, panics and ends.
//!
//! It begins at `_start`, whose arguments are the address of the IPC buffer and a word of its
//! starter's. A main that returns ends the program: with 0 for `Ok`, and for an error with
//! [`FAILED`] after saying it. A panic says where it was and ends the program with [`PANICKED`].

use core::fmt;
use core::panic::PanicInfo;

use super::error::Result;
use super::program::Program;
use crate::bindings;
use crate::types::pending::Pending;

/// The exit code of a main that returned an error.
pub const FAILED: u32 = 1;
/// The exit code of a panic.
pub const PANICKED: u32 = 101;

/// Runs a program: `_start` calls it.
///
/// # Safety
/// `ipc_buffer` must be the address of the calling thread's IPC buffer, which no other code uses.
pub unsafe fn start(main: fn(&Program, usize) -> Result, ipc_buffer: usize, argument: usize) -> ! {
    // SAFETY: by the caller's promise.
    unsafe { bindings::set_ipc_buffer(ipc_buffer) };
    match main(&Program::THIS, argument) {
        Ok(()) => Program::THIS.exit(0),
        Err(error) => {
            print(format_args!("failed: {error}"));
            Program::THIS.exit(FAILED)
        }
    }
}

/// Says where a panic was, and ends the program.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    print(format_args!("{}", info.message()));
    if let Some(place) = info.location() {
        print(format_args!("panicked at {}:{}", place.file(), place.line()));
    }
    Program::THIS.exit(PANICKED)
}

/// Says a line, if the program has a console; what does not fit in one is cut off. See
/// [`tell!`](crate::tell).
pub fn print(line: fmt::Arguments<'_>) {
    Program::THIS.say(Pending::line(line));
}

/// Says a line to people: at most 96 bytes, printable ASCII.
#[macro_export]
macro_rules! tell {
    ($($arg:tt)*) => { $crate::handles::runtime::print(::core::format_args!($($arg)*)) };
}

/// Defines the entry and the panic handler of a program whose main is `$main`, a
/// `fn(&Program, usize) -> Result` of [`handles`](crate::handles).
#[macro_export]
macro_rules! program {
    ($main:path) => {
        $crate::_private::thread_entry! {
            /// The entry.
            #[unsafe(no_mangle)]
            fn _start(ipc_buffer: usize, argument: usize) -> ! {
                // SAFETY: the starter of a program passes the address of its IPC buffer.
                unsafe { $crate::handles::runtime::start($main, ipc_buffer, argument) }
            }
        }

        // Where tests are checked, std has one.
        #[cfg(not(test))]
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::handles::runtime::panicked(info)
        }
    };
}
