// SPDX-License-Identifier: BSD-2-Clause
//! The extents of one space, ordered by address.
//!
//! An extent is what the manager remembers about mapped pages: a node of 28 bytes on IA32 for up to
//! 256 of them. Extents never overlap. Pages that are mapped one by one at scattered addresses are
//! extents of one page each; of these, up to sixteen neighbours share a node and a *window* of 92
//! bytes (see `window.rs`).
//!
//! ```text
//!   by_start   ├── extent ──┤   ├e┤ ├e├e┤   ├e┤      ├── extent ──┤
//!   nodes      1                2 └── window ─┘      3
//! ```

use core::cell::Cell;
use core::ops::Range;

use intrusive_collections::rbtree::CursorMut;
use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CPtr, Frames, Rights};

use super::extent::Extent;
use super::extent_neighbours::{Beside, Last, Unlinked};
use super::extent_node::ExtentNode;
use super::extent_totals::Totals;
use crate::types::mapping::Source;

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByStart<'p> = &'p ExtentNode<'p>: ExtentNode<'p> { by_start => RBTreeLink }
    );
}
use adapters::ByStart;

impl<'a> KeyAdapter<'a> for ByStart<'_> {
    type Key = VirtAddr;
    fn get_key(&self, extent: &'a ExtentNode<'_>) -> VirtAddr {
        extent.start()
    }
}

/// An extent of one frame, of the space's own, about to be taken out.
pub(crate) struct Single<'a, 'p> {
    pub frame: CPtr,
    cursor: CursorMut<'a, ByStart<'p>>,
    last: &'a Cell<Option<Last<'p>>>,
    totals: &'a Totals,
}

impl<'p> Single<'_, 'p> {
    /// Takes it out of the tree; it is of `bytes`.
    #[inline(always)]
    pub fn take_out(mut self, bytes: usize) -> Option<Unlinked<'p>> {
        // What was used last, and what is behind it, is always in the tree: this may be either.
        self.last.set(None);
        self.totals.own_less(bytes);
        self.cursor.remove().map(Unlinked::new)
    }
}

/// The extents of one space.
pub(crate) struct Extents<'p> {
    by_start: RBTree<ByStart<'p>>,
    /// Where the last look-up ended: what comes next is often behind it or in it.
    pub(super) last: Cell<Option<Last<'p>>>,
    pub(super) totals: Totals,
}

impl<'p> Extents<'p> {
    pub fn new() -> Self {
        Extents {
            by_start: RBTree::new(ByStart::new()),
            last: Cell::new(None),
            totals: Totals::default(),
        }
    }

    /// What they are together.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The node used last, if it covers an address.
    #[inline(always)]
    pub(super) fn last_covering(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        match self.last.get() {
            Some(last) if last.node.covers(address) => Some(last.node),
            _ => None,
        }
    }

    /// The node that covers an address; it is the one used last then.
    #[inline(always)]
    pub(super) fn covering(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        if let Some(node) = self.last_covering(address) {
            return Some(node);
        }
        let node = self.by_start.upper_bound(Bound::Included(&address)).clone_pointer()?;
        if !node.covers(address) {
            return None;
        }
        self.last.set(Some(Last::at(node)));
        Some(node)
    }

    /// Enters an extent in `node`; returns it if it was not needed: inside a window, each page of
    /// the extent becomes one of the window's.
    #[must_use = "a node that was not needed is free"]
    #[inline(always)]
    pub fn insert(
        &mut self,
        node: &'p ExtentNode<'p>,
        extent: Extent,
    ) -> Option<&'p ExtentNode<'p>> {
        // It is in no tree yet, so no look-up finds it if it is not needed.
        node.write(extent);
        if let Some(window) = self.link(node) {
            self.enter(window, &extent);
            return Some(node);
        }
        self.totals.count(&extent, extent.frames.count, true);
        None
    }

    /// Puts a node where it belongs in the tree, unless there is a window around it: that one.
    #[inline(never)]
    fn link(&mut self, node: &'p ExtentNode<'p>) -> Option<&'p ExtentNode<'p>> {
        let start = node.start();
        let mut before = self.by_start.upper_bound_mut(Bound::Included(&start));
        let around = before.as_cursor().clone_pointer();
        if let Some(window) = around.filter(|node| node.covers(start)) {
            return Some(window);
        }
        before.insert_after(node);
        if let Some(last) = self.last.get().filter(|last| last.is_before(start)) {
            // Elsewhere it changes nothing behind the last node; there it is the last one now.
            self.last.set(Some(Last { node, ..last }));
        }
        None
    }

