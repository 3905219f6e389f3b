// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use crate::manager::{answer, with};
use crate::types::vmm_code_t::{self, *};
use crate::types::*;

/// Makes a kernel object: `kind` is a vmm_kind_t, `bits` its size where that can be chosen, and 0
/// elsewhere. Its capability, with all rights, lies in a slot of the program's own CSpace. One
/// system call for up to 256 small objects.
///
/// Errors: VMM_NULL_POINTER; VMM_BAD_ARGUMENT for another kind, or a size of what has one size;
/// VMM_NO_SUCH_OBJECT for a size that there is not; VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS,
/// VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_allocate(
    kind: c_int,
    bits: u8,
    object: Option<&mut MaybeUninit<vmm_object_t>>,
) -> vmm_code_t {
    let Some(object) = object else { return VMM_NULL_POINTER };
    let blueprint = match blueprint(kind, bits) {
        Ok(blueprint) => blueprint,
        Err(code) => return code,
    };
    answer(with(|vmm| vmm.allocate(blueprint)).map(|made| {
        object.write(made.into());
    }))
}

/// Destroys an object that vmm_allocate made, with all copies of its capability.
///
/// Errors: VMM_NOT_ALLOCATED, VMM_STALE for what was freed before; VMM_KERNEL_REFUSED, and then it
/// is still there.
#[no_mangle]
pub extern "C" fn vmm_free(object: vmm_object_t) -> vmm_code_t {
    answer(with(|vmm| vmm.free(object.id())))
}
