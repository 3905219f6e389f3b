//! Where the manager's own memory comes from.

use page_tables::PageRange;
use untyped_alloc::Frames;

use crate::types::error::NodeKind;

/// Nodes that the pools hold, at the least, before a step takes any.
///
/// One step of an operation, and then the growth of the book-keeping by a page for each kind of
/// node, must find enough: so growing never needs to grow.
pub(crate) struct Reserve {
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
    /// Groups of reference counts: 256 frames in consecutive slots lie in nine at the most.
    pub const REFCOUNTS: usize = 9;
    /// Records of copied capabilities.
    pub const CAP_COPIES: usize = 2;

    /// Of pools that were just brought above the reserve.
    pub fn full() -> Reserve {
        Reserve::as_it_is()
    }

    /// Of pools as they are: for a step that gives memory back or undoes, and takes what there is.
    pub fn as_it_is() -> Reserve {
        Reserve { regions: Self::REGIONS, extents: Self::EXTENTS, tables: Self::TABLES }
    }

    /// A region's node is taken.
    pub fn spend_region(&mut self) {
        spend(&mut self.regions);
    }

    /// An extent's node is taken.
    pub fn spend_extent(&mut self) {
        spend(&mut self.extents);
    }

    /// An extent's node that was taken is back.
    pub fn credit_extent(&mut self) {
        self.extents += 1;
    }

    /// A table's node is taken.
    pub fn spend_table(&mut self) {
        spend(&mut self.tables);
    }
}

fn spend(left: &mut usize) {
    debug_assert!(*left != 0, "one step takes more than the reserve holds");
    *left = left.saturating_sub(1);
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
    /// Of them, those that are mapped.
    pub mapped_pages: usize,
}

/// A kind of node of this crate or of the allocator's.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Allocator(untyped_alloc::NodeKind),
    Own(NodeKind),
}

/// Takes the first page off a range.
pub(crate) fn split_first(range: &mut Option<PageRange>) -> Option<PageRange> {
    let whole = (*range)?;
    *range = whole.part(1, whole.pages() - 1);
    whole.part(0, 1)
}