    /// Enters the pages of an extent in a window, which is likely to be next.
    #[inline(always)]
    pub(super) fn enter(&self, window: &'p ExtentNode<'p>, extent: &Extent) {
        debug_assert!(window.is_window(), "extents never overlap");
        let is_last = self.last.get().is_some_and(|last| core::ptr::eq(last.node, window));
        window.enter(extent);
        self.totals.count(extent, extent.frames.count, true);
        // What was known to be free behind another may have the extent in it now.
        if !is_last {
            self.last.set(Some(Last::at(window)));
        }
    }

    /// What is beside an address where nothing is mapped. Without a search where that was looked
    /// for just now.
    #[inline(always)]
    pub fn beside(&self, address: VirtAddr) -> Beside<'p> {
        match self.last.get() {
            Some(last) if last.is_before(address) => {
                Beside { around: None, before: Some(last.node), after: last.next }
            }
            Some(last) if last.node.covers(address) => Beside::in_window(last.node),
            _ => self.search_beside(address),
        }
    }

    #[inline(never)]
    fn search_beside(&self, address: VirtAddr) -> Beside<'p> {
        let after = self.by_start.lower_bound(Bound::Excluded(&address));
        let before = match after.is_null() {
            true => self.by_start.back().clone_pointer(),
            false => after.peek_prev().clone_pointer(),
        };
        match before.filter(|node| node.covers(address)) {
            Some(around) => Beside::in_window(around),
            None => Beside { around: None, before, after: after.clone_pointer() },
        }
    }

    /// The addresses around a node up to where others are, in bytes.
    pub fn room_around(&self, node: &ExtentNode<'p>) -> Range<usize> {
        let at = self.by_start.find(&node.start());
        let low = at.peek_prev().get().map_or(0, ExtentNode::end);
        let high = at.peek_next().get().map_or(usize::MAX, |next| next.start().bits());
        low..high
    }

    /// The first extent that lies, even in part, in `range`.
    pub fn first_in(&self, range: PageRange) -> Option<Extent> {
        let node = self.node_in(range)?;
        let first = node.from(range.start().max(node.start()));
        Some(first).filter(|extent| extent.start.bits() < range.end())
    }

    /// The node of the first extent that lies in `range`, or of a window around it.
    pub fn node_in(&self, range: PageRange) -> Option<&'p ExtentNode<'p>> {
        let start = range.start();
        if let Some(last) = self.last.get() {
            if last.node.covers(start) {
                return Some(last.node);
            }
            if last.node.end() <= start.bits() && range.end() <= last.clear_to {
                return None;
            }
        }
        match self.search(start) {
            Ok(node) => Some(node),
            Err(next) => next.filter(|next| next.start().bits() < range.end()),
        }
    }

    /// Whether nothing is mapped at an address; what is beside it need not be looked for then.
    #[inline]
    pub fn is_vacant(&self, address: VirtAddr) -> bool {
        if let Some(last) = self.last.get() {
            if last.node.covers(address) {
                return !last.node.has(address);
            }
            if last.is_before(address) {
                return true;
            }
        }
        self.search(address).map_or(true, |node| !node.has(address))
    }

    /// Searches for the node that covers an address, or else the next one. What it finds before or
    /// at the address is the one used last then, with what lies behind it.
    #[inline(always)]
    pub(super) fn search(
        &self,
        address: VirtAddr,
    ) -> Result<&'p ExtentNode<'p>, Option<&'p ExtentNode<'p>>> {
        let at = self.by_start.upper_bound(Bound::Included(&address));
        let Some(node) = at.clone_pointer() else {
            return Err(self.by_start.front().clone_pointer());
        };
        if node.covers(address) {
            self.last.set(Some(Last::at(node)));
            return Ok(node);
        }
        let next = at.peek_next().clone_pointer();
        let clear_to = next.map_or(usize::MAX, |next| next.start().bits());
        self.last.set(Some(Last { node, clear_to, next }));
        Err(next)
    }

    /// The extent of which a page is at an address.
    pub fn at(&self, address: VirtAddr) -> Option<Extent> {
        self.covering(address)?.at(address)
    }

    /// The extent that goes on across an address: it begins before and ends behind it. Where one is
    /// known to begin or end there, nothing is searched.
    pub fn across(&self, address: VirtAddr) -> Option<Extent> {
        let begins_before =
            |extent: &Extent| extent.start < address && address.bits() < extent.end();
        if let Some(last) = self.last.get() {
            if last.node.start() == address || last.node.end() == address.bits() {
                return None;
            }
            if last.node.covers(address) {
                return Some(last.node.from(address)).filter(begins_before);
            }
        }
        let before = self.by_start.upper_bound(Bound::Excluded(&address)).clone_pointer()?;
        let before = before.covers(address).then(|| before.from(address));
        before.filter(begins_before)
    }

    /// The capability that is mapped at an address.
    pub fn frame_at(&self, address: VirtAddr) -> Option<CPtr> {
        self.covering(address)?.frame_at(address)
    }

    /// The frame of a page of 2^`size_bits` bytes at an address, and whose it is, if one is mapped
    /// there and not under copy-on-write.
    #[inline(always)]
    pub fn plain_frame_at(&self, address: VirtAddr, size_bits: u8) -> Option<(CPtr, Source)> {
        self.covering(address)?.plain_frame_at(address, size_bits)
    }

    /// The extent used last, if it ends at `address` and is in no window; and up to where nothing
    /// lies behind it, as far as is known.
    pub fn last_ending_at(&self, address: VirtAddr) -> Option<(&'p ExtentNode<'p>, usize)> {
        let last = self.last.get()?;
        let ends = !last.node.is_window() && last.node.end() == address.bits();
        ends.then_some((last.node, last.clear_to))
    }

    /// The extent that ends at `address`, if it is in no window.
    pub fn ending_at(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        let before = match self.last_ending_at(address) {
            Some((last, _)) => last,
            None => self.by_start.upper_bound(Bound::Excluded(&address)).clone_pointer()?,
        };
        (!before.is_window() && before.end() == address.bits()).then_some(before)
    }

    /// Makes an extent of the space's own frames longer by those that go on where it ends: how many,
    /// and how many bytes that is.
    #[inline(always)]
    pub fn extend(&self, extent: &'p ExtentNode<'p>, (frames, bytes): (usize, usize)) {
        extent.lengthen(frames);
        self.totals.own_more(bytes);
    }

    /// Takes frames `first..first + count` out of the extent that starts where `extent` does. What
    /// is left before them keeps the node; what is left after them needs `spare`. Returns the node
    /// that has left the tree, if it has: with its window, if it had one.
    pub fn remove_range(
        &mut self,
        extent: &Extent,
        first: usize,
        count: usize,
        spare: &mut Option<&'p ExtentNode<'p>>,
    ) -> Option<Unlinked<'p>> {
        let node = self.covering(extent.start)?;
        if node.is_window() {
            let part = extent.part(first, count);
            self.totals.count(&part, count, false);
            if !node.leave(&part) {
                return self.unlink(node);
            }
            self.last.set(Some(Last::at(node)));
            return None;
        }
        if node.start() != extent.start {
            return None;
        }
        let after = extent.frames.count - first - count;
        self.totals.count(extent, count, false);
        match (first, after) {
            (0, 0) => return self.unlink(node),
            // The order among the extents stays: what is left starts inside the old extent.
            (0, _) => node.write(extent.part(count, after)),
            (_, 0) => node.write(extent.part(0, first)),
            _ => {
                node.write(extent.part(0, first));
                match spare.take() {
                    Some(rest) => {
                        rest.write(extent.part(first + count, after));
                        self.put(rest);
                    }
                    None => self.totals.count(extent, after, false),
                }
            }
        }
        // It may end earlier now, and what comes next is not known.
        self.last.set(Some(Last::at(node)));
        None
    }

    /// Puts the node of pages in the tree that were in another there before.
    pub(super) fn put(&mut self, node: &'p ExtentNode<'p>) {
        self.by_start.insert(node);
    }

    /// Takes a node out of the tree.
    pub(super) fn unlink(&mut self, node: &ExtentNode<'p>) -> Option<Unlinked<'p>> {
        // What was used last, and what is behind it, is always in the tree: this may be either.
        self.last.set(None);
        self.by_start.find_mut(&node.start()).remove().map(Unlinked::new)
    }

    /// The extent of one frame of 2^`size_bits` bytes, of the space's own, that is mapped at a
    /// page; `Err` if there is none: whether something else is there, which is the one used last
    /// then.
    #[inline(always)]
    pub fn single_at(&mut self, page: VirtAddr, size_bits: u8) -> Result<Single<'_, 'p>, bool> {
        // What was looked up just now and is none need not be looked for.
        if self.last_covering(page).is_some_and(|last| last.single(size_bits).is_none()) {
            return Err(true);
        }
        let cursor = self.by_start.upper_bound_mut(Bound::Included(&page));
        let Some(node) = cursor.get().filter(|node| node.covers(page)) else { return Err(false) };
        let Some(frame) = node.single(size_bits) else {
            self.last.set(cursor.as_cursor().clone_pointer().map(Last::at));
            return Err(true);
        };
        Ok(Single { frame, cursor, last: &self.last, totals: &self.totals })
    }

    /// Whether carving these frames out leaves something on both sides, and so needs a node.
    pub fn needs_spare(extent: &Extent, first: usize, count: usize) -> bool {
        first != 0 && first + count != extent.frames.count
    }

    /// Joins the extent at `start` with the one before it if they are really one, in no window, and
    /// if `one_batch` says that the frames of both came together; returns the node that has left
    /// the tree then, and where the extent begins that has become longer.
    pub fn join_before(
        &mut self,
        start: VirtAddr,
        one_batch: impl Fn(Frames) -> bool,
    ) -> Option<(Unlinked<'p>, VirtAddr)> {
        let cursor = self.by_start.find(&start);
        let (node, before) = (cursor.clone_pointer()?, cursor.peek_prev().clone_pointer()?);
        let joined = before.joined_with(node).filter(|joined| one_batch(joined.frames))?;
        let unlinked = self.unlink(node)?;
        before.write(joined);
        Some((unlinked, joined.start))
    }

    /// Records new rights for the whole extent that starts at `start`.
    pub fn set_rights(&mut self, start: VirtAddr, rights: Rights) {
        self.update(start, |extent| Extent { rights, ..extent });
    }

    /// Records that the whole extent that starts at `start` is given up.
    pub fn set_abandoned(&mut self, start: VirtAddr) {
        self.update(start, |extent| Extent { abandoned: true, ..extent });
    }

    /// Records whether the whole extent that starts at `start` is copy-on-write.
    pub fn set_cow(&mut self, start: VirtAddr, cow: bool) {
        self.update(start, |extent| Extent { cow, ..extent });
    }

    fn update(&mut self, start: VirtAddr, change: impl Fn(Extent) -> Extent) {
        if let Some(node) = self.covering(start) {
            node.update(start, change);
        }
    }

    /// The lowest extent, with its node.
    pub fn first(&self) -> Option<(&'p ExtentNode<'p>, Extent)> {
        let node = self.by_start.front().clone_pointer()?;
        Some((node, node.info()))
    }

    /// Takes the lowest extent out; with it comes the node that has left the tree, if it has.
    pub fn pop(&mut self) -> Option<(Option<Unlinked<'p>>, Extent)> {
        let (_, extent) = self.first()?;
        let unlinked = self.remove_range(&extent, 0, extent.frames.count, &mut None);
        Some((unlinked, extent))
    }

    /// Whether no other node than this is in a range of addresses, in bytes, not even in part.
    pub fn are_alone(&self, node: &ExtentNode<'p>, range: Range<usize>) -> bool {
        let mut others = self.by_start.iter().filter(|other| !core::ptr::eq(*other, node));
        others.all(|other| other.end() <= range.start || range.end <= other.start().bits())
    }

    /// Whether a node is in the tree.
    pub fn has_node(&self, node: &ExtentNode<'p>) -> bool {
        self.by_start.iter().any(|other| core::ptr::eq(other, node))
    }

    /// Every extent, by address.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + use<'_, 'p> {
        self.by_start.iter().flat_map(ExtentNode::extents)
    }

    /// What is wrong with the nodes, if anything is: where, and what should be so. O(nodes).
    pub fn check_nodes(&self) -> Option<(VirtAddr, &'static str)> {
        let (mut end, mut nodes) = (0, self.by_start.iter());
        nodes.find_map(|node| {
            let begins = end <= node.start().bits();
            end = node.end();
            let wrong = match begins {
                false => Some("the nodes of extents do not overlap"),
                true => node.check(),
            };
            wrong.map(|rule| (node.start(), rule))
        })
    }
}
