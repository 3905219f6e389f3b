// SPDX-License-Identifier: BSD-2-Clause
//! Breaking copy-on-write: the writer of a shared page gets a frame of its own.
//!
//! ```text
//!   first write    a fault; the page gets a new frame with the same contents
//!   last user      gets the right to write back, without a copy
//! ```

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{AllocatedFrames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::open_blocks::{index_in_block, Links, OpenBlock};
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::fault::PageFault;
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;

/// Why copy-on-write is broken.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// A write to the page has just faulted.
    Write,
    /// Something else is to be done with the page.
    Request,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Breaks copy-on-write for every page of `range` that is under it.
    pub(crate) fn break_cow_in(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, .. }) = cursor.next(space) {
            if extent.cow {
                self.break_cow(space, extent.address(first), Cause::Request)?;
                // One page at a time: the others of the extent are looked up anew.
                cursor.go_to(extent.part(first, 1).end());
            }
        }
        Ok(())
    }

    /// Gives the page at `address`, which is copy-on-write, a frame of its own with the same
    /// contents; or, if nobody else has its frame, the right to write to that. Six kernel calls and
    /// a copy (seven for what is a copied capability's); or one.
    pub(crate) fn break_cow(
        &mut self,
        space: &'p Space<'p>,
        address: VirtAddr,
        cause: Cause,
    ) -> Result {
        if let Some(broken) = self.break_cow_in_block(space.id.get(), address.bits(), cause) {
            return broken;
        }
        let extent = space.extents().at(address);
        let extent = extent.ok_or_else(|| space.not_mapped(address.bits()))?;
        let mut extent = extent;
        if self.open_block_to_break(space, &mut extent, address) {
            if let Some(broken) = self.break_cow_in_block(space.id.get(), address.bits(), cause) {
                return broken;
            }
        }
        let index = extent.index_of(address);
        let piece = extent.part(index, 1);
        if self.refcounts.is_exclusive(piece.frames.first, piece.source) {
            self.unmark_cow(space, piece)?;
            return match cause {
                Cause::Write if self.is_deferred(&piece) => self.map_recorded(space, address),
                Cause::Write | Cause::Request => Ok(()),
            };
        }
        // It was paid for when the clone was made: what is shared counts as what is its own.
        let reserve = &mut self.refill()?;
        let size_bits = self.geometry.page_bits;
        // It will be overwritten as a whole, so a dirty frame serves as it is.
        let mobility = self.mobility_at(space, address);
        let taken = self
            .alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, size_bits, 1, mobility))?;
        let frames = match taken {
            AllocatedFrames::Zeroed(clean) => clean.frames(),
            AllocatedFrames::Dirty(dirty) => dirty.frames(),
        };
        self.replace_frame(reserve, space, extent, index, frames, false)
    }

    /// Opens the block of a page under copy-on-write, at `page` in an extent, if it is one of a
    /// caller's region; says whether it did. It is the page's extent then.
    fn open_block_to_break(
        &mut self,
        space: &'p Space<'p>,
        extent: &mut Extent,
        page: VirtAddr,
    ) -> bool {
        // There is no window, and none will be made.
        let in_vain =
            extent.frames.count != 1 && !self.pools.has_windows() && self.alloc.untypeds_are_few();
        if extent.frames.size_bits != self.geometry.page_bits || in_vain {
            return false;
        }
        let region = space.regions().at(page);
        region.is_some_and(|region| self.open_block_of(space, region, extent, page))
    }

    /// Breaks copy-on-write for the page at `start` (bytes), as [`Vmm::break_cow`] does, if its
    /// block is open. `None` otherwise: nothing was done then.
    pub(crate) fn break_cow_in_block(
        &mut self,
        space: SpaceId,
        start: usize,
        cause: Cause,
    ) -> Option<Result> {
        let found = self.open_blocks.find(&self.geometry, space, start)?;
        let index = index_in_block(&self.geometry, start);
        let page = found.1.node.page(index)?;
        let ours = page.cow && page.start.bits() == start;
        if ours {
            self.break_cow_of(found, index, &page, cause)
        } else {
            None
        }
    }

    /// The same for page number `index` of an open block, which is under copy-on-write.
    #[inline(never)]
    fn break_cow_of(
        &mut self,
        (block, links): (&'p OpenBlock<'p>, Links<'p>),
        index: usize,
        page: &Extent,
        cause: Cause,
    ) -> Option<Result> {
        let space = links.space;
        if !self.refcounts.is_exclusive(page.frames.first, page.source) {
            return self.replace_in_block(block, links, page);
        }
        let marked = Extent { cow: false, ..*page };
        match cause {
            _ if marked.mapped_rights() == page.mapped_rights() => {}
            Cause::Write => {
                if let Err(error) = self.remap_after_fault(space, &marked) {
                    return Some(Err(error));
                }
            }
            Cause::Request => {
                let (done, outcome) = self.remap(space, &marked);
                if done != 0 {
                    self.note_broken(links, index, &marked);
                }
                return Some(outcome);
            }
        }
        self.note_broken(links, index, &marked);
        Some(Ok(()))
    }

    /// Records that page number `index` of an open block is under copy-on-write no more.
    #[inline(always)]
    fn note_broken(&mut self, Links { space, node, .. }: Links<'p>, index: usize, page: &Extent) {
        space.extents_mut().set_rights_in(node, index, page);
        // Copies never came together.
        if page.source == Source::Owned && node.is_edge(index) {
            self.fold(space, node);
        }
    }

    /// The same for a page whose frame others have, too: it gets one of its own.
    fn replace_in_block(
        &mut self,
        block: &OpenBlock<'p>,
        links: Links<'p>,
        page: &Extent,
    ) -> Option<Result> {
        let Links { space, node, .. } = links;
        if page.abandoned {
            return None;
        }
        let reserve = &mut match self.refill() {
            Ok(reserve) => reserve,
            Err(error) => return Some(Err(error)),
        };
        let (bits, mobility) = (self.geometry.page_bits, block.mobility.get());
        // Where there was no frame ready, tables may have been given back, and the block be closed.
        let taken =
            self.alloc_or_prune(|alloc, kernel| alloc.alloc_frame_to_fill(kernel, bits, mobility));
        let frames = match taken {
            Ok(frames) => frames,
            Err(error) => return Some(Err(error)),
        };
        if let Err(error) = self.copy_page_out(reserve, space, page, frames) {
            self.free_or_defer(frames);
            return Some(Err(error));
        }
        // Its old frame is mapped nowhere here any more, and a copy of its capability deleted.
        let own = Extent { frames, cow: false, source: Source::Owned, ..*page };
        space.extents_mut().replace_in(node, page, &own);
        if page.source == Source::Owned {
            // It has copies, or the page would have its frame alone.
            self.refcounts.owner_gone(page.frames.first);
        }
        let index = index_in_block(&self.geometry, page.start.bits());
        let mapped = self.map_replaced(space, &own);
        if node.is_edge(index) {
            self.fold(space, node);
        }
        Some(mapped)
    }

    /// The same for a page that was written to, if it may be.
    #[inline]
    pub(crate) fn break_cow_touched(
        &mut self,
        space: SpaceId,
        fault: &PageFault,
    ) -> Option<Result> {
        let found = self.open_blocks.find(&self.geometry, space, fault.address)?;
        let index = index_in_block(&self.geometry, fault.address);
        let page = found.1.node.page(index)?;
        let may = page.rights.contains(fault.access.needs(&self.geometry));
        if !page.cow || !may || self.quarantined != 0 {
            return None;
        }
        self.break_cow_of(found, index, &page, Cause::Write)
    }
}
