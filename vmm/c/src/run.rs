// SPDX-License-Identifier: BSD-2-Clause
//! From the kernel to C's `main`, and the end.

use core::ffi::c_int;
use core::ptr::null;
use core::sync::atomic::{AtomicPtr, Ordering};

use sel4::BootInfoPtr;
use sel4_root_task::{declare_root_task, exit, ExitCode, Never};

use crate::start::vmm_boot_info_t;

static BOOT_INFO: AtomicPtr<vmm_boot_info_t> = AtomicPtr::new(null::<vmm_boot_info_t>().cast_mut());

extern "C" {
    /// The program, in C.
    fn main() -> c_int;
}

declare_root_task! { main = run, stack_size = 128 * 1024 }

/// What the runtime calls.
fn run(boot: &BootInfoPtr) -> Never {
    BOOT_INFO.store(boot.ptr().cast_mut().cast(), Ordering::Release);
    // SAFETY: the program's, with this signature: a linker finds no other function of the name.
    let status = unsafe { main() };
    vmm_exit(status)
}

/// Returns the kernel's boot information: what vmm_start is given. (A seL4_BootInfo, for a program
/// that has seL4's headers.)
#[no_mangle]
pub extern "C" fn vmm_boot_info() -> *const vmm_boot_info_t {
    BOOT_INFO.load(Ordering::Acquire)
}

/// Ends the program, as returning from main does: with success if `status` is 0. QEMU ends with it,
/// where it has the device for that (qemu-scripts/run.sh); elsewhere the first thread stops.
#[no_mangle]
pub extern "C" fn vmm_exit(status: c_int) -> ! {
    exit(if status == 0 { ExitCode::Success } else { ExitCode::Failure })
}
