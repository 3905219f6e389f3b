// SPDX-License-Identifier: BSD-2-Clause
//! The direct map: addresses of the manager's own space at which the aliases of frames are mapped.
//!
//! ```text
//!   physical addresses    ├── RAM ──────────────┤ gap ├── RAM ──┤
//!   direct map         ├──┴─────────────────────┴─────┴─────────┴──┤
//!                      a page table's line                another one
//! ```

use page_tables::{PageRange, VirtAddr};

use super::extent::offset;

/// Where which frame goes.
#[derive(Clone, Copy)]
pub(crate) struct DirectMap {
    range: PageRange,
    /// The physical address whose place is the first of the range.
    paddr: usize,
    /// The addresses for which page tables are still to be made.
    pub without_tables: Option<PageRange>,
    /// Page tables that were made for it, of the deepest level.
    pub tables: usize,
}

impl DirectMap {
    /// A direct map of the physical addresses from `paddr` on, without page tables yet.
    pub fn new(range: PageRange, paddr: usize) -> DirectMap {
        DirectMap { range, paddr, without_tables: Some(range), tables: 0 }
    }

    /// Its addresses.
    pub fn range(&self) -> PageRange {
        self.range
    }

    /// Whether all page tables are there.
    pub fn is_complete(&self) -> bool {
        self.without_tables.is_none()
    }

    /// All page tables below `address` are there.
    pub fn has_tables_to(&mut self, address: usize) {
        self.without_tables = self.range.from(address);
    }

    /// Where the frame at a physical address goes.
    #[inline]
    pub fn address_of(&self, paddr: usize) -> Option<VirtAddr> {
        let distance = paddr.checked_sub(self.paddr)?;
        (distance < self.range.end() - self.range.start().bits())
            .then(|| offset(self.range.start(), distance))
    }

    /// The physical address whose place is `address`, which is in it.
    pub fn paddr_of(&self, address: VirtAddr) -> usize {
        self.paddr + (address.bits() - self.range.start().bits())
    }
}
