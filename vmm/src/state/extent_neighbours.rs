// SPDX-License-Identifier: BSD-2-Clause
//! What is known of what lies beside an extent: the nodes around an address, the node that was used
//! last, and one that has left.
//!
//! ```text
//!   ├─ last.node ─┤        nothing        ├─ last.next ─┤
//!   ├─── before ──┤    ▲  an address      ├─── after ───┤
//!                 └ clear_to up to here ──┘
//! ```

use core::ops::Range;

use page_tables::VirtAddr;

use super::extent::Extent;
use super::extent_node::ExtentNode;

/// The nodes beside an address where nothing is mapped.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'p> {
    /// The window in the midst of which it is.
    pub(super) around: Option<&'p ExtentNode<'p>>,
    /// Else the nodes before and behind it.
    pub(super) before: Option<&'p ExtentNode<'p>>,
    pub(super) after: Option<&'p ExtentNode<'p>>,
}

impl<'p> Beside<'p> {
    #[inline(always)]
    pub(super) fn in_window(node: &'p ExtentNode<'p>) -> Beside<'p> {
        Beside { around: Some(node), before: None, after: None }
    }

    /// The addresses around a node at the address up to where others are, in bytes.
    pub fn room(&self) -> Range<usize> {
        let low = self.before.map_or(0, ExtentNode::end);
        low..self.after.map_or(usize::MAX, |after| after.start().bits())
    }

    /// The extent before `next`, which begins at the address, if `next` goes on where it ends in
    /// every respect that an extent knows of.
    #[inline(always)]
    pub fn continued_by(&self, next: &Extent) -> Option<&'p ExtentNode<'p>> {
        self.before.filter(|before| before.continues_with(next))
    }

    /// The node whose window takes `page`, which is at the address and has a capability of its own:
    /// a window, or an extent of one page that can become one. Its other pages lie from `low` to
    /// `high` (bytes), unless the address is in their midst.
    #[inline(always)]
    pub fn taking(&self, page: &Extent, low: usize, high: usize) -> Option<&'p ExtentNode<'p>> {
        let near = |node: &&'p ExtentNode<'p>| {
            node.takes(page) && low <= node.start().bits() && node.end() <= high
        };
        self.around.or_else(|| self.before.filter(near)).or_else(|| self.after.filter(near))
    }
}

/// A node, and what is known of what lies behind it.
#[derive(Clone, Copy)]
pub(super) struct Last<'p> {
    /// Always in the tree.
    pub node: &'p ExtentNode<'p>,
    /// An address up to which nothing lies behind it. If that is behind its end, it is where the
    /// next node begins.
    pub clear_to: usize,
    /// The next node, where `clear_to` is behind the end; always in the tree.
    pub next: Option<&'p ExtentNode<'p>>,
}

impl<'p> Last<'p> {
    /// A node that was looked up for itself.
    #[inline(always)]
    pub fn at(node: &'p ExtentNode<'p>) -> Last<'p> {
        Last { node, clear_to: node.end(), next: None }
    }

    /// Whether nothing lies at `address`, and this is the node before it.
    #[inline(always)]
    pub fn is_before(&self, address: VirtAddr) -> bool {
        self.node.end() <= address.bits() && address.bits() < self.clear_to
    }
}

/// A node that has left the tree of a space. Its block may be open: whoever frees the node closes
/// that first.
#[must_use = "its block is to be closed, and the node freed"]
pub(crate) struct Unlinked<'p>(&'p ExtentNode<'p>);

impl<'p> Unlinked<'p> {
    #[inline(always)]
    pub(super) fn new(node: &'p ExtentNode<'p>) -> Unlinked<'p> {
        Unlinked(node)
    }

    /// The node, whose block is not open, or is closed with this.
    #[inline(always)]
    pub fn of_closed_block(self) -> &'p ExtentNode<'p> {
        self.0
    }
}
