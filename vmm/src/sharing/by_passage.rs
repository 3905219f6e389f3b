// SPDX-License-Identifier: BSD-2-Clause
//! Single pages shared into an open block.
//!
//! What must be found out for such a page is kept with the block that it comes into (see
//! `state/open_blocks.rs`) and with the passage between both regions (`state/passage.rs`). So it
//! costs its two kernel calls, a slot that is at hand, and a note in a window.

use core::ops::Range;

use page_tables::{PageRange, Table, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::mapping::commit::Single;
use crate::state::extent::Extent;
use crate::state::open_blocks::{index_in_block, Links, OpenBlock};
use crate::state::passage::Passage;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::site::Site;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Shares the page at `start` (bytes) as page number `page` of the region `into`, as
    /// [`Vmm::share_into_with`] does, if the passage is known, its page table is there, and slots
    /// and nodes are at hand. Says whether it did; otherwise nothing was done.
    #[inline]
    pub(super) fn share_by_passage(
        &mut self,
        space: SpaceId,
        start: usize,
        (into, page): (RegionId, usize),
        most: Rights,
    ) -> Result<bool> {
        let Some(passage) = &self.passage else { return Ok(false) };
        if !passage.leads(space, start, into) || !passage.is_valid() {
            return Ok(false);
        }
        let (site, bits) = (&passage.site, self.geometry.page_bits);
        let whole = start & (self.geometry.page_bytes() - 1) == 0;
        if !whole || page >= (site.high - site.low) >> bits {
            return Ok(false);
        }
        let quota = site.space.quota();
        let limits = [Resource::Frames, Resource::Slots].map(|resource| quota.of(resource));
        if limits != [usize::MAX; 2] || !self.has_nodes_to_share() {
            return Ok(false);
        }
        // The passage leads from the one and to the other.
        let start = self.geometry.address(start)?;
        let at = self.geometry.address(site.low + (page << bits))?;
        let Some(frame) = passage.from.extents().plain_frame_at(start, bits) else {
            return Ok(false);
        };
        let rights = site.rights & most;
        match self.open_blocks.find_in(&self.geometry, site.space, at.bits()) {
            Some((block, links))
                if links.node.is_window() || self.widen_for_copy(block, links, at) =>
            {
                let index = index_in_block(&self.geometry, at.bits());
                let fits = block.has_room_at(links.node, index);
                if !fits || links.table.is_listed_empty() {
                    return Ok(false);
                }
                self.share_in_block(links, (frame, start), (at, rights))
            }
            _ => self.share_beside((frame, start), (at, rights)),
        }
    }

    /// Makes a window of the only page of an open block, if it can be one with the page at `at`.
    #[inline(never)]
    fn widen_for_copy(&mut self, block: &OpenBlock<'p>, links: Links<'p>, at: VirtAddr) -> bool {
        let Links { space, node, .. } = links;
        let can = block.can_widen(node, &self.geometry, at);
        let window = if can { self.pools.window() } else { None };
        window.map(|window| space.extents_mut().widen(node, window)).is_some()
    }

    /// Shares a frame, which is mapped at `start`, as the page at `at` of an open block.
    #[inline(always)]
    fn share_in_block(
        &mut self,
        links: Links<'p>,
        (frame, start): ((CPtr, Source), VirtAddr),
        (at, rights): (VirtAddr, Rights),
    ) -> Result<bool> {
        let Links { space, node, table, .. } = links;
        let Some(page) = self.map_copy(frame, start, (space, at, rights))? else {
            return Ok(false);
        };
        table.use_one_more();
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        space.extents_mut().fill_with_copy(node, &page);
        Ok(true)
    }

    /// The same, where no block is open: it is then.
    #[inline(never)]
    fn share_beside(
        &mut self,
        (frame, start): ((CPtr, Source), VirtAddr),
        (at, rights): (VirtAddr, Rights),
    ) -> Result<bool> {
        let Some(site) = self.passage.as_ref().map(|passage| passage.site) else {
            return Ok(false);
        };
        let space = site.space;
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, at);
        let Some(table) = table.filter(|table| !table.is_listed_empty()) else {
            return Ok(false);
        };
        if !space.extents().is_vacant(at) {
            return Ok(false);
        }
        let Some(page) = self.map_copy(frame, start, (space, at, rights))? else {
            return Ok(false);
        };
        table.use_one_more();
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        let room = space.extents().beside(at).room();
        // There is a node: no pool was below its reserve.
        self.record_beside(&mut Reserve::full(), space, page, (site.low, site.high))?;
        self.open_block_at(&site, table, (at, Some(room)));
        Ok(true)
    }

    /// Copies the capability of a frame, which is mapped at `start`, and maps the copy; that page.
    /// `None` where no slot is at hand: nothing was done then.
    #[inline(always)]
    fn map_copy(
        &mut self,
        (frame, source): (CPtr, Source),
        start: VirtAddr,
        (space, at, rights): (&'p Space<'p>, VirtAddr, Rights),
    ) -> Result<Option<Extent>> {
        let origin = match source {
            Source::Owned | Source::Physical => Some(frame),
            Source::Copy => self.refcounts.origin(frame),
            Source::Borrowed => None,
        };
        let Some(origin) = origin else { return Ok(None) };
        self.note_used_at(start);
        let Some(copied) = self.copy_alone(origin, start) else {
            self.remove_unused_groups(origin, 1);
            return Ok(None);
        };
        let copy = copied?;
        let cache = CachePolicy::WriteBack;
        let to = ((copy, Source::Copy), at.bits());
        if let Err(refusal) = self.page_map(space, to, rights, cache) {
            self.delete_copies(copy, 1);
            return Err(Error::from(refusal));
        }
        let frames = Frames { first: copy, count: 1, size_bits: self.geometry.page_bits };
        let fresh = Extent::fresh(at, frames, rights, cache);
        Ok(Some(Extent { source: Source::Copy, ..fresh }))
    }

    /// Keeps what was found out for a page that was shared alone: the passage, and the block that
    /// it came into.
    #[inline(never)]
    pub(super) fn keep_passage(
        &mut self,
        (from, source, page): (&'p Space<'p>, &'p Region<'p>, PageRange),
        (into, target, to): (&'p Space<'p>, &'p Region<'p>, PageRange),
    ) {
        if !self.short_cuts || page.pages() != 1 {
            return;
        }
        let site = self.site(into, target);
        if site.cache != CachePolicy::WriteBack {
            return;
        }
        let (from_low, from_high) = self.between_guards(source);
        let (from_changes, region) = (from.changes(), self.id_of(into, target));
        self.passage = Some(Passage { from, from_low, from_high, from_changes, region, site });
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = into.shadow.borrow().find(&self.geometry, deepest, to.start());
        if let Some(table) = table {
            self.open_block_at(&site, table, (to.start(), None));
        }
    }

    /// Opens the block of a page that was just recorded, if that is by itself; `room` is that around
    /// it (bytes), if it was looked for before.
    fn open_block_at(
        &mut self,
        site: &Site<'p>,
        table: &'p Table<'p>,
        (page, room): (VirtAddr, Option<Range<usize>>),
    ) {
        let node = site.space.extents().recorded_alone_at(page);
        if let Some(node) = node {
            // A window has others in it, so more room.
            let room = room.filter(|_| !node.is_window());
            self.open_block(site, Single { node, table, room }, page, true);
        }
    }
}
