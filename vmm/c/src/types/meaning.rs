// SPDX-License-Identifier: BSD-2-Clause
//! What a code says: whose fault, and what.

use core::ffi::CStr;

use super::code::vmm_blame_t;
use super::code::vmm_code_t::{self, *};

impl vmm_code_t {
    /// Every code, in the order of their numbers.
    #[rustfmt::skip]
    pub const ALL: [vmm_code_t; 71] = [
        VMM_OK, VMM_NULL_POINTER, VMM_NOT_STARTED, VMM_ALREADY_STARTED, VMM_BAD_BOOT_INFO,
        VMM_BAD_ARGUMENT, VMM_IN_POLICY, VMM_NO_IPC_BUFFER, VMM_HANDLER_RUNNING, VMM_NO_HANDLER,
        VMM_NOTHING_THERE, VMM_OUTSIDE_USER_SPACE, VMM_MISALIGNED, VMM_EMPTY_RANGE,
        VMM_RANGE_WRAPS, VMM_NO_SUCH_SPACE, VMM_NO_SUCH_REGION, VMM_NO_SUCH_THREAD,
        VMM_NO_SUCH_IPC_BUFFER, VMM_NO_SUCH_REQUEST, VMM_NO_REPLY_SLOT, VMM_TOKEN_IN_USE,
        VMM_NO_SUCH_PAGER, VMM_OVERLAP, VMM_OUTSIDE_REGION, VMM_GUARD, VMM_ALREADY_MAPPED,
        VMM_NOT_MAPPED, VMM_RIGHTS_EXCEED_CEILING, VMM_WRONG_KIND, VMM_LARGE_PAGE,
        VMM_NOT_MANAGED, VMM_SHARED, VMM_IN_USE, VMM_NO_PAGE, VMM_BAD_TLS, VMM_NO_SUCH_FRAME_SIZE,
        VMM_BAD_IPC_BUFFER, VMM_NOT_ONE_PAGE, VMM_OWN_SPACE, VMM_STORE_SPACE, VMM_PINNED,
        VMM_SPACE_IN_USE,
        VMM_NOT_OF_SPACE, VMM_NO_SUCH_OBJECT, VMM_ZERO_COUNT, VMM_TOO_MANY, VMM_NOT_ALLOCATED,
        VMM_STALE, VMM_NO_MEMORY_AT, VMM_ADDRESS_IN_USE, VMM_DEVICE_MEMORY, VMM_NO_UNTYPED,
        VMM_BAD_UNTYPED, VMM_STACK_TOO_SMALL, VMM_FAULTS_NOT_TOLD, VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES, VMM_NO_ROOM,
        VMM_OUT_OF_MEMORY_TO_CUT, VMM_OUT_OF_ASIDS, VMM_OUT_OF_BADGES, VMM_OUT_OF_SPACE_NUMBERS,
        VMM_SHARED_TOO_OFTEN, VMM_OUT_OF_QUOTA, VMM_TOO_MANY_PINNED, VMM_TOO_MANY_PAGERS, VMM_NEEDS_CLEARING,
        VMM_KERNEL_REFUSED, VMM_OTHER_ERROR,
    ];

    /// The code with this number.
    pub fn from_number(number: i32) -> Option<vmm_code_t> {
        Self::ALL.into_iter().find(|&code| code as i32 == number)
    }

    /// Whose fault it is.
    pub fn blame(self) -> vmm_blame_t {
        match self as i32 {
            0 => vmm_blame_t::VMM_NOBODY,
            1..100 => vmm_blame_t::VMM_CALLER,
            100..200 => vmm_blame_t::VMM_RESOURCE,
            _ => vmm_blame_t::VMM_MANAGER,
        }
    }

