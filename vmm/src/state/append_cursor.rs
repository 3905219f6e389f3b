// SPDX-License-Identifier: BSD-2-Clause
//! An append cursor: where pages that are mapped one behind the other go on.
//!
//! Whether a page may be mapped, and with what rights in which table, is found out for its first
//! page and holds for those that follow, up to where the region, the page table, the extent or the
//! quota ends: as long as the space is unchanged (invariant I14).
//!
//! ```text
//!   region   ├───────────────────────────────┤ guard
//!   extent      ├──────────┤
//!   table    ──────────────────────────┤
//!   cursor                 at ───► end
//! ```

use page_tables::Table;
use untyped_alloc::{CachePolicy, FrameBatch, Rights};

use super::extent_node::ExtentNode;
use super::region::Region;
use super::space::Space;
use crate::types::fault::FaultClass;

/// What the pages that are appended have in common, and where the next one goes. `B` is the batch
/// that their frames are of; it is the allocator's, and only handed on here.
#[derive(Clone, Copy)]
pub(crate) struct AppendCursor<'p, B = FrameBatch<'p>> {
    /// The space, watched for changes since all this was found out. It stays as long as it is
    /// unchanged.
    pub space: &'p Space<'p>,
    /// The region, which allows it.
    pub region: &'p Region<'p>,
    /// The extent that they make longer.
    pub extent: &'p ExtentNode<'p>,
    /// The batch that its frames are of.
    pub batch: B,
    /// The page table that they are in. It is not empty: pages of the space keep it so.
    pub table: &'p Table<'p>,
    /// Bytes from one page's address to the next one's.
    pub step: usize,
    /// The address of the next page, in bytes.
    pub at: usize,
    /// The address before which the cursor ends.
    pub end: usize,
    /// The rights that the region's pages are mapped with.
    pub rights: Rights,
    /// How they are cached.
    pub cache: CachePolicy,
    /// What the touch of such a page is that the rights allow; `None` until one was touched.
    pub class: Option<FaultClass>,
}

impl<B> AppendCursor<'_, B> {
    /// Where a cursor ends that begins at `at` and goes on by `step` bytes: before the first of the
    /// `limits` (bytes), and after `room` pages.
    #[inline(always)]
    pub fn end(at: usize, step: usize, room: usize, limits: [usize; 2]) -> usize {
        at.saturating_add(room.saturating_mul(step)).min(limits[0]).min(limits[1])
    }

    /// Whether what was found out still holds, and there is a page left.
    #[inline(always)]
    pub fn is_valid(&self) -> bool {
        self.at < self.end && self.space.is_unchanged()
    }

    /// Goes past pages that were mapped.
    #[inline(always)]
    pub fn advance(&mut self, pages: usize) {
        self.at += pages * self.step;
    }
}
