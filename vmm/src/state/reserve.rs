//! Where the manager's own memory comes from.

use page_tables::PageRange;
use untyped_alloc::Frames;

use crate::types::error::NodeKind;

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
