// SPDX-License-Identifier: BSD-2-Clause
//! A region of plain memory, and what must be in each of its pages.
//!
//! Two pages that show the same frame hold the same [`Stamp`]; a copy-on-write clone has stamps of
//! its own from the start, whatever the manager shares beneath. So a page is shared exactly if its
//! stamp has more than one holder.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use vmm::{RegionId, Rights, SpaceId};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// What was written to a frame last; 0 when nothing was since it came.
pub type Stamp = Rc<Cell<u32>>;

/// A page that is mapped.
#[derive(Clone)]
pub struct Page {
    /// What is in it.
    pub stamp: Stamp,
    /// Its rights.
    pub rights: Rights,
}

impl Page {
    /// A clear page.
    pub fn clear(rights: Rights) -> Page {
        Page { stamp: Rc::new(Cell::new(0)), rights }
    }

    /// Whether another page shows the same frame.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.stamp) > 1
    }
}

/// A region of plain memory.
pub struct Area {
    /// Its id.
    pub id: RegionId,
    /// Its first address that is no guard, in bytes.
    pub first: usize,
    /// The rights its fresh pages get.
    pub rights: Rights,
    /// Whether it is filled by faults.
    pub on_demand: bool,
    /// What is mapped in it.
    pub pages: Vec<Option<Page>>,
}

impl Area {
    /// The space it lies in.
    pub fn space(&self) -> SpaceId {
        self.id.space()
    }

    /// The address of a page, in bytes.
    pub fn address(&self, page: usize) -> usize {
        self.first + page * PAGE
    }

    /// Whether any page of it is shared with another area.
    pub fn is_shared(&self) -> bool {
        self.pages.iter().flatten().any(Page::is_shared)
    }

    /// Returns the longest extent around `page` whose pages are all mapped, or all not.
    pub fn extent_around(&self, page: usize) -> Range<usize> {
        let alike = |other: &Option<Page>| other.is_some() == self.pages[page].is_some();
        let before = self.pages[..page].iter().rev().take_while(|other| alike(other)).count();
        let after = self.pages[page..].iter().take_while(|other| alike(other)).count();
        page - before..page + after
    }
    /// The stamps of those pages of a part that are mapped.
    pub fn stamps(&self, part: Range<usize>) -> Vec<u32> {
        let stamp = |page: &Option<Page>| page.as_ref().map(|page| page.stamp.get());
        self.pages[part].iter().filter_map(stamp).collect()
    }
}
