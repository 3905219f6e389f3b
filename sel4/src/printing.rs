// SPDX-License-Identifier: BSD-2-Clause
//! Debugging output.
//!
//! A kernel that prints (`PRINTING`) prints for its programs, too: any thread can, whatever its
//! CSpace, as upstream. Where it does not, output goes to what [`set_debug_put_char`] was given,
//! and without that nowhere. The runtime of root tasks gives [`debug_put_char_by_port`]: so the
//! same program prints the same bytes on a release kernel.

use core::fmt;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::init_thread::slot;
use crate::sys::syscall;
use crate::sys::{SysCall, X86IOPortIn8, X86IOPortOut8};
use crate::{sel4_cfg_if, MessageInfo, Word};

/// The data register of COM1.
const DATA: Word = 0x3f8;
/// The line status register of COM1.
const LINE_STATUS: Word = 0x3fd;
/// Line status: the transmitter takes another byte.
const TRANSMITTER_EMPTY: Word = 1 << 5;
/// How often to ask for the transmitter before writing all the same: a line that nobody reads, or
/// no UART at all, must not hang the program. At 115200 baud a byte takes 87 µs.
const PATIENCE: usize = 10_000;

/// What was given to [`set_debug_put_char`].
static PUT_CHAR: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Where [`DebugWrite`] goes on a kernel that does not print: `put_char` gets each byte, in
/// whatever thread writes. Beyond upstream.
pub fn set_debug_put_char(put_char: fn(u8)) {
    PUT_CHAR.store(put_char as *mut (), Ordering::Relaxed);
}

sel4_cfg_if! {
    if #[sel4_cfg(PRINTING)] {
        use crate::debug::debug_put_char as put_byte;
    } else {
        fn put_byte(byte: u8) {
            let put_char = PUT_CHAR.load(Ordering::Relaxed);
            if !put_char.is_null() {
                // SAFETY: not null, so `set_debug_put_char` stored a function of this type.
                let put_char: fn(u8) = unsafe { core::mem::transmute(put_char) };
                put_char(byte);
            }
        }
    }
}

/// Debugging output, as [`core::fmt::Write`].
///
/// Takes no lock, and uses registers only, no IPC buffer: any thread can write at any time, also
/// inside [`with_ipc_buffer`](crate::with_ipc_buffer). Lines of several threads may mix, by the
/// byte. Costs a kernel call a byte on a kernel that prints.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugWrite;

impl fmt::Write for DebugWrite {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes().for_each(put_byte);
        Ok(())
    }
}

/// Writes a byte to the first serial line by the capability to the I/O ports that the kernel puts
/// into slot 7 of the initial CNode. A thread whose CSpace has nothing there faults. Two kernel
/// calls when the line is ready. Beyond upstream.
pub fn debug_put_char_by_port(byte: u8) {
    for _ in 0..PATIENCE {
        if port(X86IOPortIn8, 1, LINE_STATUS, 0) & TRANSMITTER_EMPTY != 0 {
            break;
        }
    }
    port(X86IOPortOut8, 2, DATA, byte.into());
}

/// An invocation of the I/O port capability. Its error, if any, has nowhere to go.
fn port(label: Word, length: usize, port: Word, data: Word) -> Word {
    let info = MessageInfo::new(label, 0, 0, length).word();
    // SAFETY: the two ports are the serial line's, which is no memory.
    unsafe {
        let words = syscall::first_words(&[port, data]);
        syscall::send_recv::<SysCall>(slot::IO_PORT.cptr_bits(), info, words).words[0]
    }
}

#[doc(hidden)]
pub fn debug_print_helper(args: fmt::Arguments<'_>) {
    // Writing cannot fail; a `Display` of the caller's can, and has no better place to say so.
    let _ = fmt::write(&mut DebugWrite, args);
}

/// Prints for debugging. See [`DebugWrite`].
#[macro_export]
macro_rules! debug_print {
    ($($arg:tt)*) => ($crate::_private::debug_print_helper(::core::format_args!($($arg)*)));
}

/// Prints a line for debugging. See [`DebugWrite`].
#[macro_export]
macro_rules! debug_println {
    () => ($crate::debug_print!("\n"));
    ($($arg:tt)*) => ($crate::debug_print!("{}\n", ::core::format_args!($($arg)*)));
}
