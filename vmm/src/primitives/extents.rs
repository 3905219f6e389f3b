// SPDX-License-Identifier: BSD-2-Clause
//! Records of mapped frames: inserted, split, joined, removed.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CachePolicy, Frames, Kernel, Memory, Rights, Zeroed};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Piece, Visited};
use crate::state::extent_neighbours::Unlinked;
use crate::state::extent_node::ExtentNode;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Records an extent that is to be mapped; frees its frames where there is no node for it.
    pub(crate) fn record_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
    ) -> Result {
        match self.pools.extent(reserve) {
            Ok(node) => {
                self.enter_extent(reserve, space, node, extent);
                Ok(())
            }
            Err(error) => {
                self.free_unused(&extent);
                Err(error)
            }
        }
    }

    /// As [`Vmm::record_extent`]. A small page that comes alone is recorded in the window of those
    /// beside it, which lie from `low` to `high` (bytes), if there can be one.
    pub(crate) fn record_beside(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
        (low, high): (usize, usize),
    ) -> Result {
        let Frames { count, size_bits, .. } = extent.frames;
        let single = count == 1 && size_bits == self.geometry.page_bits && !extent.strided;
        let beside = single.then(|| space.extents().beside(extent.start));
        let taking = beside.and_then(|beside| beside.taking(&extent, low, high));
        let Some(node) = taking else { return self.record_extent(reserve, space, extent) };
        let window = if node.is_window() { None } else { self.pools.window() };
        if window.is_none() && !node.is_window() {
            return self.record_extent(reserve, space, extent);
        }
        let known = self.open_blocks.find_in(&self.geometry, space, extent.start.bits());
        if known.is_some_and(|(_, links)| !core::ptr::eq(links.node, node)) {
            // Beside the window that is known, another grows.
            self.close_block(space, extent.start.bits());
        }
        space.extents_mut().enter_page(node, window, &extent);
        Ok(())
    }

    /// Records an extent of fresh, clear frames at `at`; returns where it ends. Where there is no
    /// node for it, the frames go back as clear as they are.
    pub(crate) fn record_zeroed(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        at: VirtAddr,
        clean: Zeroed,
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<usize> {
        let node = match self.pools.extent(reserve) {
            Ok(node) => node,
            Err(error) => {
                self.alloc.free_unused_frames(clean.frames())?;
                return Err(error);
            }
        };
        let frames = clean.frames();
        let info = Extent::fresh(at, frames, rights, cache);
        self.enter_extent(reserve, space, node, info);
        Ok(info.end())
    }

    /// Records an extent in a node that was taken for it; the node is free where a window has it.
    /// Returns whether the node has it.
    #[inline(always)]
    pub(crate) fn enter_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &Space<'p>,
        node: &'p ExtentNode<'p>,
        extent: Extent,
    ) -> bool {
        if space.in_transit.get() {
            self.note_used(&extent);
        }
        let unneeded = space.extents_mut().insert(node, extent);
        match unneeded {
            Some(node) => self.pools.spare_extent(reserve, node),
            None => {
                // It lies beside others at its ends, if in their blocks at all.
                self.close_block(space, extent.start.bits());
                if extent.frames.count != 1 {
                    self.close_block(space, extent.end() - 1);
                }
            }
        }
        unneeded.is_none()
    }

    /// Frees the frames of extents in `range` that were recorded but never mapped.
    pub(crate) fn free_unused_in(&mut self, space: &'p Space<'p>, range: PageRange) {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            self.remove_extent(space, extent, 0, extent.frames.count);
            self.free_unused(&extent);
        }
    }

    /// Takes frames out of the record; at the most one end of the extent stays.
    pub(crate) fn remove_extent(
        &mut self,
        space: &'p Space<'p>,
        extent: Extent,
        first: usize,
        count: usize,
    ) {
        let unlinked = space.extents_mut().remove_range(&extent, first, count, &mut None);
        self.free_unlinked(space, unlinked);
    }

    /// Frees a node that has left the tree of a space, if one has.
    #[inline(always)]
    pub(crate) fn free_unlinked(&mut self, space: &Space<'p>, unlinked: Option<Unlinked<'p>>) {
        if let Some(node) = self.unlinked(space, unlinked) {
            self.pools.free_extent(node);
        }
    }

    /// The same, where the node may be taken again in this step.
    pub(crate) fn spare_unlinked(
        &mut self,
        reserve: &mut Reserve,
        space: &Space<'p>,
        unlinked: Option<Unlinked<'p>>,
    ) {
        if let Some(node) = self.unlinked(space, unlinked) {
            self.pools.spare_extent(reserve, node);
        }
    }

    /// The node that has left the tree of a space; its block is closed, if it was open.
    #[inline(always)]
    fn unlinked(
        &mut self,
        space: &Space<'p>,
        unlinked: Option<Unlinked<'p>>,
    ) -> Option<&'p ExtentNode<'p>> {
        let node = unlinked?.of_closed_block();
        self.close_block(space, node.start().bits());
        Some(node)
    }

    /// Closes the block that an address (bytes) of a space is in: what lies beside its window is
    /// about to change, or its node to be of more than its block (I46).
    #[inline(always)]
    pub(crate) fn close_block(&self, space: &Space<'p>, address: usize) {
        self.open_blocks.close(&self.geometry, space.id.get(), address);
    }

    /// Frees the frames in `range`, which starts in the midst of an extent, that were never
    /// mapped.
    pub(crate) fn free_unused_from(&mut self, space: &'p Space<'p>, range: PageRange) {
        let cut = space.extents().at(range.start());
        if let Some(extent) = cut {
            let (first, _) = extent.indices_in(range);
            if first != 0 {
                let part = extent.part(first, extent.frames.count - first);
                // Cutting off the end of an extent takes no node.
                self.remove_extent(space, extent, first, part.frames.count);
                self.free_unused(&part);
            }
        }
        self.free_unused_in(space, range);
    }

    /// Joins the extent at `start` with the one before it, if the two are really one: of one batch
    /// of frames, and in one region.
    pub(crate) fn join_extent(&mut self, space: &'p Space<'p>, start: VirtAddr) {
        let region = space.regions().at(start);
        if region.is_none_or(|region| region.start() == start) {
            return;
        }
        let alloc = &self.alloc;
        let same = |frames: Frames| {
            let last = frames.first.offset(frames.count - 1);
            alloc.same_batch(frames.first, last)
        };
        let joined = space.extents_mut().join_before(start, same);
        if let Some((unlinked, start)) = joined {
            self.close_block(space, start.bits());
            self.free_unlinked(space, Some(unlinked));
        }
    }

    /// Makes a window an extent, if its pages are alike, their frames came together, and they lie in
    /// one region, not in the parts of one that was split; it is joined with those beside it then.
    #[inline(never)]
    pub(crate) fn fold(&mut self, space: &'p Space<'p>, node: &'p ExtentNode<'p>) {
        let Some(extent) = node.as_extent() else { return };
        let region = space.regions().at(extent.start);
        if region.is_none_or(|region| self.between_guards(region).1 < extent.end()) {
            return;
        }
        let last = extent.frame(extent.frames.count - 1);
        if !self.alloc.same_batch(extent.frames.first, last) {
            return;
        }
        self.close_block(space, extent.start.bits());
        let window = space.extents_mut().fold(node, extent);
        window.into_iter().for_each(|window| self.pools.free_window(window));
        self.join_extent(space, extent.start);
        if let Ok(end) = self.geometry.address(extent.end()) {
            self.join_extent(space, end);
        }
    }

    /// Brings the count of a table's entries up to date for frames that are unmapped now: as many
    /// as `entries`, as large as that of a page, and below its table.
    pub(crate) fn release_entries(&self, space: &Space<'p>, frame: &Extent, entries: usize) {
        let bits = frame.frames.size_bits;
        let Some(level) = self.geometry.level_of_frame(bits) else {
            return;
        };
        let mut shadow = space.shadow.borrow_mut();
        shadow.release_entries(&self.geometry, level, frame.start, entries);
        let pages = entries << (bits - self.geometry.page_bits);
        space.mapped_pages.set(space.mapped_pages.get() - pages);
    }

    /// Brings the counts of page-table entries up to date for frames that are unmapped now.
    pub(crate) fn record_unmapped(&self, space: &Space<'p>, piece: &Extent) {
        let bits = piece.frames.size_bits;
        let Some(level) = self.geometry.level_of_frame(bits) else {
            return;
        };
        let mut shadow = space.shadow.borrow_mut();
        if piece.frames.count == 1 {
            shadow.release_entries(&self.geometry, level, piece.start, 1);
        } else {
            let (step_bits, mut index) = (piece.step_bits(), 0);
            while index < piece.frames.count {
                let start = piece.address(index);
                let end = self.geometry.table_end(level, start).min(piece.end());
                // A gap behind the last page may lie below the next table.
                let count = (end - start.bits() + (1 << step_bits) - 1) >> step_bits;
                shadow.release_entries(&self.geometry, level, start, count);
                index += count;
            }
        }
        let pages = piece.frames.count << (bits - self.geometry.page_bits);
        space.mapped_pages.set(space.mapped_pages.get() - pages);
    }

    /// Frees frames that are mapped nowhere any more, each kind to where it came from.
    #[inline(always)]
    pub(crate) fn free_unmapped(&mut self, piece: &Extent) {
        match piece.source {
            Source::Owned => self.owner_gone(piece.frames),
            // Deleted and counted one by one already.
            Source::Copy => {}
            Source::Borrowed => self.borrowed -= piece.frames.count,
            Source::Physical => self.physical_owner_gone(piece.frames),
        }
    }

    /// Frees frames that were to be mapped and were not.
    pub(crate) fn free_unused(&mut self, piece: &Extent) {
        match piece.source {
            // They were allocated, so freeing them cannot be refused. Some were to be mapped with
            // contents, so none count as zeroed.
            Source::Owned => {
                let _ = self.alloc.free_frames(piece.frames);
            }
            Source::Copy => self.delete_copies(piece.frames.first, piece.frames.count),
            Source::Borrowed | Source::Physical => self.free_unmapped(piece),
        }
    }

    /// Makes an extent begin at `address` (bytes), if one covers it and begins before. Takes a
    /// node.
    pub(crate) fn split_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        address: usize,
    ) -> Result {
        let Ok(address) = self.geometry.address(address) else {
            return Ok(());
        };
        let Some(extent) = space.extents().across(address) else {
            return Ok(());
        };
        let first = extent.index_of(address);
        let node = self.pools.extent(reserve)?;
        let upper = extent.part(first, extent.frames.count - first);
        self.remove_extent(space, extent, first, upper.frames.count);
        self.enter_extent(reserve, space, node, upper);
        Ok(())
    }

    /// Joins the extents that begin in `range`, and the one after it, with those before them.
    pub(crate) fn join_in(&mut self, space: &'p Space<'p>, range: PageRange) {
        let mut cursor = ExtentCursor::over(range);
        while let Some(piece) = cursor.next_piece(space) {
            match piece {
                // No page of a window is joined with others, but all of them may be an extent.
                Piece::Window(window) => self.fold(space, window),
                Piece::Extent(Visited { extent, .. }) => self.join_extent(space, extent.start),
            }
        }
        if let Ok(end) = self.geometry.address(range.end()) {
            self.join_extent(space, end);
        }
    }
}
