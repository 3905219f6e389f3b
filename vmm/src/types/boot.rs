// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel told the root task, in plain numbers.

use core::ops::Range;

use untyped_alloc::{CPtr, CSpaceInfo, UntypedInfo};

/// What the kernel told the root task, in plain numbers. `sel4::boot_info` makes one of
/// `sel4::BootInfo`.
#[derive(Clone, Debug)]
pub struct BootInfo<'a> {
    /// Every untyped, in any order.
    pub untypeds: &'a [UntypedInfo],
    /// The initial CSpace.
    pub cspace: CSpaceInfo,
    /// The capability to the initial VSpace.
    pub vspace: CPtr,
    /// The initial ASID pool.
    pub asid_pool: CPtr,
    /// Addresses that are mapped already, each with a name: the program's image, the IPC buffer,
    /// the boot information. Each is page-aligned, in bytes; none overlaps another.
    pub mapped: &'a [(&'a str, Range<usize>)],
    /// The first thread's stack, inside one of `mapped`, if it has a guard: all its pages, in
    /// bytes, the guard first, which is one page that is not mapped. Page-aligned.
    pub stack: Option<Range<usize>>,
    /// The paging structures that are there already, by level and an address they cover, with
    /// their capabilities.
    pub tables: &'a [(u8, usize, CPtr)],
    /// Pages of the image that are the manager's for its book-keeping, in bytes: at least 64 KiB
    /// on IA32. Page-aligned, unused, and inside `mapped`.
    pub pool: Range<usize>,
}
