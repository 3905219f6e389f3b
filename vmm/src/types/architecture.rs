// SPDX-License-Identifier: BSD-2-Clause
//! An architecture as data.

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

/// The bytes of a page of the smallest size, on each architecture that there is.
pub const PAGE_BYTES: usize = 4096;

/// An architecture, as data: the sizes of kernel objects and the shape of page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Architecture {
    /// Sizes of kernel objects.
    pub sizes: ObjectSizes,
    /// Levels and sizes of paging structures.
    pub geometry: Geometry,
}
