// SPDX-License-Identifier: BSD-2-Clause
//! The right to write, taken from pages under copy-on-write and given back.

use page_tables::PageRange;
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::ids::{RegionId, SpaceId};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Gives a whole extent another mark of copy-on-write, and its pages the rights that go with
    /// it.
    pub(crate) fn set_cow(&mut self, space: &'p Space<'p>, extent: Extent, cow: bool) -> Result {
        let marked = Extent { cow, ..extent };
        // For the split, should a call be refused in the midst.
        let reserve = &mut self.refill()?;
        let (done, outcome) = match marked.mapped_rights() == extent.mapped_rights() {
            true => (extent.frames.count, Ok(())),
            false => self.remap(space, &marked),
        };
        if done != 0 && done != extent.frames.count {
            self.split_extent(reserve, space, extent.address(done).bits())?;
        }
        if done != 0 {
            space.extents_mut().set_cow(extent.start, cow);
        }
        outcome
    }

    /// Takes the mark of copy-on-write from part of an extent.
    pub(super) fn unmark_cow(&mut self, space: &'p Space<'p>, piece: Extent) -> Result {
        let reserve = &mut self.refill()?;
        self.split_extent(reserve, space, piece.start.bits())?;
        self.split_extent(reserve, space, piece.end())?;
        let outcome = self.set_cow(space, piece, false);
        self.join_extent(space, piece.start);
        if let Ok(end) = self.geometry.address(piece.end()) {
            self.join_extent(space, end);
        }
        outcome
    }

    /// Gives the right to write back to pages in `range` that nobody shares.
    pub(super) fn restore_write_access_in(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
    ) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, count }) = cursor.next(space) {
            if extent.cow {
                let exclusive = |index: usize| {
                    self.refcounts.is_exclusive(extent.frame(first + index), extent.source)
                };
                let alike = exclusive(0);
                let same = (1..count).find(|&index| exclusive(index) != alike).unwrap_or(count);
                if alike {
                    self.unmark_cow(space, extent.part(first, same))?;
                }
                // On with the first frame that is not like these.
                cursor.go_to(extent.part(first, same).end());
            }
        }
        self.join_in(space, range);
        Ok(())
    }

    /// Gives the right to write back to those pages of a region that nobody shares any more. One
    /// kernel call each. Otherwise each gets it at its next write, by a fault.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchRegion`], [`crate::Error::Kernel`].
    pub fn restore_write_access(&mut self, region: RegionId) -> Result {
        let (space, node) = self.region(region)?;
        self.usable(node).map_or(Ok(()), |range| self.restore_write_access_in(space, range))
    }

    /// Settles the regions below `end`: nobody may answer the faults of their threads, once there
    /// is no clone.
    pub(super) fn restore_write_access_below(&mut self, space: SpaceId, end: usize) {
        let mut at = 0;
        while let Ok(Some(info)) = self.next_region(space, at) {
            at = info.range.end();
            if at > end {
                break;
            }
            let _ = self.restore_write_access(info.id);
        }
    }

    /// Gives the right to write back to those pages of a space that nobody shares.
    pub(crate) fn restore_all_write_access(&mut self, space: SpaceId) -> Result {
        let mut at = 0;
        while let Some(info) = self.next_region(space, at)? {
            at = info.range.end();
            self.restore_write_access(info.id)?;
        }
        self.space(space)?.undone.copy_on_write.set(false);
        Ok(())
    }
}
