//! Where pages that are mapped one behind the other go on.

use page_tables::Table;
use untyped_alloc::{CachePolicy, FrameBatch, Rights};

use crate::state::extents::ExtentNode;
use crate::state::region::Region;
use crate::state::space::Space;

/// In place of an address: there is no streak. Callers may well ask for this address.
pub(crate) const NO_STREAK: usize = usize::MAX;

/// What the pages of a streak have in common. Where the next one goes is kept beside it.
#[derive(Clone, Copy)]
pub(crate) struct Streak<'p> {
    pub space: &'p Space<'p>,
    pub region: &'p Region<'p>,
    /// The run that they make longer.
    pub extent: &'p ExtentNode<'p>,
    /// What its frames are of.
    pub batch: FrameBatch<'p>,
    /// The page table that they are in, which is not empty.
    pub table: &'p Table<'p>,
    /// Bytes from one page's address to the next one's.
    pub step: usize,
    /// The address before which the streak ends.
    pub end: usize,
    pub rights: Rights,
    pub cache: CachePolicy,
}