    /// What it says, for a person.
    pub fn text(self) -> &'static CStr {
        match self {
            VMM_OK => c"success",
            VMM_NULL_POINTER => c"a pointer is NULL that must not be",
            VMM_NOT_STARTED => c"the manager was not started",
            VMM_ALREADY_STARTED => c"the manager was started before",
            VMM_BAD_BOOT_INFO => c"the boot information cannot be used",
            VMM_BAD_ARGUMENT => c"a number is none of those that may be given",
            VMM_IN_POLICY => c"a fault policy cannot stop its handler",
            VMM_NO_IPC_BUFFER => c"the calling thread has no IPC buffer that is set up",
            VMM_HANDLER_RUNNING => c"there is a fault handler already",
            VMM_NO_HANDLER => c"there is no fault handler",
            VMM_NOTHING_THERE => c"there is nothing at the address",
            VMM_OUTSIDE_USER_SPACE => c"outside user space",
            VMM_MISALIGNED => c"not aligned",
            VMM_EMPTY_RANGE => c"a range without a page",
            VMM_RANGE_WRAPS => c"a range that wraps around the address space",
            VMM_NO_SUCH_SPACE => c"no such address space, or no more",
            VMM_NO_SUCH_REGION => c"no such region, or no more",
            VMM_NO_SUCH_THREAD => c"no such registered thread, or no more",
            VMM_NO_SUCH_IPC_BUFFER => c"no such IPC buffer, or no more",
            VMM_NO_SUCH_REQUEST => c"no fault waits under this ticket",
            VMM_NO_REPLY_SLOT => c"the slot is not for an answer to this thread",
            VMM_TOKEN_IN_USE => c"a pager has this token already",
            VMM_NO_SUCH_PAGER => c"no pager has this token",
            VMM_OVERLAP => c"the range overlaps a region",
            VMM_OUTSIDE_REGION => c"the range is not all inside one region",
            VMM_GUARD => c"the range touches a guard page",
            VMM_ALREADY_MAPPED => c"something is mapped there already",
            VMM_NOT_MAPPED => c"nothing is mapped there",
            VMM_RIGHTS_EXCEED_CEILING => c"more rights than the region's ceiling",
            VMM_WRONG_KIND => c"the region is of another kind",
            VMM_LARGE_PAGE => c"a large page cannot be cut or misaligned",
            VMM_NOT_MANAGED => c"the memory is not the manager's",
            VMM_SHARED => c"the memory is shared",
            VMM_IN_USE => c"in use",
            VMM_NO_PAGE => c"no frame of the smallest page size",
            VMM_BAD_TLS => c"thread-local storage that cannot be",
            VMM_NO_SUCH_FRAME_SIZE => c"no frames of this size here",
            VMM_BAD_IPC_BUFFER => c"the frame cannot be an IPC buffer",
            VMM_NOT_ONE_PAGE => c"a region of more than one page",
            VMM_OWN_SPACE => c"the space is the manager's own",
            VMM_STORE_SPACE => c"no thread can run in the space, which is a store",
            VMM_PINNED => c"the memory is pinned",
            VMM_SPACE_IN_USE => c"threads or objects still use the space",
            VMM_FAULTS_NOT_TOLD => c"the kernel does not tell the whole address of faults there",
            VMM_NOT_OF_SPACE => c"the object was not allocated for this space",
            VMM_NO_SUCH_OBJECT => c"this architecture has no such object",
            VMM_ZERO_COUNT => c"nothing was asked for",
            VMM_TOO_MANY => c"more than one request can have",
            VMM_NOT_ALLOCATED => c"the capability was not handed out",
            VMM_STALE => c"the object was freed before",
            VMM_NO_MEMORY_AT => c"no memory at this physical address",
            VMM_ADDRESS_IN_USE => c"the memory at this physical address is in use",
            VMM_DEVICE_MEMORY => c"device memory makes frames and untypeds alone",
            VMM_NO_UNTYPED => c"boot information without usable untyped memory",
            VMM_STACK_TOO_SMALL => c"the first stack was used up",
            VMM_BAD_UNTYPED => c"boot information with impossible untyped memory",
            VMM_OUT_OF_MEMORY => c"out of memory",
            VMM_OUT_OF_SLOTS => c"out of capability slots",
            VMM_OUT_OF_NODES => c"out of memory for the manager's records",
            VMM_NO_ROOM => c"no hole of the address space is large enough",
            VMM_OUT_OF_MEMORY_TO_CUT => c"out of memory to cut a large page",
            VMM_OUT_OF_ASIDS => c"out of identifiers for address spaces",
            VMM_OUT_OF_BADGES => c"out of badges",
            VMM_OUT_OF_SPACE_NUMBERS => c"out of numbers for address spaces",
            VMM_SHARED_TOO_OFTEN => c"shared as often as can be counted",
            VMM_OUT_OF_QUOTA => c"out of quota",
            VMM_TOO_MANY_PINNED => c"as much pinned memory as there can be",
            VMM_TOO_MANY_PAGERS => c"as many pagers as there can be",
            VMM_NEEDS_CLEARING => c"the memory must be cleared first",
            VMM_OTHER_ERROR => c"an error that has no code of its own",
            VMM_KERNEL_REFUSED => c"the kernel refused",
        }
    }
}
