// SPDX-License-Identifier: BSD-2-Clause
//! Filling: mapping a page in a block of which others were mapped one by one.
//!
//! What must be found out for such a page is kept with its block (see `state/open_blocks.rs`). So a
//! page that is filled in costs the kernel call, a frame that is at hand, and a note in a window,
//! in whatever order pages come.

use page_tables::VirtAddr;
use untyped_alloc::{CachePolicy, Frames, Kernel, Memory, Refused};

use super::commit::Single;
use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::open_blocks::{index_in_block, Links, OpenBlock};
use crate::state::site::Site;
use crate::types::error::Error;
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps the page at `start` (bytes) if it goes on where an extent of its region ends, as
    /// [`Vmm::append_pages`] does, or if its block is open. `None` if it is no such page, or not to
    /// be mapped at all: nothing was done then.
    #[inline(always)]
    pub(crate) fn append_or_fill(
        &mut self,
        space: SpaceId,
        start: usize,
    ) -> Option<Result<(), Refused>> {
        if !self.is_append(space, start) {
            if let Some((block, links)) = self.open_blocks.find(&self.geometry, space, start) {
                let whole = start & (self.geometry.page_bytes() - 1) == 0;
                return if whole { self.fill(block, links, start) } else { None };
            }
            self.begin_append(space, start)?;
        }
        self.append()
    }

    /// Maps the page that begins at `start` (bytes) in an open block, if nothing is mapped there and a
    /// frame is at hand: a clean one, or one that was used, where it is known that no other is to be
    /// had.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        block: &'p OpenBlock<'p>,
        links: Links<'p>,
        start: usize,
    ) -> Option<Result<(), Refused>> {
        let address = self.geometry.address(start).ok()?;
        let Links { space, node, table, .. } = links;
        if !node.is_window() {
            return self.widen(block, start);
        }
        let index = index_in_block(&self.geometry, start);
        if !block.has_room_at(node, index) || table.is_listed_empty() {
            return None;
        }
        // In quarantine may be the page itself, which could not be moved back there.
        let limited = space.quota().of(Resource::Frames) != usize::MAX;
        if self.quarantined != 0 || limited {
            return None;
        }
        let frame = match self.alloc.alloc_zeroed_at_hand(block.mobility.get()) {
            Some(clean) => clean.frames(),
            None => match self.zeroed_again(block)? {
                Ok(frame) => frame,
                Err(refusal) => return Some(Err(refusal)),
            },
        };
        let (rights, cache) = (block.rights.get(), CachePolicy::WriteBack);
        let page = ((frame.first, Source::Owned), start);
        if let Err(refusal) = self.page_map(space, page, rights, cache) {
            // It was allocated, so it can be freed.
            let _ = self.alloc.free_unused_frames(frame);
            return Some(Err(refusal));
        }
        table.use_one_more();
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        space.extents_mut().fill(node, index, &Extent::fresh(address, frame, rights, cache));
        Some(Ok(()))
    }

    /// A frame for a page of an open block where it is known that none is clean: one that was used,
    /// zeroed. `None` if none is at hand, or the block is open no more: nothing was done then, but
    /// that a frame may be clean.
    #[inline(never)]
    fn zeroed_again(&mut self, block: &'p OpenBlock<'p>) -> Option<Result<Frames, Refused>> {
        let reserve = &mut self.refilled_to_take()?;
        let dirty = self.alloc.alloc_dirty_at_hand(block.mobility.get())?;
        let frame = match self.zero_frames(reserve, dirty) {
            Ok(clean) => clean.frames(),
            Err(Error::Kernel { invocation, error, .. }) => {
                return Some(Err(Refused { invocation, error }));
            }
            Err(_) => return None,
        };
        if block.links().is_none() {
            // Making the temporary slot's page table took what the block was known by.
            let _ = self.alloc.free_unused_frames(frame);
            return None;
        }
        Some(Ok(frame))
    }

    /// Makes a window of the only page of an open block, unless the page at `start` (bytes) goes on
    /// behind it, in its batch too. Then that can be filled in.
    #[inline(never)]
    fn widen(&mut self, block: &'p OpenBlock<'p>, start: usize) -> Option<Result<(), Refused>> {
        let links @ Links { space, node, .. } = block.links()?;
        let page = self.geometry.address(start).ok()?;
        let goes_on = node.ends_at(page) && {
            let batch = self.alloc.batch_of(node.frames());
            batch.is_some_and(|batch| self.alloc.is_zeroed_in_batch(&batch, node.count()))
        };
        if goes_on || !block.can_widen(node, &self.geometry, page) {
            self.begin_append(space.id.get(), start)?;
            return self.append();
        }
        let window = self.pools.window()?;
        space.extents_mut().widen(node, window);
        self.fill(block, links, start)
    }

    /// Keeps the block of a page that is recorded by itself, if a caller may map other pages of it
    /// one by one, and `more` says that there may be frames for that.
    #[inline(always)]
    pub(crate) fn open_block(
        &mut self,
        site: &Site<'p>,
        single: Single<'p>,
        page: VirtAddr,
        more: bool,
    ) {
        let known = self.open_blocks.find_in(&self.geometry, site.space, page.bits());
        if let Some((_, links)) = known {
            if core::ptr::eq(links.node, single.node) {
                return;
            }
            // Beside the window that is known, another has grown.
            self.close_block(site.space, page.bits());
        }
        // Frames that are not cached as others may have to leave the direct map first.
        let alike = site.callers && !site.strided && site.cache == CachePolicy::WriteBack;
        let others = site.high - site.low != self.geometry.page_bytes();
        if alike && others && more && self.short_cuts {
            let Vmm { open_blocks, pools, geometry, .. } = self;
            // An append cursor would go on with pages that can be in the window from now on.
            let extents = site.space.extents_mut();
            let room = single.room.unwrap_or_else(|| extents.room_around(single.node));
            let single = (single.node, single.table);
            open_blocks.keep(geometry, site, single, (page, room), || pools.shelf());
        }
    }
}
