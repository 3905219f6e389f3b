// SPDX-License-Identifier: BSD-2-Clause
//! Starting the manager, and what a code says.

use core::ffi::{c_char, c_int, CStr};
use core::fmt::Write;

use sel4::BootInfoPtr;
use vmm::sel4::{start_with, BootPool, StartOptions};

use crate::manager::{answer, begin, last_error, Buffer, MANAGER};
use crate::types::vmm_code_t::{self, *};
use crate::types::{size_t, vmm_blame_t};

/// The kernel's boot information (seL4_BootInfo), which C does not look into.
#[repr(C)]
pub struct vmm_boot_info_t {
    _private: [u8; 0],
}

/// Twice the pages that are enough to start with on most machines: C programs cannot give more.
static POOL: BootPool<64> = BootPool::new();

/// Starts the manager of all that the kernel left to this root task. To be called first, once, by
/// the first thread, before the program has used any of the untyped memory or slots that the boot
/// information lists. A request clears as much memory as it needs: the kernel does that by one call
/// for an untyped, in which nobody else runs. `boot` is what vmm_boot_info returned.
///
/// Errors: VMM_NULL_POINTER; VMM_ALREADY_STARTED for all calls but the first; VMM_BAD_BOOT_INFO,
/// VMM_STACK_TOO_SMALL, VMM_NO_UNTYPED, VMM_BAD_UNTYPED; VMM_OUT_OF_NODES, VMM_OUT_OF_MEMORY;
/// VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_start(boot: Option<&vmm_boot_info_t>) -> vmm_code_t {
    let Some(boot) = boot else { return VMM_NULL_POINTER };
    answer(begin(|| {
        // SAFETY: the caller's word: it is what the kernel gave the first thread.
        let boot = unsafe { BootInfoPtr::new(core::ptr::from_ref(boot).cast()) };
        let options = StartOptions::new().clear_when_needed();
        Ok(MANAGER.share(start_with(&boot, &POOL, &options)?)?)
    }))
}

/// Says what a code means, in English, as a string that is there for good; "no such code" for other
/// numbers.
#[no_mangle]
pub extern "C" fn vmm_error_text(code: c_int) -> *const c_char {
    let text: &CStr = vmm_code_t::from_number(code).map_or(c"no such code", vmm_code_t::text);
    text.as_ptr()
}

/// Says whose fault a refused request is: by the code alone.
#[no_mangle]
pub extern "C" fn vmm_error_blame(code: c_int) -> vmm_blame_t {
    vmm_code_t::from_number(code).map_or(vmm_blame_t::VMM_NOBODY, vmm_code_t::blame)
}

/// Writes in full what was wrong with the calling thread's last request that was refused with
/// `code`, with the offending value, such as "0x1000 is a guard page"; or what vmm_error_text says,
/// where nothing more is known. That is kept for the 16 threads whose requests were refused last.
///
/// At most `bytes` bytes are written to `buffer`, the last of which is zero. Returns how many bytes
/// the whole text has, without the zero byte, as snprintf does. `buffer` may be NULL: then nothing
/// is written.
#[no_mangle]
pub extern "C" fn vmm_error_detail(code: c_int, buffer: *mut c_char, bytes: size_t) -> size_t {
    // SAFETY: the caller's word.
    let mut text = unsafe { Buffer::new(buffer, bytes) };
    let known = vmm_code_t::from_number(code);
    // Writing to a buffer cannot fail.
    let _ = match known.and_then(last_error) {
        Some(error) => write!(text, "{error}"),
        None => {
            let general = known.map_or(c"no such code", vmm_code_t::text);
            text.write_str(general.to_str().unwrap_or(""))
        }
    };
    text.finish()
}
