// SPDX-License-Identifier: BSD-2-Clause
//! Joining what was cut: where a request that cut large pages is refused, they are made whole
//! again.
//!
//! ```text
//!   own space, for a moment            the space of the pages
//!
//!   ┊ a large frame                    ┊ small ones, unmapped  ──►  ┊ large
//!   ┊ temporary slot: each small frame
//! ```
//!
//! The reverse of demoting, in the reverse order of the cuts: so the memory of each large page is
//! free when it is its turn. What can run out is taken first. The small pages are unmapped before
//! they are copied, so that no write of another thread is lost; where a call is refused before the
//! last is copied, they are mapped again. A page that cannot be joined stays recorded as cut, and
//! the next request over it that is refused, or [`Vmm::trim`], tries again.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Blame, CPtr, Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::cut_pages::{CutPage, CutPages};
use crate::state::extent::{offset, Extent};
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extent_node::ExtentNode;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::Result;
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

/// What is in the place of a large page that was cut.
pub(super) enum InPlace {
    /// Small pages that are alike, and mapped so.
    Pieces(Extent),
    /// The same, which others have as well for now, or which must stay.
    Held,
    /// Something else: a later request has changed it.
    Changed,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Ends a request over these pages that may have cut large ones. Where it was done, they stay
    /// cut; where it was refused, they are joined again.
    #[inline]
    pub(crate) fn finish_cut<T>(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        made: Result<T>,
    ) -> Result<T> {
        if !space.cut.is_empty() {
            self.finish_cut_pages(space, (range.start().bits(), range.end()), made.is_ok());
        }
        made
    }

    /// The same for all of a space, or for what lies between two addresses in bytes.
    #[cold]
    pub(crate) fn finish_cut_pages(
        &mut self,
        space: &'p Space<'p>,
        (from, to): (usize, usize),
        done: bool,
    ) {
        let over = |page: &CutPage| page.start.bits() < to && from < page.end();
        match done {
            true => {
                while let Some((node, _)) = space.cut.take(over) {
                    self.pools.free_extent(node);
                }
            }
            // Those that cannot be joined now stay recorded.
            false => {
                let _ = self.join_cut(space, over);
            }
        }
    }

    /// Joins large pages that were cut, the last first.
    ///
    /// # Errors
    /// The first refusal of the kernel; the others were tried.
    pub(crate) fn join_cut(
        &mut self,
        space: &'p Space<'p>,
        picks: impl Fn(&CutPage) -> bool,
    ) -> Result {
        let (left, mut outcome) = (CutPages::default(), Ok(()));
        while let Some((node, page)) = space.cut.take(&picks) {
            let (keeps, joined) = match self.in_place(space, &page) {
                InPlace::Changed => (false, Ok(())),
                InPlace::Held => (true, Ok(())),
                InPlace::Pieces(like) => {
                    let joined = self.under_pressure(|vmm| vmm.join(space, &page, &like));
                    (joined.is_err(), joined)
                }
            };
            match keeps {
                true => left.push(node, page),
                false => self.pools.free_extent(node),
            }
            outcome = outcome.and(joined.or_else(|error| match error.blame() {
                Blame::Resource => Ok(()),
                _ => Err(error),
            }));
        }
        while let Some((node, page)) = left.take(|_| true) {
            space.cut.push(node, page);
        }
        outcome
    }

    /// Remembers that a large page was cut. O(log regions).
    pub(super) fn record_cut(
        &mut self,
        space: &Space<'p>,
        node: &'p ExtentNode<'p>,
        large: &Extent,
    ) {
        let region = space.regions().at(large.start).map_or(0, |region| region.serial() as usize);
        let (start, size_bits) = (large.start, large.frames.size_bits);
        // One that was there before, and could not be joined, is gone.
        while let Some((before, _)) = space.cut.take(|page| page.start == start) {
            self.pools.free_extent(before);
        }
        space.cut.push(node, CutPage { start, size_bits, region });
    }

    pub(super) fn in_place(&self, space: &Space<'p>, page: &CutPage) -> InPlace {
        let Ok(range) = self.range_of(page) else { return InPlace::Changed };
        // Larger ones are over more than one table, which do not all go by one call.
        let levels = self.geometry.levels;
        if levels.len().checked_sub(2).is_none_or(|at| levels[at].entry_bits != page.size_bits) {
            return InPlace::Changed;
        }
        let region = space.regions().at(page.start);
        let region = region.filter(|region| region.serial() as usize == page.region);
        let Some(region) = region else { return InPlace::Changed };
        let mut held = self.check_unpinned(space, region).is_err();
        let (mut like, mut at, mut cursor) = (None, page.start, ExtentCursor::over(range));
        while let Some(visited) = cursor.next(space) {
            let piece = visited.part();
            let (rights, cache) = *like.get_or_insert((piece.rights, piece.cache));
            let frames = Frames { size_bits: self.geometry.page_bits, ..piece.frames };
            // As a fresh one of small frames, but that it may be under copy-on-write.
            let fresh = Extent { cow: piece.cow, ..Extent::fresh(at, frames, rights, cache) };
            if piece != fresh {
                return InPlace::Changed;
            }
            held |= piece.cow || self.refcounts.any_in(&frames);
            at = offset(at, piece.end() - at.bits());
        }
        match like {
            Some((rights, cache)) if at.bits() == range.end() => {
                let frames = Frames { first: CPtr::NULL, count: 1, size_bits: page.size_bits };
                match held {
                    true => InPlace::Held,
                    false => InPlace::Pieces(Extent::fresh(page.start, frames, rights, cache)),
                }
            }
            _ => InPlace::Changed,
        }
    }

