// SPDX-License-Identifier: BSD-2-Clause
//! Where the manager's own memory comes from.

use page_tables::PageRange;
use untyped_alloc::Frames;

use crate::types::error::NodeKind;

/// What one step may take from the pools: a token for nodes that were made ready.
///
/// The pools hold this much, at the least, before a step takes any: enough for the step, and then
/// for the growth of the book-keeping by a page for each kind of node. So growing never needs to
/// grow. Who takes nodes asks for the token, so a refill that is forgotten does not compile; and
/// debug builds count, so a step that takes more than the token promises fails in every suite. In
/// release builds it is nothing.
#[must_use]
pub(crate) struct Reserve {
    #[cfg(debug_assertions)]
    left: Nodes,
}

/// Nodes that a step may still take.
#[cfg(debug_assertions)]
struct Nodes {
    regions: usize,
    extents: usize,
    tables: usize,
}

impl Reserve {
    /// Regions: a reservation's two ends, or a region and a temporary one of the manager's own.
    pub const REGIONS: usize = 4;
    /// Extents: one to be recorded, one for each end of a range that is split, one for each of
    /// two steps that may be refused in their midst; and one for the book-keeping's page.
    pub const EXTENTS: usize = 8;
    /// Paging structures: an extent of 256 small pages lies below two tables, and on x86_64 these
    /// below two of each level above.
    pub const TABLES: usize = 8;
    /// Page tables of one level that are held back at the most: for when memory is out, and pages
    /// are ready that can be mapped only with a table more. 16 KiB.
    pub const MAX_HELD_TABLES: usize = 4;
    /// Groups of reference counts: 256 frames in consecutive slots lie in nine at the most.
    pub const REFCOUNTS: usize = 9;
    /// Records of copied capabilities.
    pub const CAP_COPIES: usize = 2;

    /// Of pools that were just brought above the reserve.
    #[inline(always)]
    pub fn full() -> Reserve {
        Reserve::as_it_is()
    }

    /// Of pools as they are: for a step that gives memory back or undoes, and takes what there is.
    #[inline(always)]
    pub fn as_it_is() -> Reserve {
        Reserve {
            #[cfg(debug_assertions)]
            left: Nodes { regions: Self::REGIONS, extents: Self::EXTENTS, tables: Self::TABLES },
        }
    }

    /// A region's node is taken.
    #[inline(always)]
    pub fn spend_region(&mut self) {
        #[cfg(debug_assertions)]
        spend(&mut self.left.regions);
    }

    /// An extent's node is taken.
    #[inline(always)]
    pub fn spend_extent(&mut self) {
        #[cfg(debug_assertions)]
        spend(&mut self.left.extents);
    }

    /// An extent's node that was taken is back.
    #[inline(always)]
    pub fn credit_extent(&mut self) {
        #[cfg(debug_assertions)]
        {
            self.left.extents += 1;
        }
    }

    /// A table's node is taken.
    #[inline(always)]
    pub fn spend_table(&mut self) {
        #[cfg(debug_assertions)]
        spend(&mut self.left.tables);
    }
}

#[cfg(debug_assertions)]
fn spend(left: &mut usize) {
    assert!(*left != 0, "one step takes more than the reserve holds");
    *left -= 1;
}

/// Where the next page of nodes comes from.
pub(crate) struct Bookkeeping {
    /// Pages given at boot that are still unused.
    pub boot: Option<PageRange>,
    /// What is left of the region of our own that pages are mapped in.
    pub mapped: Option<PageRange>,
    /// Frames for book-keeping that are not mapped yet.
    pub frames: Option<Frames>,
    /// Frames taken for book-keeping so far, mapped or not.
    pub frames_taken: usize,
    /// Of them, those that were ready in a batch of callers' frames.
    pub ready_frames_taken: usize,
    /// Of them, those that are mapped.
    pub mapped_pages: usize,
}

/// A kind of node of this crate or of the allocator's.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Allocator(untyped_alloc::NodeKind),
    Own(NodeKind),
    /// Shelves for open blocks, which nobody must have.
    Shelves,
    /// Nodes for copies that are made one by one, which nobody must have either.
    SingleCopies,
}

/// Takes the first page off a range.
pub(crate) fn split_first(range: &mut Option<PageRange>) -> Option<PageRange> {
    let whole = (*range)?;
    *range = whole.part(1, whole.pages() - 1);
    whole.part(0, 1)
}
