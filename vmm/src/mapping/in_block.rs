// SPDX-License-Identifier: BSD-2-Clause
//! Single pages of an open block, unmapped or given other rights.
//!
//! What must be found out for such a page is kept with its block (see `state/open_blocks.rs`), so
//! that it costs the kernel call and a note in a window, in whatever order pages come. Pages that
//! were mapped by one request are an extent; once one in their midst changes, those of its block
//! become a window, and the block is open.
//!
//! ```text
//!   before   ├─────────────────────── extent ───────────────────────┤
//!   after    ├── extent ──┤├───── window: one block ─────┤├─ extent ─┤
//! ```
//!
//! A window whose pages are alike and came together becomes an extent again, joined with those
//! beside it.

use page_tables::VirtAddr;
use untyped_alloc::{CachePolicy, Frames, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_node::ExtentNode;
use crate::state::open_blocks::{block_of, index_in_block, Links};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Unmaps the page at `start` (bytes), as [`Vmm::unmap`] does, if its block is open, nobody
    /// shares it, and its page table has others. `None` otherwise: nothing was done then.
    #[inline(always)]
    pub(super) fn unmap_in_block(&mut self, space: SpaceId, start: usize) -> Option<Result> {
        let (_, links) = self.open_blocks.find(&self.geometry, space, start)?;
        let Links { space, node, table, .. } = links;
        let index = index_in_block(&self.geometry, start);
        let Some(frame) = node.plain_frame(index, Source::Owned) else {
            return self.unmap_copy_in_block(links, index, start);
        };
        let whole = start & (self.geometry.page_bytes() - 1) == 0;
        // Who pinned memory does not have it changed.
        if !whole || table.used() < 2 || self.pinned.count != 0 {
            return None;
        }
        let frames = Frames { first: frame, count: 1, size_bits: self.geometry.page_bits };
        let copied = self.alloc.any_copied() && self.alloc.was_copied(frame);
        if copied || self.refcounts.any_in(&frames) {
            return None;
        }
        if let Err(refusal) = self.page_unmap(space, (frame, Source::Owned)) {
            return Some(Err(Error::from(refusal)));
        }
        table.use_one_less();
        space.mapped_pages.set(space.mapped_pages.get() - 1);
        let unlinked = space.extents_mut().take_out(node, index, self.geometry.page_bytes());
        self.free_unlinked(space, unlinked);
        // It was allocated, so it can be freed.
        let _ = self.alloc.free_frames(frames);
        Some(Ok(()))
    }

    /// The same for a page of a copied capability, number `index` of its block: two kernel calls.
    #[inline(never)]
    fn unmap_copy_in_block(
        &mut self,
        links: Links<'p>,
        index: usize,
        start: usize,
    ) -> Option<Result> {
        let Links { space, node, table, .. } = links;
        let copy = node.plain_frame(index, Source::Copy)?;
        let bytes = self.geometry.page_bytes();
        if start & (bytes - 1) != 0 || table.used() < 2 || self.pinned.count != 0 {
            return None;
        }
        if let Err(refusal) = self.page_unmap(space, (copy, Source::Copy)) {
            return Some(Err(Error::from(refusal)));
        }
        if let Err(refusal) = self.delete_copy(copy) {
            node.page(index).iter().for_each(|page| self.restore_copy(space, page));
            return Some(Err(refusal));
        }
        table.use_one_less();
        space.mapped_pages.set(space.mapped_pages.get() - 1);
        let unlinked = space.extents_mut().take_copy_out(node, index, bytes);
        self.free_unlinked(space, unlinked);
        Some(Ok(()))
    }

    /// Gives the page at `start` (bytes) new rights, as [`Vmm::protect`] does, if its block is
    /// open.
    /// `None` otherwise, and where the rights are more than it may have: nothing was done then.
    #[inline(always)]
    pub(super) fn protect_in_block(
        &mut self,
        space: SpaceId,
        start: usize,
        rights: Rights,
    ) -> Option<Result> {
        let (block, links) = self.open_blocks.find(&self.geometry, space, start)?;
        let Links { space, node, .. } = links;
        let index = index_in_block(&self.geometry, start);
        let page = node.page(index).filter(|page| page.start.bits() == start)?;
        if !block.ceiling.get().contains(rights) || self.pinned.count != 0 {
            return None;
        }
        if page.rights == rights {
            return Some(Ok(()));
        }
        let page = Extent { rights, ..page };
        let (done, outcome) = self.remap(space, &page);
        if done != 0 {
            space.extents_mut().set_rights_in(node, index, &page);
            if node.is_edge(index) {
                self.fold(space, node);
            }
        }
        Some(outcome)
    }

    /// Opens the block of the page at `page` in an extent; says whether it did. If the extent is in
    /// no window, those of its pages that lie in the block become one, and it is the page's then.
    #[inline(always)]
    pub(crate) fn open_block_of(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: &mut Extent,
        page: VirtAddr,
    ) -> bool {
        let ours = matches!(extent.source, Source::Owned | Source::Copy);
        let plain = ours && !extent.strided && !extent.abandoned;
        if !plain || !self.short_cuts {
            return false;
        }
        let single = extent.frames.count == 1 && space.extents().window_at(page).is_none();
        !single && self.open_plain_block(space, region, extent, page)
    }

    #[inline(never)]
    fn open_plain_block(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: &mut Extent,
        page: VirtAddr,
    ) -> bool {
        if self.open_blocks.find(&self.geometry, space.id.get(), page.bits()).is_some() {
            return false;
        }
        let site = self.site(space, region);
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, page);
        let plain = site.callers && site.cache == CachePolicy::WriteBack;
        let Some(table) = table.filter(|_| plain) else { return false };
        let window = space.extents().window_at(page);
        let Some(node) = window.or_else(|| self.break_up(space, extent, page)) else {
            return false;
        };
        *extent = extent.part(extent.index_of(page), 1);
        let Vmm { open_blocks, pools, geometry, .. } = self;
        let room = space.extents_mut().room_around(node);
        open_blocks.keep(geometry, &site, (node, table), (page, room), || pools.shelf());
        true
    }

    /// Makes those pages of an extent a window that lie in the block of one of them, at `page`, if
    /// there are more; its node. Where a node for that would have to be made of the last memory, it
    /// does not.
    fn break_up(
        &mut self,
        space: &'p Space<'p>,
        extent: &Extent,
        page: VirtAddr,
    ) -> Option<&'p ExtentNode<'p>> {
        // No extent goes on across the end of user space, which is in the midst of no block.
        let block = self.geometry.range(block_of(&self.geometry, page)).ok()?;
        let (first, count) = extent.indices_in(block);
        if count == 1 {
            return None;
        }
        // Not from the reserve: that is for those who must have nodes.
        let reserve = &mut self.refill().ok()?;
        let window = self.pools.window()?;
        let behind = extent.frames.count - first - count;
        let wanted = usize::from(first + behind != 0) + usize::from(first != 0 && behind != 0);
        let mut nodes = [None; 2];
        for node in &mut nodes[..wanted] {
            *node = self.pools.extent(reserve).ok();
        }
        if nodes.iter().flatten().count() != wanted {
            nodes.into_iter().flatten().for_each(|node| self.pools.spare_extent(reserve, node));
            self.pools.free_window(window);
            return None;
        }
        space.extents_mut().break_up(extent, (first, count), window, nodes)
    }
}
