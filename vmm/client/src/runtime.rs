//! How a client program starts, speaks, panics and ends.
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
//! The program begins at `_start`, an `extern "fastcall"` function: ecx is the address of the IPC
//! buffer, edx a word that whoever started the program chose; the stack is as after a call, and FS
//! points at the IPC buffer, GS at the thread-local storage, if the program has any. A main that returns ends the program: with 0 for `Ok`, and for an error
//! with [`FAILED`] after saying it. A panic says where it was and ends it with [`PANICKED`].

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use crate::client::{Result, Service};
use crate::protocol::{Line, Request};

/// The exit code of a main that returned an error.
pub const FAILED: u32 = 1;
/// The exit code of a panic.
pub const PANICKED: u32 = 101;

/// What `_start` does.
///
/// # Safety
/// `ipc_buffer` must be the address of the calling thread's IPC buffer, which nobody else uses.
pub unsafe fn start(main: fn(Service, usize) -> Result, ipc_buffer: usize, argument: usize) -> ! {
    // SAFETY: by the caller's promise.
    sel4::set_ipc_buffer(unsafe { &mut *(ipc_buffer as *mut sel4::IpcBuffer) });
    let service = Service::default();
    match main(service, argument) {
        Ok(()) => service.exit(0),
        Err(error) => {
            print(format_args!("failed: {error}"));
            service.exit(FAILED)
        }
    }
}

/// What a further thread does: `main`, and then it is gone with all it had. An error ends the whole
/// program with [`FAILED`], after saying it.
///
/// # Safety
/// As for [`start`].
pub unsafe fn start_thread(
    main: fn(Service, usize) -> Result,
    ipc_buffer: usize,
    argument: usize,
) -> ! {
    // SAFETY: by the caller's promise.
    sel4::set_ipc_buffer(unsafe { &mut *(ipc_buffer as *mut sel4::IpcBuffer) });
    let service = Service::default();
    if let Err(error) = main(service, argument) {
        print(format_args!("failed: {error}"));
        service.exit(FAILED)
    }
    loop {
        // Not answered, unless the kernel refused it: then it is asked again.
        let _ = service.call(&Request::EndThread { thread: ipc_buffer as u32, own: true });
    }
}

/// Says where a panic was, and ends the program.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    print(format_args!("{}", info.message()));
    if let Some(place) = info.location() {
        print(format_args!("panicked at {}:{}", place.file(), place.line()));
    }
    Service::default().exit(PANICKED)
}

/// A line under way to the service.
struct Pending {
    bytes: [u8; 96],
    len: usize,
}

impl Write for Pending {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let fits = (0..=text.len().min(room.len())).rev().find(|&at| text.is_char_boundary(at));
        let fits = fits.unwrap_or(0);
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

/// Has the service say a line; what is beyond 96 bytes is cut off. See [`say!`](crate::say).
pub fn print(line: fmt::Arguments<'_>) {
    let mut pending = Pending { bytes: [0; 96], len: 0 };
    // Writing does not fail; a `Display` may, and then half a line is better than none.
    let _ = pending.write_fmt(line);
    let text = core::str::from_utf8(&pending.bytes[..pending.len]).unwrap_or("");
    // The service refuses no line that is well-formed, and there is nobody else to tell.
    let _ = Service::default().say(Line::new(text));
}

/// Has the service say a line to people: at most 96 bytes, printable ASCII.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::runtime::print(::core::format_args!($($arg)*)) };
}

/// Makes a `fn(Service, usize) -> Result` the main of further threads: defines `$entry` for
/// [`Service::spawn`](crate::Service::spawn).
#[macro_export]
macro_rules! client_thread {
    ($entry:ident, $main:path) => {
        extern "fastcall" fn $entry(ipc_buffer: usize, argument: usize) -> ! {
            // SAFETY: the service passes a new thread the address of its IPC buffer.
            unsafe { $crate::runtime::start_thread($main, ipc_buffer, argument) }
        }
    };
}

/// Makes a `fn(Service, usize) -> Result` a client program's main: defines its entry and its panic
/// handler. See [`runtime`](crate::runtime).
#[macro_export]
macro_rules! client_program {
    ($main:path) => {
        /// The entry.
        #[unsafe(no_mangle)]
        extern "fastcall" fn _start(ipc_buffer: usize, argument: usize) -> ! {
            // SAFETY: whoever starts a client program passes the address of its IPC buffer.
            unsafe { $crate::runtime::start($main, ipc_buffer, argument) }
        }

        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::runtime::panicked(info)
        }
    };
}
