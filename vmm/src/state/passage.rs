// SPDX-License-Identifier: BSD-2-Clause
//! A passage: what was found out of the two regions between which a single page was shared last.
//!
//! Requests to share single pages mostly go from one region into another again and again. What both
//! are is looked at for the first page, and holds as long as the regions of both spaces are
//! unchanged (invariant I48).

use super::site::Site;
use super::space::Space;
use crate::types::ids::{RegionId, SpaceId};

/// Two regions of which the pages of one may be shared into the other, page by page.
#[derive(Clone, Copy)]
pub(crate) struct Passage<'p> {
    /// The space that pages are shared of.
    pub from: &'p Space<'p>,
    /// Where the pages between the guards of its region start and end, in bytes.
    pub from_low: usize,
    pub from_high: usize,
    /// The changes of that space, as they were when it was found out.
    pub from_changes: u64,
    /// The region that they come into, by its id.
    pub region: RegionId,
    /// What must be known of it, and the changes of its space.
    pub site: Site<'p>,
}

impl Passage<'_> {
    /// Whether it is the one of the page at `start` (bytes) of a space, and of a region.
    #[inline(always)]
    pub fn leads(&self, from: SpaceId, start: usize, into: RegionId) -> bool {
        self.from_low <= start
            && start < self.from_high
            && self.region == into
            && self.from.id.get() == from
    }

    /// Whether what was found out still holds.
    #[inline(always)]
    pub fn is_valid(&self) -> bool {
        self.from_changes == self.from.changes() && self.site.is_valid()
    }
}
