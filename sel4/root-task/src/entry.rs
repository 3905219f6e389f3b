// SPDX-License-Identifier: BSD-2-Clause
//! The way from the kernel to `main`. Its first instructions are in `arch/`.

use core::fmt;
use core::marker::PhantomData;

use sel4::{BootInfo, BootInfoPtr};

use crate::{panicking, termination, tls, Termination};

extern "C" {
    /// The program's entry point.
    pub fn _start() -> !;

    pub(crate) static __sel4_root_task__stack_top: crate::stack::StackTop;
}

extern "Rust" {
    fn __sel4_root_task__main(bootinfo: &BootInfoPtr);
}

pub(crate) extern "C" fn tls_block_size() -> usize {
    tls::block_size()
}

/// Everything between the first instructions and `main`.
///
/// # Safety
/// Only `_start` may call it, once: with the kernel's pointer to the boot information, and with
/// `tls_block_size` bytes of the first stack that nobody else uses.
pub(crate) unsafe extern "C" fn start(bootinfo: *const BootInfo, tls_block: *mut u8) -> ! {
    sel4::begin_backtraces();
    // For kernels that do not print.
    sel4::set_debug_put_char(sel4::debug_put_char_by_port);
    // SAFETY: the kernel's pointer, passed on by `_start`.
    let bootinfo = unsafe { BootInfoPtr::new(bootinfo) };
    // SAFETY: the kernel mapped the buffer for this thread, and nobody else has a reference to it.
    sel4::set_ipc_buffer(unsafe { &mut *bootinfo.ipc_buffer() });
    // SAFETY: `_start` left `block_size` bytes of the stack free there, for good.
    unsafe { tls::initialize(&bootinfo, tls_block) };
    // SAFETY: `declare_root_task!` defines it with this signature.
    unsafe { __sel4_root_task__main(&bootinfo) };
    panicking::abort_with(format_args!("the root task's main returned"))
}

/// What a `main` returns, known by its type: so that the method of the more special of the two
/// traits below is taken, where both would do.
pub struct Returned<T>(PhantomData<fn() -> T>);

/// What `main` returns.
pub fn returned<T>(_: impl FnOnce(&BootInfoPtr) -> T) -> Returned<T> {
    Returned(PhantomData)
}

/// For a `main` whose error is made for people.
pub trait RunDisplayed<T> {
    /// Calls `main`, and says what it came to if it comes back: of an error its `Display`.
    fn run(self, main: impl FnOnce(&BootInfoPtr) -> T, bootinfo: &BootInfoPtr);
}

impl<T: Termination, E: fmt::Display> RunDisplayed<Result<T, E>> for Returned<Result<T, E>> {
    fn run(self, main: impl FnOnce(&BootInfoPtr) -> Result<T, E>, bootinfo: &BootInfoPtr) {
        match main(bootinfo) {
            Ok(value) => value.report(),
            Err(error) => termination::failed(format_args!("{error}")),
        }
    }
}

/// For any `main`. A reference away, so that it is taken only where the other is not.
pub trait RunAny<T> {
    /// Calls `main`, and says what it came to if it comes back.
    fn run(self, main: impl FnOnce(&BootInfoPtr) -> T, bootinfo: &BootInfoPtr);
}

impl<T: Termination> RunAny<T> for &Returned<T> {
    fn run(self, main: impl FnOnce(&BootInfoPtr) -> T, bootinfo: &BootInfoPtr) {
        main(bootinfo).report()
    }
}