    /// Makes one large page of the small ones in its place, mapped as `like` is. Three kernel calls
    /// for each small page.
    pub(super) fn join(&mut self, space: &'p Space<'p>, page: &CutPage, like: &Extent) -> Result {
        let range = self.range_of(page)?;
        // 1. A large frame, and nodes for the ends of extents that go on beyond the page.
        let mobility = self.mobility_at(space, page.start);
        let reserve = &mut self.refill_to_free();
        let size_bits = page.size_bits;
        let frames = self.alloc_or_prune(|alloc, kernel| {
            alloc.alloc_frame_to_fill(kernel, size_bits, mobility)
        })?;
        let large = Extent { frames, ..*like };
        let nodes = self
            .split_extent(reserve, space, range.start().bits())
            .and_then(|()| self.split_extent(reserve, space, range.end()))
            .and_then(|()| self.pools.extent(reserve));
        let node = match nodes {
            Ok(node) => node,
            Err(error) => {
                self.join_in(space, range);
                self.alloc.free_frames(frames)?;
                return Err(error);
            }
        };
        // 2. The contents are in it, and the small pages are unmapped; or all is as it was.
        if let Err(error) = self.fill_large(reserve, space, range, &large) {
            self.pools.spare_extent(reserve, node);
            self.join_in(space, range);
            return Err(error);
        }
        // 3. Recorded, and then mapped: where that is refused, the record says what the page holds,
        //    and the next fault or `trim` maps it.
        let mut cursor = ExtentCursor::over(range);
        while let Some(visited) = cursor.next(space) {
            self.remove_extent(space, visited.extent, 0, visited.extent.frames.count);
            self.owner_gone(visited.extent.frames);
        }
        self.enter_extent(reserve, space, node, large);
        self.restore_extent(reserve, space, large);
        Ok(())
    }

    /// Copies small pages to a large frame, by way of our own space, and unmaps them and their
    /// table. When that fails they are where they were, and the large frame is freed.
    fn fill_large(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
        large: &Extent,
    ) -> Result {
        let bits = large.frames.size_bits;
        let options = RegionOptions::new(range.pages())
            .named("large to be filled")
            .aligned(bits)
            .kind(Kind::Bookkeeping);
        let region = match self.place_region(reserve, self.own, &options) {
            Ok(region) => region,
            Err(error) => {
                self.alloc.free_frames(large.frames)?;
                return Err(error);
            }
        };
        let view = Extent { start: region.start(), rights: options.rights, ..*large };
        let mut unmapped = 0;
        let filled = self
            .record_extent(reserve, self.own, view)
            .and_then(|()| self.map_or_free_extent(reserve, self.own, view))
            .and_then(|()| self.unmap_pieces(space, range, &mut unmapped))
            .and_then(|()| self.copy_pieces(reserve, space, range, view.start))
            .and_then(|()| self.leave_view(space, range, view));
        if filled.is_err() {
            // Where that is refused again, the slot sees to it before it is used again.
            let _ = self.unmap_temporary(TempSlot::View);
            let mut cursor = range.part(0, unmapped).map(ExtentCursor::over);
            while let Some(visited) = cursor.as_mut().and_then(|cursor| cursor.next(space)) {
                self.restore_extent(reserve, space, visited.part());
            }
        }
        // With the frame, where something was refused before that was unmapped.
        self.free_region_or_quarantine(reserve, self.own, region);
        filled
    }

    /// Unmaps small pages, and counts those in `unmapped`.
    fn unmap_pieces(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        unmapped: &mut usize,
    ) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let mut frames = 0..extent.frames.count;
            let refused = frames.find_map(|at| {
                let refused = self.page_unmap(space, extent.mapped(at)).err()?;
                Some((at, refused))
            });
            let done = refused.as_ref().map_or(extent.frames.count, |&(at, _)| at);
            self.record_unmapped(space, &extent.part(0, done));
            *unmapped += done;
            refused.map_or(Ok(()), |(_, refused)| Err(refused))?;
        }
        Ok(())
    }

    /// Copies small pages to what is mapped at `to`.
    fn copy_pieces(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
        to: VirtAddr,
    ) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            for index in 0..extent.frames.count {
                let at = self.map_temporarily(reserve, TempSlot::View, extent.frame(index))?;
                let offset = extent.address(index).bits() - range.start().bits();
                self.kernel.copy(to.bits() + offset, at, self.geometry.page_bytes());
                self.unmap_temporary(TempSlot::View)?;
            }
        }
        Ok(())
    }

    /// Unmaps the large frame where it was filled, and the table that the small pages had.
    fn leave_view(&mut self, space: &'p Space<'p>, range: PageRange, view: Extent) -> Result {
        self.kernel.page_unmap(view.frames.first)?;
        self.record_unmapped(self.own, &view);
        self.remove_extent(self.own, view, 0, 1);
        let freed = self.free_deepest_table(space, range.start());
        if freed.is_err() {
            self.alloc.free_frames(view.frames)?;
        }
        freed
    }
}
