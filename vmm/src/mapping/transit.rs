// SPDX-License-Identifier: BSD-2-Clause
//! Large pages in transit: the steps of a promotion in the background.
//!
//! ```text
//!   begun       the page table of the place is taken from the kernel with one call: no page of it
//!               is mapped. All of them stay recorded, so that a touch brings the page it touched
//!   copied      a page is unmapped, so that its capability has no place, and then copied: no write
//!               comes between the two. Who maps it again has its copy forgotten
//!   done        all are copied, so none is mapped: the large page is recorded and mapped instead
//! ```
//!
//! Whatever is done with the pages meanwhile is done with those that are recorded, and this looks
//! at them anew at each step: so nobody else needs to know (invariants I61 and I62).

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Blame, CachePolicy, Kernel, Memory, Rights};

use super::join::InPlace;
use crate::manager::vmm::Vmm;
use crate::state::cut_pages::CutPage;
use crate::state::extent::{offset, Extent};
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::promotion::Promotion;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::Result;
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Begins to make a large page in a place of a region, if it can be one: otherwise, and where
    /// the kernel refuses a call, all is as it was.
    ///
    /// # Errors
    /// [`crate::Error::Allocator`], [`crate::Error::OutOfNodes`] when memory is short.
    pub(super) fn begin_promotion(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        place: PageRange,
        size_bits: u8,
    ) -> Result {
        let page = CutPage { start: place.start(), size_bits, region: region.serial() as usize };
        if self.promotable(space, &page, place).is_none() {
            return Ok(());
        }
        self.check_spare(size_bits)?;
        let mobility = self.mobility(space, region);
        let reserve = &mut self.refill()?;
        let frames = self.alloc.alloc_frame_to_fill(&mut self.kernel, size_bits, mobility)?;
        let options = RegionOptions::new(place.pages())
            .named("large to be filled")
            .aligned(size_bits)
            .kind(Kind::Bookkeeping);
        let view = match self.place_region(reserve, self.own, &options) {
            Ok(view) => view,
            Err(error) => {
                self.alloc.free_frames(frames)?;
                return Err(error);
            }
        };
        let (rights, cache) = (options.rights, CachePolicy::WriteBack);
        let large = Extent::fresh(view.start(), frames, rights, cache);
        let mapped = self
            .record_extent(reserve, self.own, large)
            .and_then(|()| self.map_or_free_extent(reserve, self.own, large));
        let bits = self.geometry.page_bits;
        let begun = Promotion::new(space.id.get(), page, frames, view, bits);
        // All of its pages, none of which changes but that it is mapped no more.
        let taken = mapped.is_ok()
            && begun.is_some()
            && self.detach_table(space, place, |_| true, |_, _| ());
        if !taken {
            self.free_region_or_quarantine(&mut Reserve::as_it_is(), self.own, view);
            return mapped;
        }
        // What is appended there, or found out for the next page, would not be told of.
        self.append_cursor = None;
        space.in_transit.set(true);
        self.promotions.under_way = begun;
        Ok(())
    }

    /// Refuses to begin where less than twice a large page is free.
    fn check_spare(&self, size_bits: u8) -> Result {
        let free = self.alloc.stats().free_bytes();
        match free >> size_bits >= 2 && self.alloc.may_have_frames(size_bits) {
            true => Ok(()),
            false => Err(self.alloc.out_of_memory(size_bits).into()),
        }
    }

    /// Goes on with the promotion that is under way: copies at most `most` pages, or, where all are
    /// copied, puts the large page in their place. Says whether there is more to do.
    pub(super) fn advance_promotion(&mut self, most: usize) -> Result<bool> {
        let Some(promotion) = &self.promotions.under_way else { return Ok(false) };
        let (id, page) = (promotion.space, promotion.page);
        let (left, hot) = (promotion.next_left(), promotion.copies >= 2 * promotion.pages());
        let space = self.spaces.find(id);
        let Some(space) = space.filter(|_| left.is_none() || !hot) else {
            self.abandon_promotion();
            return Ok(true);
        };
        let place = self.range_of(&page)?;
        let goes_on = match left {
            None => self.finish_promotion(space, &page, place),
            Some(_) => self.copy_next_pages(space, &page, most),
        };
        match goes_on {
            Ok(true) => {}
            Ok(false) => {
                self.abandon_promotion();
            }
            Err(error) if error.blame() == Blame::Resource => {
                self.abandon_promotion();
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Copies pages that are not copied; says whether the promotion goes on.
    fn copy_next_pages(
        &mut self,
        space: &'p Space<'p>,
        page: &CutPage,
        most: usize,
    ) -> Result<bool> {
        let region = space.regions().at(page.start);
        let region = region.filter(|region| region.serial() as usize == page.region);
        if !region.is_some_and(|region| self.may_be_promoted(space, region)) {
            return Ok(false);
        }
        for _ in 0..most {
            let Some(promotion) = &self.promotions.under_way else { return Ok(false) };
            let Some(number) = promotion.next_left() else { break };
            let view = promotion.view.start();
            let distance = number << self.geometry.page_bits;
            let at = offset(page.start, distance);
            let Some(small) = self.own_page(space, at, self.geometry.page_bits) else {
                return Ok(false);
            };
            let reserve = &mut self.refill()?;
            // Nobody else writes to it from here on; its record stays, and a touch maps it again.
            self.page_unmap(space, small.mapped(0))?;
            let copied = self.copy_small_page(reserve, &small, view.bits() + distance);
            if copied.is_err() {
                // Where that is refused again, the slot sees to it before it is used again.
                let _ = self.unmap_temporary(TempSlot::View);
            }
            copied?;
            if let Some(promotion) = &mut self.promotions.under_way {
                promotion.note_copied(number);
            }
        }
        Ok(true)
    }

    /// Copies a page that is mapped nowhere to an address of the manager's own space.
    fn copy_small_page(&mut self, reserve: &mut Reserve, small: &Extent, to: usize) -> Result {
        let from = match self.alias_of(small) {
            Some(address) => address,
            None => self.map_temporarily(reserve, TempSlot::View, small.frames.first)?,
        };
        self.kernel.copy(to, from, self.geometry.page_bytes());
        self.unmap_temporary(TempSlot::View)
    }

    /// The page of 2^`size_bits` bytes at an address, if it is one that nobody else has or can write
    /// to.
    pub(super) fn own_page(
        &self,
        space: &Space<'p>,
        at: VirtAddr,
        size_bits: u8,
    ) -> Option<Extent> {
        let extent = space.extents().at(at)?;
        let page = extent.part(extent.index_of(at), 1);
        let plain = page.source == Source::Owned
            && page.frames.size_bits == size_bits
            && !(page.cow || page.strided || page.abandoned);
        let copied = self.alloc.any_copied() && self.alloc.was_copied(page.frames.first);
        (plain && !copied && !self.refcounts.any_in(&page.frames)).then_some(page)
    }

    /// How the large page in a place would be mapped, if there can be one now.
    fn promotable(&self, space: &Space<'p>, page: &CutPage, place: PageRange) -> Option<Extent> {
        let region = space.regions().at(page.start)?;
        let inside = self.usable(region).is_some_and(|usable| usable.covers(place));
        if !inside || !self.may_be_promoted(space, region) {
            return None;
        }
        let InPlace::Pieces(like) = self.in_place(space, page) else { return None };
        // Instructions would have to be made visible where they are copied to.
        let fetched = like.rights.contains(Rights::EXECUTE) && self.geometry.has_no_execute;
        let mut cursor = ExtentCursor::over(place);
        let mut extents = core::iter::from_fn(|| cursor.next(space)).map(|one| one.extent);
        // What callers have copies of the capabilities of could be written to by those.
        let copied = self.alloc.any_copied()
            && extents.any(|extent| {
                (0..extent.frames.count).any(|index| self.alloc.was_copied(extent.frame(index)))
            });
        (!fetched && !copied).then_some(like)
    }

    /// Puts the large page in the place of the small ones, all of which are copied; says whether it
    /// did: not where they are others than they were. Where the kernel refuses a call, they are as
    /// they were.
    fn finish_promotion(
        &mut self,
        space: &'p Space<'p>,
        page: &CutPage,
        place: PageRange,
    ) -> Result<bool> {
        let Some(like) = self.promotable(space, page, place) else { return Ok(false) };
        // 1. All nodes that it can take.
        let reserve = &mut self.refill()?;
        self.split_extent(reserve, space, place.start().bits())?;
        self.split_extent(reserve, space, place.end())?;
        let node = self.pools.extent(reserve)?;
        let Some(promotion) = self.promotions.under_way.take() else { return Ok(false) };
        let frames = promotion.frames;
        // 2. The large frame is mapped nowhere, and the page table is gone; or all is as it was.
        let gone = match self.kernel.page_unmap(frames.first) {
            Ok(()) => self.empty_table(space, place),
            Err(refused) => Err(refused.into()),
        };
        if let Err(error) = gone {
            self.pools.spare_extent(reserve, node);
            self.promotions.under_way = Some(promotion);
            self.abandon_promotion();
            return Err(error);
        }
        let view = promotion.view;
        let seen = self.own.extents().at(view.start());
        if let Some(seen) = seen {
            self.record_unmapped(self.own, &seen);
            self.remove_extent(self.own, seen, 0, 1);
        }
        self.free_region_or_quarantine(reserve, self.own, view);
        // 3. Recorded, and then mapped: where that is refused, the record says what the page holds,
        //    and the next fault or `trim` maps it.
        space.in_transit.set(false);
        let mut cursor = ExtentCursor::over(place);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            self.remove_extent(space, extent, 0, extent.frames.count);
            self.owner_gone(extent.frames);
        }
        let large = Extent { frames, ..like };
        self.enter_extent(reserve, space, node, large);
        self.restore_extent(reserve, space, large);
        self.expect_reclaim();
        Ok(true)
    }

    /// Gives back the page table of a place, all small pages of which are mapped nowhere. Where
    /// that is refused, they count as mapped as before.
    fn empty_table(&mut self, space: &'p Space<'p>, place: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(place);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            self.record_unmapped(space, &extent);
        }
        let freed = self.free_deepest_table(space, place.start());
        let mut cursor = ExtentCursor::over(place);
        while let Some(Visited { extent, .. }) = cursor.next(space).filter(|_| freed.is_err()) {
            self.record_mapped(space, &extent);
        }
        freed
    }
}
