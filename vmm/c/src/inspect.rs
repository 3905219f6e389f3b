// SPDX-License-Identifier: BSD-2-Clause
//! Looking inside, and giving back what is kept for speed.

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use core::str;

use sel4::{debug_print, debug_println, DebugWrite};

use crate::manager::{answer, bytes_of, last_error, with};
use crate::types::vmm_code_t::{self, *};
use crate::types::*;

/// Tells how much there is of everything. No system call.
///
/// Errors: VMM_NULL_POINTER.
#[no_mangle]
pub extern "C" fn vmm_stats(stats: Option<&mut MaybeUninit<vmm_stats_t>>) -> vmm_code_t {
    let Some(stats) = stats else { return VMM_NULL_POINTER };
    answer(with(|vmm| Ok::<_, Refusal>(vmm.stats())).map(|found| {
        stats.write((&found).into());
    }))
}

/// Tells how much there is in an address space. No system call.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE.
#[no_mangle]
pub extern "C" fn vmm_space_stats(
    space: vmm_space_t,
    stats: Option<&mut MaybeUninit<vmm_space_stats_t>>,
) -> vmm_code_t {
    let Some(stats) = stats else { return VMM_NULL_POINTER };
    answer(with(|vmm| vmm.space_summary(space.id(vmm.own_space()))).map(|found| {
        stats.write(found.into());
    }))
}

/// Gives back all that is kept for speed (empty page tables, unused objects), makes free memory as
/// few pieces as can be, and undoes what the kernel did not let be undone before.
///
/// Errors: VMM_KERNEL_REFUSED; the rest was done.
#[no_mangle]
pub extern "C" fn vmm_trim() -> vmm_code_t {
    answer(with(|vmm| vmm.trim()))
}

/// Prints a string (UTF-8) to the first serial line, on the release kernel too. NULL prints
/// nothing. Lines of several threads may mix.
#[no_mangle]
pub extern "C" fn vmm_print(text: *const c_char) {
    let (mut char, mut len) = ([0; 4], 0);
    for byte in bytes_of(text) {
        char[len] = byte;
        len += 1;
        match str::from_utf8(&char[..len]) {
            Ok(char) => debug_print!("{char}"),
            Err(error) if error.error_len().is_none() => continue,
            Err(_) => debug_print!("?"),
        }
        len = 0;
    }
}

/// Prints a number in hexadecimal, with 0x before it.
#[no_mangle]
pub extern "C" fn vmm_print_hex(number: usize) {
    debug_print!("{number:#x}");
}

/// Prints a line: `what`, and what was wrong with the request that returned `code`, in full.
/// Returns `code` as it is.
#[no_mangle]
pub extern "C" fn vmm_print_code(what: *const c_char, code: c_int) -> c_int {
    vmm_print(what);
    let known = vmm_code_t::from_number(code);
    match known.and_then(last_error) {
        Some(error) => debug_println!(": {error}"),
        None => {
            let text = known.map_or(c"no such code", vmm_code_t::text);
            debug_println!(": {}", text.to_str().unwrap_or(""));
        }
    }
    code
}

/// Prints how much there is of everything, a line for each thing.
///
/// Errors: none but those of every function.
#[no_mangle]
pub extern "C" fn vmm_print_stats() -> vmm_code_t {
    answer(with(|vmm| Ok::<_, Refusal>(vmm.stats())).map(|stats| debug_print!("{stats}")))
}

/// Prints the regions of an address space, and what is mapped in them. Nobody else's requests are
/// served meanwhile.
///
/// Errors: VMM_NO_SUCH_SPACE.
#[no_mangle]
pub extern "C" fn vmm_print_space(space: vmm_space_t) -> vmm_code_t {
    answer(with(|vmm| {
        let id = space.id(vmm.own_space());
        vmm.space_summary(id)?;
        // Printing cannot fail.
        let _ = vmm.dump(id, &mut DebugWrite);
        Ok::<_, Refusal>(())
    }))
}
