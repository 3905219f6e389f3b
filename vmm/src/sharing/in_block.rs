// SPDX-License-Identifier: BSD-2-Clause
//! Single pages shared into an open block.
//!
//! What must be found out for such a page is kept with the block that it comes into (see
//! `state/open_blocks.rs`) and with the passage between both regions (`state/passage.rs`). So it
//! costs its two kernel calls, a slot that is at hand, and a note in a window.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CachePolicy, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::open_blocks::{Links, OpenBlock};
use crate::state::passage::Passage;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Shares the page at `start` (bytes) as page number `page` of the region `into`, as
    /// [`Vmm::share_into_with`] does, if the passage is known, the block open, and slots and nodes
    /// are at hand. `None` otherwise: nothing was done then.
    #[inline]
    pub(super) fn share_in_block(
        &mut self,
        space: SpaceId,
        start: usize,
        (into, page): (RegionId, usize),
        most: Rights,
    ) -> Option<Result> {
        let passage = self.passage.as_ref()?;
        if !passage.leads(space, start, into) || !passage.is_valid() {
            return None;
        }
        let (from, bits) = (passage.from, self.geometry.page_bits);
        if page >= (passage.high - passage.low) >> bits {
            return None;
        }
        let at = self.geometry.address(passage.low + (page << bits)).ok()?;
        let start = self.geometry.address(start).ok().filter(|start| start.is_aligned(bits))?;
        let block = self.open_blocks.find(&self.geometry, into.space, at.bits())?;
        if !self.can_come_to(block, at) {
            return None;
        }
        let extent = from.extents().at(start)?;
        let piece = extent.part(extent.index_of(start), 1);
        if piece.frames.size_bits != bits || piece.cow {
            return None;
        }
        self.share_page_in_block(block, &piece, at, most)
    }

    /// Whether a copy can be mapped at `at` in an open block, and recorded, with nothing wanting.
    #[inline(always)]
    fn can_come_to(&self, (block, links): (&'p OpenBlock<'p>, Links<'p>), at: VirtAddr) -> bool {
        let Links { space, node, table, .. } = links;
        let quota = space.quota();
        let limits = [Resource::Frames, Resource::Slots].map(|resource| quota.of(resource));
        node.is_window()
            && block.has_room_at(node, &self.geometry, at)
            && !table.is_listed_empty()
            && limits == [usize::MAX; 2]
            && self.refcounts.singles.have_room()
            && self.has_reserve()
    }

    #[inline(always)]
    fn share_page_in_block(
        &mut self,
        (block, links): (&'p OpenBlock<'p>, Links<'p>),
        piece: &Extent,
        at: VirtAddr,
        most: Rights,
    ) -> Option<Result> {
        let frame = piece.frames.first;
        let origin = match piece.source {
            Source::Owned => frame,
            Source::Copy => self.refcounts.origin(frame)?,
            Source::Borrowed | Source::Physical => return None,
        };
        self.refcounts.insert_groups(&mut self.pools.refcounts, origin, 1).ok()?;
        let copy = self.refcounts.singles.take(origin)?;
        let frames = match self.copy_single(origin, copy, piece) {
            Ok(frames) => frames,
            Err(error) => return Some(Err(error)),
        };
        let Links { space, node, table, .. } = links;
        let (root, cache) = (space.root.get(), CachePolicy::WriteBack);
        let rights = block.rights.get() & most;
        if let Err(refusal) = self.kernel.page_map(copy, root, at.bits(), rights, cache) {
            self.delete_copies(copy, 1);
            return Some(Err(Error::from(refusal)));
        }
        table.use_one_more();
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        let page = Extent { source: Source::Copy, ..Extent::fresh(at, frames, rights, cache) };
        space.extents_mut().fill_with_copy(node, &page);
        Some(Ok(()))
    }

    /// Keeps what was found out for a page that was shared alone: the passage, and the block that it
    /// came into.
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
        self.passage = Some(Passage {
            from,
            from_low,
            from_high,
            from_changes: from.changes(),
            into,
            region: self.id_of(into, target),
            low: site.low,
            high: site.high,
            changes: into.changes(),
        });
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = into.shadow.borrow().find(&self.geometry, deepest, to.start());
        let node = into.extents().single_at(to.start());
        if let Some(single) = node.zip(table) {
            self.open_block(&site, single, to.start(), true);
        }
    }
}
