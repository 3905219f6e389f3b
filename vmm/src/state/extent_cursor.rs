// SPDX-License-Identifier: BSD-2-Clause
//! A cursor over the extents of a space that lie in a range of addresses.

use page_tables::PageRange;

use super::extent::Extent;
use super::extent_node::ExtentNode;
use super::space::Space;

/// A walk over the extents that lie, even in part, in a range of pages, lowest first.
///
/// It remembers an address and borrows nothing, so that kernel calls, and changes to what lies
/// behind it, come between two steps. What is changed before it is not visited again.
///
/// ```text
///   range        ├──────────────────────────────┤
///   extents   ├────┤    ├───┤   ├──────────────────┤
///   parts        ├─┤    ├───┤   ├───────────────┤
/// ```
#[derive(Clone, Copy)]
pub(crate) struct ExtentCursor {
    range: PageRange,
    rest: Option<PageRange>,
}

/// An extent that lies in the range of a cursor, and the frames of it that do.
#[derive(Clone, Copy)]
pub(crate) struct Visited {
    /// All of the extent.
    pub extent: Extent,
    /// The number of its first frame in the range.
    pub first: usize,
    /// How many of its frames lie in the range, even in part: 0 if only a gap of a strided one
    /// does.
    pub count: usize,
}

/// What a cursor comes to.
pub(crate) enum Piece<'p> {
    /// An extent that is in no window.
    Extent(Visited),
    /// A window; pages of it may lie outside the range, or all of them.
    Window(&'p ExtentNode<'p>),
}

impl Visited {
    /// The frames in the range, as an extent of their own.
    pub fn part(&self) -> Extent {
        self.extent.part(self.first, self.count)
    }
}

impl ExtentCursor {
    /// A walk over the extents in `range`.
    #[inline(always)]
    pub fn over(range: PageRange) -> ExtentCursor {
        ExtentCursor { range, rest: Some(range) }
    }

    /// The next extent; the cursor goes past it. O(log extents), or O(1) behind the one used last.
    #[inline(always)]
    pub fn next(&mut self, space: &Space<'_>) -> Option<Visited> {
        let rest = self.rest?;
        let Some(extent) = space.extents().first_in(rest) else {
            self.rest = None;
            return None;
        };
        let (first, count) = extent.indices_in(rest);
        self.go_to(extent.end());
        Some(Visited { extent, first, count })
    }

    /// The next extent, or the window that it is in; the cursor goes past it. O(log extents), or
    /// O(1) behind the one used last.
    #[inline(always)]
    pub fn next_piece<'p>(&mut self, space: &Space<'p>) -> Option<Piece<'p>> {
        let rest = self.rest?;
        let Some(node) = space.extents().node_in(rest) else {
            self.rest = None;
            return None;
        };
        self.go_to(node.end());
        if node.is_window() {
            return Some(Piece::Window(node));
        }
        let extent = node.info();
        let (first, count) = extent.indices_in(rest);
        Some(Piece::Extent(Visited { extent, first, count }))
    }

    /// Goes back or forth to an address in its range, which a page begins at: what lies before it
    /// is not visited (again).
    pub fn go_to(&mut self, address: usize) {
        self.rest = self.range.from(address);
    }
}
