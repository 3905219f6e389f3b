// SPDX-License-Identifier: BSD-2-Clause
//! Capability pointers and paths to capability slots.

use core::fmt;

/// A capability pointer: an address in the caller's CSpace, resolved with all bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CPtr(usize);

impl CPtr {
    /// The null capability pointer. The kernel keeps slot 0 of the initial CNode empty, so an
    /// invocation of it fails with a failed lookup.
    pub const NULL: CPtr = CPtr(0);

    /// A capability pointer from the word the kernel knows it by.
    pub const fn new(bits: usize) -> CPtr {
        CPtr(bits)
    }

    /// The word the kernel knows it by.
    pub const fn bits(self) -> usize {
        self.0
    }

    /// The capability pointer `by` slots further on. Only meaningful inside one CNode.
    ///
    /// Wraps on overflow, as slots of one CNode never reach the end of a word.
    #[must_use]
    pub const fn offset(self, by: usize) -> CPtr {
        CPtr(self.0.wrapping_add(by))
    }
}

impl fmt::Debug for CPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPtr({:#x})", self.0)
    }
}

/// Where a capability slot or a CNode lies: resolve `depth` bits of `index`, starting at the CNode
/// `root` (itself a capability in the caller's CSpace).
///
/// For a retype's destination `depth` 0 means the CNode `root` itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapPath {
    /// A CNode capability, as the caller's CSpace resolves it.
    pub root: CPtr,
    /// The address to resolve from that CNode on; its low `depth` bits count.
    pub index: usize,
    /// How many bits of `index` to resolve, 0 to the bits of a word.
    pub depth: u8,
}
