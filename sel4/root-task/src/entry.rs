//! The way from the kernel to `main`.

use core::arch::global_asm;

use sel4::sys::{IPCBUF_GDT_SELECTOR, TLS_GDT_SELECTOR};
use sel4::{BootInfo, BootInfoPtr};

use crate::{panicking, tls, Termination};

// The kernel starts the initial thread with the address of the boot information in ebx
// (capRegister, create_initial_thread in boot.c), null in FS and GS, and no stack.
//
// The program's TLS block, if it has one, lies at the top of the stack. `tls::block_size` says how
// much that takes; it runs on the same stack and is done with it by then.
global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "    mov esp, dword ptr [{stack_top}]",
    "    mov eax, {ipc_buffer_selector}",
    "    mov fs, ax",
    "    mov eax, {tls_selector}",
    "    mov gs, ax",
    "    xor ebp, ebp",
    "    call {tls_block_size}",
    "    sub esp, eax",
    "    and esp, -16",
    "    mov eax, esp",
    "    sub esp, 8",
    "    push eax",
    "    push ebx",
    "    call {start}",
    "    ud2",
    ".size _start, . - _start",
    stack_top = sym __sel4_root_task__stack_top,
    ipc_buffer_selector = const IPCBUF_GDT_SELECTOR,
    tls_selector = const TLS_GDT_SELECTOR,
    tls_block_size = sym tls_block_size,
    start = sym start,
);

extern "C" {
    /// The program's entry point.
    pub fn _start() -> !;

    static __sel4_root_task__stack_top: crate::stack::StackTop;
}

extern "Rust" {
    fn __sel4_root_task__main(bootinfo: &BootInfoPtr);
}

extern "C" fn tls_block_size() -> usize {
    tls::block_size()
}

/// Everything between the first instructions and `main`.
unsafe extern "C" fn start(bootinfo: *const BootInfo, tls_block: *mut u8) -> ! {
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

/// Calls `main`, and says what it came to if it comes back.
pub fn run_main<T: Termination>(main: impl FnOnce(&BootInfoPtr) -> T, bootinfo: &BootInfoPtr) {
    main(bootinfo).report()
}
