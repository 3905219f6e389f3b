// SPDX-License-Identifier: BSD-2-Clause
//! What a function returns.

/// What a function returns: VMM_OK, or why a request was refused. Where a function does not say
/// otherwise, everything is then as it was before the request.
///
/// The number says whose fault it is: 1 to 99 the caller's, 100 to 199 want of a resource, 200 and
/// more the manager's or the kernel's.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum vmm_code_t {
    /// The request was carried out.
    VMM_OK = 0,
    /// A pointer that must not be NULL is.
    VMM_NULL_POINTER = 1,
    /// There is no manager yet: vmm_start was not called, or did not succeed.
    VMM_NOT_STARTED = 2,
    /// vmm_start was called before.
    VMM_ALREADY_STARTED = 3,
    /// The boot information cannot be used as it is.
    VMM_BAD_BOOT_INFO = 4,
    /// A number is not one of those that may be given in its place.
    VMM_BAD_ARGUMENT = 5,
    /// The caller is a fault policy, which the handler it runs in cannot be stopped by.
    VMM_IN_POLICY = 6,
    /// The calling thread has no IPC buffer that vmm_set_ipc_buffer or the kernel gave it.
    VMM_NO_IPC_BUFFER = 7,
    /// There is a fault handler already.
    VMM_HANDLER_RUNNING = 8,
    /// There is no fault handler.
    VMM_NO_HANDLER = 9,
    /// No region covers the address, or nothing is mapped there.
    VMM_NOTHING_THERE = 10,
    /// An address, or the end of a range, lies outside user space.
    VMM_OUTSIDE_USER_SPACE = 11,
    /// An address is not aligned as it must be.
    VMM_MISALIGNED = 12,
    /// A range has no page.
    VMM_EMPTY_RANGE = 13,
    /// A range wraps around the end of the address space.
    VMM_RANGE_WRAPS = 14,
    /// There is no such address space, or no more.
    VMM_NO_SUCH_SPACE = 15,
    /// There is no such region, or no more.
    VMM_NO_SUCH_REGION = 16,
    /// There is no such registered thread, or no more.
    VMM_NO_SUCH_THREAD = 17,
    /// There is no such IPC buffer, or no more.
    VMM_NO_SUCH_IPC_BUFFER = 18,
    /// No fault waits for a pager under this ticket.
    VMM_NO_SUCH_REQUEST = 19,
    /// The slot is not for an answer to this thread.
    VMM_NO_REPLY_SLOT = 20,
    /// A pager has this token already.
    VMM_TOKEN_IN_USE = 21,
    /// No pager has this token.
    VMM_NO_SUCH_PAGER = 22,
    /// The range overlaps a region.
    VMM_OVERLAP = 23,
    /// The range is not all inside one region.
    VMM_OUTSIDE_REGION = 24,
    /// The range touches a guard page.
    VMM_GUARD = 25,
    /// Something is mapped there already.
    VMM_ALREADY_MAPPED = 26,
    /// Nothing is mapped there.
    VMM_NOT_MAPPED = 27,
    /// More rights than the region's ceiling allows.
    VMM_RIGHTS_EXCEED_CEILING = 28,
    /// The region is of a kind that this request is not for: the program's image, an IPC buffer.
    VMM_WRONG_KIND = 29,
    /// The range cuts a large page that cannot be cut, or a large page would be misaligned.
    VMM_LARGE_PAGE = 30,
    /// The memory is not the manager's to change.
    VMM_NOT_MANAGED = 31,
    /// The memory is shared with another region.
    VMM_SHARED = 32,
    /// What was to be given back is in use.
    VMM_IN_USE = 33,
    /// The capability is no frame of the smallest page size.
    VMM_NO_PAGE = 34,
    /// Thread-local storage that cannot be.
    VMM_BAD_TLS = 35,
    /// The architecture has no frame of this size.
    VMM_NO_SUCH_FRAME_SIZE = 36,
    /// The frame cannot be an IPC buffer.
    VMM_BAD_IPC_BUFFER = 37,
    /// An IPC buffer takes a region of one page, and this one has more.
    VMM_NOT_ONE_PAGE = 38,
    /// The space is the manager's own, and cannot be destroyed.
    VMM_OWN_SPACE = 39,
    /// The memory is that of a thread that must not fault, and stays as it is.
    VMM_PINNED = 40,
    /// A registered thread still uses the space, or an object that was allocated for it.
    VMM_SPACE_IN_USE = 41,
    /// The object was not allocated for this space.
    VMM_NOT_OF_SPACE = 42,
    /// The architecture has no such object.
    VMM_NO_SUCH_OBJECT = 43,
    /// Nothing was asked for.
    VMM_ZERO_COUNT = 44,
    /// More than one request can have.
    VMM_TOO_MANY = 45,
    /// The capability was not handed out.
    VMM_NOT_ALLOCATED = 46,
    /// The object was freed before.
    VMM_STALE = 47,
    /// There is no memory at this physical address.
    VMM_NO_MEMORY_AT = 48,
    /// The memory at this physical address is in use.
    VMM_ADDRESS_IN_USE = 49,
    /// Device memory makes frames and untypeds alone.
    VMM_DEVICE_MEMORY = 50,
    /// The boot information has no untyped memory that could be used.
    VMM_NO_UNTYPED = 51,
    /// The boot information describes untyped memory that cannot be.
    VMM_BAD_UNTYPED = 52,
    /// The first stack was used up before its guard could be unmapped, and what lies below may have
    /// been overwritten.
    VMM_STACK_TOO_SMALL = 53,
    /// Memory that is mapped or copied when it is touched would lie where the kernel does not tell
    /// the whole address of a touch: on x86_64 of seL4 5.0.0 from 4 GiB on.
    VMM_FAULTS_NOT_TOLD = 54,
    /// No thread can run in the space. No request of this library makes such a space.
    VMM_STORE_SPACE = 55,

    /// No block of memory of the size needed is left.
    VMM_OUT_OF_MEMORY = 100,
    /// No capability slots are left.
    VMM_OUT_OF_SLOTS = 101,
    /// Memory for the manager's own records ran out.
    VMM_OUT_OF_NODES = 102,
    /// No hole of the address space is large enough.
    VMM_NO_ROOM = 103,
    /// Cutting a large page takes memory, and so much is not to be had.
    VMM_OUT_OF_MEMORY_TO_CUT = 104,
    /// No identifier for an address space is left.
    VMM_OUT_OF_ASIDS = 105,
    /// No badge for a thread is left.
    VMM_OUT_OF_BADGES = 106,
    /// No number for an address space is left.
    VMM_OUT_OF_SPACE_NUMBERS = 107,
    /// The memory is shared as often as can be counted.
    VMM_SHARED_TOO_OFTEN = 108,
    /// The space may not have more.
    VMM_OUT_OF_QUOTA = 109,
    /// There is as much pinned memory as there can be.
    VMM_TOO_MANY_PINNED = 110,
    /// There are as many pagers as there can be.
    VMM_TOO_MANY_PAGERS = 111,
    /// Memory is there, but the kernel must clear it first, and more than it may by one call.
    VMM_NEEDS_CLEARING = 112,

    /// The kernel refused an invocation. A request that maps has undone what it did; of one that
    /// unmaps or protects, the first pages stay done (vmm_error_detail says how many), and making
    /// it again does the rest.
    VMM_KERNEL_REFUSED = 200,
    /// The manager told of an error that this library has no code for.
    VMM_OTHER_ERROR = 201,
}

/// Whose fault a refused request is, and so what to do about it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_blame_t {
    /// Nobody's: the request was not refused, or the number is no code.
    VMM_NOBODY = 0,
    /// The caller's: repeating the request will not help.
    VMM_CALLER = 1,
    /// Something ran out: the request can succeed once some of it is given back.
    VMM_RESOURCE = 2,
    /// The kernel refused what it should not have: a fault of the manager's, or of who took a
    /// capability away from it.
    VMM_MANAGER = 3,
}
