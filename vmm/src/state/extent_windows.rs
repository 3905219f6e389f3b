// SPDX-License-Identifier: BSD-2-Clause
//! The windows among the extents of a space: pages that come, change and go one by one.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::Frames;

use super::extent::Extent;
use super::extent_neighbours::Last;
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

    /// Enters a page of the space's own in the window of a node, where pages of its block are
    /// entered again and again.
    #[inline(always)]
    pub fn fill(&mut self, window: &'p ExtentNode<'p>, address: VirtAddr, page: &Extent) {
        window.enter_one(page);
        self.totals.own_more(page.bytes());
        if self.last.get().is_some_and(|last| last.is_before(address)) {
            // Not all is free behind that one any more.
            self.last.set(None);
        }
    }

    /// Makes a window of an extent of one page.
    pub fn widen(&mut self, node: &'p ExtentNode<'p>, window: &'p Window<'p>) {
        node.widen(window);
    }

    /// The node that the first extent in `range` is in, if that is a window.
    #[inline]
    pub fn window_in(&self, range: PageRange) -> Option<&'p ExtentNode<'p>> {
        let start = range.start();
        let node = match self.last_covering(start) {
            Some(node) => node,
            None => match self.search(start) {
                Ok(node) => node,
                Err(next) => next.filter(|next| next.start().bits() < range.end())?,
            },
        };
        node.is_window().then_some(node)
    }

    /// Takes pages out of a window, number n of its block where bit n is set. Returns the node if
    /// that is free now, with its window.
    pub fn remove_pages(
        &mut self,
        node: &'p ExtentNode<'p>,
        pages: u16,
    ) -> Option<&'p ExtentNode<'p>> {
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
