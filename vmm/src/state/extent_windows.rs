// SPDX-License-Identifier: BSD-2-Clause
//! The windows among the extents of a space: pages that come, change and go one by one.

use page_tables::VirtAddr;
use untyped_alloc::Frames;

use super::extent::Extent;
use super::extent_neighbours::{Last, Unlinked};
use super::extent_node::ExtentNode;
use super::extents::Extents;
use super::window::{numbers, Window};
use crate::types::mapping::Source;

impl<'p> Extents<'p> {
    /// Enters a page in the window of `node`, which took it; an extent of one page becomes a window
    /// in `window`, which is not needed otherwise.
    #[inline]
    pub fn enter_page(
        &mut self,
        node: &'p ExtentNode<'p>,
        window: Option<&'p Window<'p>>,
        page: &Extent,
    ) {
        if let Some(window) = window {
            node.widen(window);
        }
        self.enter(node, &Extent { frames: Frames { count: 1, ..page.frames }, ..*page });
    }

    /// Enters a page of the space's own, number `index` of its block, in the window of a node, where
    /// pages of its block are entered again and again.
    #[inline(always)]
    pub fn fill(&mut self, window: &'p ExtentNode<'p>, index: usize, page: &Extent) {
        window.enter_at(index, page);
        self.totals.own_more(page.bytes());
        self.no_longer_clear(page.start);
    }

    /// The same, for a page that is a copy's.
    #[inline(always)]
    pub fn fill_with_copy(&mut self, window: &'p ExtentNode<'p>, page: &Extent) {
        window.enter_one(page);
        self.totals.count(page, 1, true);
        self.no_longer_clear(page.start);
    }

    /// Forgets the node used last where a page at an address may be what is behind it: not all up
    /// to `clear_to` is free any more.
    #[inline(always)]
    fn no_longer_clear(&self, address: VirtAddr) {
        if self.last.get().is_some_and(|last| address.bits() < last.clear_to) {
            self.last.set(None);
        }
    }

    /// The node of a page at an address that is recorded by itself: a window, or an extent of it
    /// alone.
    pub fn recorded_alone_at(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        self.covering(address).filter(|node| node.is_window() || node.count() == 1)
    }

    /// Makes a window of an extent of one page.
    pub fn widen(&mut self, node: &'p ExtentNode<'p>, window: &'p Window<'p>) {
        node.widen(window);
    }

    /// Makes frames `first..first + count` of an extent, which lie in one block, a window: its
    /// node. If they are not all, that is the first of `nodes`; if some of the others lie on either
    /// side, the second is needed too.
    pub fn break_up(
        &mut self,
        extent: &Extent,
        (first, count): (usize, usize),
        window: &'p Window<'p>,
        nodes: [Option<&'p ExtentNode<'p>>; 2],
    ) -> Option<&'p ExtentNode<'p>> {
        let whole = self.covering(extent.start)?;
        let [node, mut behind] = nodes;
        let Some(node) = node else {
            whole.widen(window);
            return Some(whole);
        };
        // Something is left, so that no node leaves the tree.
        let unlinked = self.remove_range(extent, first, count, &mut behind);
        debug_assert!(unlinked.is_none());
        let part = extent.part(first, count);
        node.write(part);
        node.widen(window);
        self.put(node);
        self.totals.count(&part, count, true);
        Some(node)
    }

    /// Makes a window the extent that its pages are; returns the window, which is free then.
    pub fn fold(&mut self, node: &'p ExtentNode<'p>, extent: Extent) -> Option<&'p Window<'p>> {
        let window = node.take_window();
        node.write(extent);
        window
    }

    /// The window that a page at an address is in.
    pub fn window_at(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        self.covering(address).filter(|node| node.is_window())
    }

    /// Takes page number `index`, of `bytes` and the space's own, out of a window. Returns the node
    /// if that has left the tree, with its window.
    #[inline(always)]
    pub fn take_out(
        &mut self,
        node: &'p ExtentNode<'p>,
        index: usize,
        bytes: usize,
    ) -> Option<Unlinked<'p>> {
        self.totals.own_less(bytes);
        self.take_page_out(node, index)
    }

    /// The same, of a page that is a copy's.
    #[inline(always)]
    pub fn take_copy_out(
        &mut self,
        node: &'p ExtentNode<'p>,
        index: usize,
        bytes: usize,
    ) -> Option<Unlinked<'p>> {
        self.totals.count_frames(Source::Copy, bytes, 1, false);
        self.take_page_out(node, index)
    }

    #[inline(always)]
    fn take_page_out(&mut self, node: &'p ExtentNode<'p>, index: usize) -> Option<Unlinked<'p>> {
        // The window may begin or end elsewhere.
        self.last.set(None);
        match node.leave_pages(1 << index) {
            true => None,
            false => self.unlink(node),
        }
    }

    /// Puts a page of the space's own in the place of one in a window.
    pub fn replace_in(&mut self, node: &'p ExtentNode<'p>, page: &Extent, by: &Extent) {
        self.totals.count(page, 1, false);
        self.totals.count(by, 1, true);
        node.enter_one(by);
    }

    /// Records the rights of a page in a window, number `index` of its block.
    #[inline(always)]
    pub fn set_rights_in(&mut self, node: &'p ExtentNode<'p>, index: usize, page: &Extent) {
        node.enter_at(index, page);
    }

    /// Takes pages out of a window, number n of its block where bit n is set. Returns the node if
    /// that has left the tree, with its window.
    pub fn remove_pages(&mut self, node: &'p ExtentNode<'p>, pages: u16) -> Option<Unlinked<'p>> {
        for source in [Source::Owned, Source::Copy] {
            let sources = numbers(pages).filter_map(|number| node.frame_of_page(number));
            let count = sources.filter(|&(_, theirs)| theirs == source).count();
            self.totals.count_frames(source, count << node.size_bits(), count, false);
        }
        if !node.leave_pages(pages) {
            return self.unlink(node);
        }
        self.last.set(Some(Last::at(node)));
        None
    }
}
