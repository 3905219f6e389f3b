// SPDX-License-Identifier: BSD-2-Clause
//! Appending: mapping the page behind the one that was mapped last.
//!
//! Memory is mostly mapped and touched in order, as a heap grows. What must be found out for a page
//! then holds for the next one too, and an append cursor keeps it (see `state/append_cursor.rs`):
//! a page that is appended costs the kernel call and a few comparisons, and takes no node.

use page_tables::{Pages, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, FrameBatch, Frames, Kernel, Memory, Refused};

use crate::manager::vmm::Vmm;
use crate::state::append_cursor::AppendCursor;
use crate::state::extent_node::ExtentNode;
use crate::state::open_blocks::OpenBlocks;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::state::window::BLOCK_PAGES;
use crate::types::error::Result;
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Lets no append cursor begin from now on, and keeps no site and no block: for tests that compare histories
    /// with and without. What is mapped must be the same in both.
    #[doc(hidden)]
    pub fn without_short_cuts(&mut self) {
        self.append_cursor = None;
        self.site = None;
        self.open_blocks = OpenBlocks::new();
        self.passage = None;
        self.short_cuts = false;
    }

    /// Maps pages from the one at `start` on, if that goes on where an extent of its region ends,
    /// the next frames of that extent's batch are at hand, and its page table is there and in use.
    /// `None` if they are no such pages, or not to be mapped at all: nothing was done then.
    #[inline(never)]
    pub(crate) fn append_pages(
        &mut self,
        id: SpaceId,
        pages: Pages,
    ) -> Option<Result<(), Refused>> {
        if !self.is_append(id, pages.start()) {
            self.begin_append(id, pages.start())?;
        }
        self.append_many(pages.pages())
    }

    /// Whether the page at `start` of a space is the one that the append cursor is at.
    #[inline(always)]
    pub(crate) fn is_append(&self, id: SpaceId, start: usize) -> bool {
        self.append_cursor.as_ref().is_some_and(|cursor| {
            cursor.at == start && cursor.space.id.get() == id && cursor.is_valid()
        })
    }

    /// Puts the append cursor at `start`, if memory of a caller's region goes on there.
    #[inline(never)]
    pub(crate) fn begin_append(&mut self, id: SpaceId, start: usize) -> Option<()> {
        let space = self.space(id).ok()?;
        let address = self.geometry.address(start).ok()?;
        let (mut extent, mut clear_to) = space.extents().last_ending_at(address)?;
        if clear_to <= start {
            // It was looked up for itself, so what comes behind it is not known yet.
            space.extents().first_in(self.geometry.page_of(address));
            (extent, clear_to) = space.extents().last_ending_at(address)?;
        }
        let region = space.regions().at(address)?;
        let (low, high) = self.between_guards(region);
        if !region.is_callers() || start <= low {
            return None;
        }
        self.begin_append_to(space, region, extent, address, high.min(clear_to))
    }

    /// Puts the append cursor at `address`, where an extent of the region ends; nothing is mapped
    /// from there to `clear_to`. Where the extent is strided, so are the pages to come.
    pub(crate) fn begin_append_to(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: &'p ExtentNode<'p>,
        address: VirtAddr,
        clear_to: usize,
    ) -> Option<()> {
        // A promotion must know of each page that is mapped in its place.
        if !self.short_cuts || space.in_transit.get() {
            return None;
        }
        // Where memory is used again it is dirty, and nothing can be appended.
        let batch = self.alloc.batch_of(extent.frames())?;
        if !self.alloc.is_zeroed_in_batch(&batch, extent.count()) {
            return None;
        }
        let (at, bits) = (address.bits(), self.geometry.page_bits);
        let strided = region.arena.get().is_some();
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, address)?;
        // A table that is kept empty is on the list of empty ones: only the long way takes it off.
        if table.is_listed_empty() {
            return None;
        }
        let RegionSpec { rights, cache, .. } = region.spec();
        if cache != CachePolicy::WriteBack && self.direct_map.is_some() {
            // A frame may have to leave the direct map first.
            return None;
        }
        let room = extent.room_for_more(rights, cache, bits, strided)?;
        let room = room.min(self.quota_left(space, Resource::Frames));
        let step = self.geometry.page_bytes() << u8::from(strided);
        // It goes on up to the block of what comes behind it, or in that block.
        let block = clear_to & !(BLOCK_PAGES * self.geometry.page_bytes() - 1);
        let clear_to = if at < block { block } else { clear_to };
        let limits = [clear_to, self.geometry.table_end(deepest, address)];
        let end = AppendCursor::<FrameBatch<'_>>::end(at, step, room, limits);
        // It may be the only page of an open block, and will not be; and where it goes on in the
        // block of what comes behind it, that has less room.
        self.close_block(space, extent.start().bits());
        self.close_block(space, at);
        space.watch();
        self.append_cursor = Some(AppendCursor {
            space,
            region,
            extent,
            batch,
            table,
            step,
            at,
            end,
            rights,
            cache,
            class: None,
        });
        (at < end).then_some(())
    }

    /// Maps the page that the append cursor is at; `None` if its frame is not at hand.
    #[inline(always)]
    pub(crate) fn append(&mut self) -> Option<Result<(), Refused>> {
        self.append_run(1)
    }

    /// Maps `pages` pages from the one on that the append cursor is at; `None` if one of them goes
    /// another way or its frame is not at hand: nothing was done then. Where the kernel refuses
    /// one, those before it are unmapped again.
    pub(crate) fn append_many(&mut self, pages: usize) -> Option<Result<(), Refused>> {
        let cursor = self.append_cursor.as_ref()?;
        let end = cursor.at.checked_add(pages.checked_mul(self.geometry.page_bytes())?)?;
        let close = cursor.step == self.geometry.page_bytes() && end <= cursor.end;
        if close {
            self.append_run(pages)
        } else {
            None
        }
    }

    /// Maps the pages as both do that call this; more than one lie close.
    #[inline(always)]
    fn append_run(&mut self, pages: usize) -> Option<Result<(), Refused>> {
        let cursor = self.append_cursor.as_ref()?;
        let taken = self.alloc.alloc_run_from_batch(&cursor.batch, cursor.extent.count(), pages)?;
        let (first, space) = (taken.frames().first, cursor.space);
        // As `Vmm::page_map` does.
        if !space.store.get() {
            let (root, bytes) = (space.root.get(), self.geometry.page_bytes());
            let AppendCursor { rights, cache, .. } = *cursor;
            let mut to = cursor.at;
            for page in 0..pages {
                let frame = first.offset(page);
                if let Err(refusal) = self.kernel.page_map(frame, root, to, rights, cache) {
                    self.end_append(first, (page, pages));
                    return Some(Err(refusal));
                }
                to += bytes;
            }
        }
        self.note_appended(pages);
        Some(Ok(()))
    }

    /// Records pages that were mapped from where the append cursor is, and moves it behind them.
    #[inline(always)]
    fn note_appended(&mut self, pages: usize) {
        let Some(cursor) = &mut self.append_cursor else { return };
        cursor.advance(pages);
        cursor.table.use_more(pages);
        let space = cursor.space;
        space.mapped_pages.set(space.mapped_pages.get() + pages);
        // It counts as no change of the space: this is the one that the cursor is for.
        space.extents().extend(cursor.extent, (pages, pages << self.geometry.page_bits));
    }

    /// The kernel refused to map number `done` of `pages` frames, from `first` on, that were to be
    /// appended: those before it are unmapped again.
    #[cold]
    fn end_append(&mut self, first: CPtr, (done, pages): (usize, usize)) {
        let Some(AppendCursor { space, at, .. }) = self.append_cursor else { return };
        self.note_appended(done);
        self.append_cursor = None;
        let (first, count) = (first.offset(done), pages - done);
        let frames = Frames { first, count, size_bits: self.geometry.page_bits };
        // They were allocated, so they can be freed.
        let _ = self.alloc.free_unused_frames(frames);
        if done != 0 {
            self.undo_append(space, at, done);
        }
    }

    /// Unmaps `pages` pages from `start` on, which were appended a moment ago.
    fn undo_append(&mut self, space: &'p Space<'p>, start: usize, pages: usize) {
        let Ok(range) = self.geometry.range(Pages::at(start).count(pages)) else { return };
        let reserve = &mut self.refill_to_free();
        // What the kernel will not unmap is cut off the extent that it made longer and given up.
        // Where there is no node for that, it stays, as memory of the region that the caller may
        // unmap.
        if self.unmap_range(reserve, space, range).is_err()
            && self.split_extent(reserve, space, start).is_ok()
        {
            self.abandon(space, range);
        }
    }
}
