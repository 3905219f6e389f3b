// SPDX-License-Identifier: BSD-2-Clause
//! A task that another one starts by hand, as users of rust-sel4 do: with an entry point, without a
//! stack, a page for its IPC buffer right behind its image, and a CSpace that holds a notification
//! in slot 1 and its own TCB in slot 2. It prints a line, signals and suspends itself.
//!
//! On a kernel that prints the kernel prints the line. On another one each byte is the label of a
//! message to the endpoint in slot 3.
#![no_std]
#![no_main]

mod arch;

use core::cell::UnsafeCell;
use core::panic::PanicInfo;

use sel4::cap;
// For the memory functions that it links.
use vmm_client as _;

/// The program's stack: nobody but `_start` and what it calls uses it.
#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; 16 * 1024]>);

// SAFETY: the one thread of the program uses it, as its stack.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; 16 * 1024]));
/// Not zero, and so in the data that the file has.
static mut WRITABLE: usize = 1;
/// Zero, and so behind the data that the file has.
static mut ZERO: usize = 0;

/// Everything behind the first instructions.
extern "C" fn start() -> ! {
    sel4::set_debug_put_char(send_byte);
    // SAFETY: the page behind the image is this thread's IPC buffer, and this the one reference.
    sel4::set_ipc_buffer(unsafe { &mut *ipc_buffer() });
    main()
}

fn main() -> ! {
    // SAFETY: the program has one thread.
    let sum = unsafe {
        let (written, zero) = (&raw mut WRITABLE, &raw mut ZERO);
        written.write_volatile(written.read_volatile() + 41);
        zero.write_volatile(zero.read_volatile() + 1);
        written.read_volatile() + zero.read_volatile()
    };
    sel4::debug_println!("a task of another address space prints: {sum}");
    cap::Notification::from_bits(1).signal();
    end()
}

/// Sends a byte to the parent, which prints it.
fn send_byte(byte: u8) {
    let info = sel4::MessageInfoBuilder::default().label(byte.into()).build();
    cap::Endpoint::from_bits(3).send(info);
}

/// The page behind the program's last.
fn ipc_buffer() -> *mut sel4::IpcBuffer {
    extern "C" {
        static _end: u8;
    }
    let page = sel4::FrameObjectType::GRANULE.bytes();
    (&raw const _end as usize).next_multiple_of(page) as *mut sel4::IpcBuffer
}

fn end() -> ! {
    // What comes back from a refusal has nobody to be told to.
    let _ = cap::Tcb::from_bits(2).tcb_suspend();
    loop {
        sel4::r#yield();
    }
}

// Where tests are checked, std has one.
#[cfg(not(test))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    sel4::debug_println!("{info}");
    end()
}
