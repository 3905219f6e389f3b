// SPDX-License-Identifier: BSD-2-Clause
//! An architecture as data.

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

/// The bytes of a page of the smallest size, on each architecture that there is.
pub const PAGE_BYTES: usize = 4096;

/// Where a thread's variables lie, seen from its thread pointer: as the ELF ABI of the architecture
/// says, and so as linkers take it for granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVariant {
    /// Above it, behind words that are the ABI's own (variant I).
    Above {
        /// How many: two on aarch64, none on riscv64.
        words: u8,
    },
    /// Below it, and its own address is in the word there (variant II): x86.
    Below,
}

/// An architecture, as data: the sizes of kernel objects, the shape of page tables, and how
/// thread-local storage is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Architecture {
    /// Sizes of kernel objects.
    pub sizes: ObjectSizes,
    /// Levels and sizes of paging structures.
    pub geometry: Geometry,
    /// Where a thread's variables lie.
    pub tls: TlsVariant,
}
