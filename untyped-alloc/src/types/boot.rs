// SPDX-License-Identifier: BSD-2-Clause
//! The resources that an allocator starts with: untypeds and a CSpace.

use super::capability::CPtr;

/// One untyped of the boot information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UntypedInfo {
    /// Its capability.
    pub slot: CPtr,
    /// Its physical address, in bytes; aligned to its size.
    pub paddr: usize,
    /// Logarithm of its size in bytes.
    pub size_bits: u8,
    /// Whether it is device memory: never cleared, and good for frames alone.
    pub is_device: bool,
}

/// The initial CSpace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSpaceInfo {
    /// The capability to the initial CNode, in itself.
    pub root: CPtr,
    /// Logarithm of its number of slots; its guard resolves all other bits.
    pub radix_bits: u8,
    /// Its first slot that is free.
    pub first_free: usize,
    /// The slot after its last free one.
    pub end_free: usize,
    /// The thread whose CSpace this is: it gets the new root when the CSpace grows.
    pub tcb: CPtr,
    /// That thread's VSpace, which is set together with the CSpace.
    pub vspace: CPtr,
}
