// SPDX-License-Identifier: BSD-2-Clause
//! A site: what must be known of a region to commit pages in it.
//!
//! It is found out once for a request. The manager keeps the one that it used last, as requests for
//! single pages mostly go to the same region again: it holds as long as the site's space has no
//! change but of its extents (invariant I29).

use page_tables::VirtAddr;
use untyped_alloc::{CachePolicy, Frames, Mobility, Rights};

use super::extent::Extent;
use super::region::Region;
use super::space::Space;
use crate::types::ids::SpaceId;

/// What must be known of a region to commit pages in it.
#[derive(Clone, Copy)]
pub(crate) struct Site<'p> {
    pub space: &'p Space<'p>,
    pub region: &'p Region<'p>,
    /// Where the pages between its guards start and end, in bytes.
    pub low: usize,
    pub high: usize,
    /// The rights that its pages are mapped with.
    pub rights: Rights,
    pub cache: CachePolicy,
    /// What batches its frames are taken from.
    pub mobility: Mobility,
    /// A caller may map its pages one by one.
    pub callers: bool,
    /// Behind each page comes a guard: it is an arena of IPC buffers.
    pub strided: bool,
    /// The changes of its space, as they were when it was found out.
    pub changes: u64,
}

impl Site<'_> {
    /// Whether a page of a space can be committed here, as far as it depends on the region.
    #[inline(always)]
    pub fn has(&self, space: SpaceId, address: usize) -> bool {
        self.low <= address && address < self.high && self.space.id.get() == space
    }

    /// Whether what was found out still holds.
    #[inline(always)]
    pub fn is_valid(&self) -> bool {
        self.changes == self.space.changes()
    }

    /// The extent of a fresh frame that is mapped at `start`.
    #[inline(always)]
    pub fn page(&self, start: VirtAddr, frames: Frames) -> Extent {
        let fresh = Extent::fresh(start, frames, self.rights, self.cache);
        Extent { strided: self.strided, ..fresh }
    }
}
