// SPDX-License-Identifier: BSD-2-Clause
//! Splitting, merging and moving regions. What is mapped in them stays as it is.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::RegionId;
use crate::types::options::{Placement, RegionOptions, Told};
use crate::types::region::{Kind, RegionSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Splits a region: the first `pages` of its pages (guards below not counted) stay with its id,
    /// the others get the id returned. No kernel call, unless a large page is cut.
    ///
    /// The guard below stays with the lower part, the guard above with the upper one. A pager is
    /// asked for the same pages as before: those of the upper part are counted on.
    ///
    /// # Errors
    /// [`Error::OutsideRegion`] when one part would have no page; [`Error::WrongKind`] for what is
    /// not plain memory; what cutting a large page can meet.
    pub fn split_region(&mut self, region: RegionId, pages: usize) -> Result<RegionId> {
        self.under_pressure(|vmm| vmm.try_split_region(region, pages))
    }

    fn try_split_region(&mut self, region: RegionId, pages: usize) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let (space, node) = self.region(region)?;
        let spec = node.spec();
        if spec.kind != Kind::Memory || node.is_edge() {
            return Err(self.wrong_kind(space, node));
        }
        self.check_unpinned(space, node)?;
        let usable = self.usable(node).ok_or_else(|| self.wrong_kind(space, node))?;
        let name = spec.name;
        let outside = Error::OutsideRegion { address: usable.end(), name };
        let upper = usable.part(pages, usable.pages().saturating_sub(pages)).ok_or(outside)?;
        if pages == 0 {
            return Err(Error::OutsideRegion { address: usable.start().bits(), name });
        }
        let cut = self.cut_large(space, upper).and_then(|()| {
            self.split_extent(reserve, space, upper.start().bits())?;
            self.pools.region(reserve)
        });
        let free = self.finish_cut(space, upper, cut)?;
        let serial = self.next_serial();
        let below = pages + usize::from(spec.guard_below);
        let lower_spec = RegionSpec { pages: below, guard_above: 0, ..spec };
        let (above, first_page) = (spec.pages - below, spec.pagers_page(pages));
        let upper_spec = RegionSpec { pages: above, guard_below: 0, first_page, ..spec };
        space.regions_mut().split(node, free, lower_spec, upper_spec, serial);
        Ok(self.id_of(space, free))
    }

    /// Merges two regions, the second of which begins where the first ends, and which are alike in
    /// everything but their guards' far ends: the first id stays, the second goes stale. Where a
    /// pager supplies them, the second one's pages are those that it counts on with. No kernel
    /// call.
    ///
    /// # Errors
    /// [`Error::OutsideRegion`] when they are not neighbours; [`Error::Guard`] when a guard lies
    /// between them; [`Error::WrongKind`] when they differ or are not plain memory.
    pub fn merge_regions(&mut self, lower: RegionId, upper: RegionId) -> Result {
        let (space, first) = self.region(lower)?;
        let (other_space, second) = self.region(upper)?;
        let (a, b) = (first.spec(), second.spec());
        let end = first.start().bits() + (a.pages << self.geometry.page_bits);
        if !core::ptr::eq(space, other_space) || second.start().bits() != end {
            return Err(Error::OutsideRegion { address: second.start().bits(), name: a.name });
        }
        if a.guard_above != 0 || b.guard_below != 0 {
            let name = if a.guard_above != 0 { a.name } else { b.name };
            return Err(Error::Guard { address: end, name });
        }
        // What may not move in one of them does not move in both; nor do touches bring large pages.
        let movable = if a.movable == b.movable { a.movable } else { Some(false) };
        let large_pages = a.large_pages && b.large_pages;
        let (pages, guard_above) = (a.pages + b.pages, b.guard_above);
        let joined = RegionSpec { pages, guard_above, movable, large_pages, ..a };
        let like_first = RegionSpec {
            pages: a.pages,
            guard_below: a.guard_below,
            guard_above: a.guard_above,
            name: a.name,
            movable: a.movable,
            large_pages: a.large_pages,
            first_page: a.first_page,
            ..b
        };
        // A pager goes on being asked for the same pages.
        let in_order = b.first_page == a.pagers_page(a.pages - usize::from(a.guard_below));
        let edges =
            first.is_edge() || second.is_edge() || first.reservation() != second.reservation();
        if edges || a.kind != Kind::Memory || like_first != a || !in_order {
            return Err(self.wrong_kind(space, second));
        }
        self.check_unpinned(space, first)?;
        self.check_unpinned(space, second)?;
        let node = space.regions_mut().join(first, second, joined);
        self.pools.regions.free(node);
        if let Ok(start) = self.geometry.address(end) {
            self.join_extent(space, start);
        }
        Ok(())
    }

    /// Moves a region to another place of its space, with all that is mapped in it. Two kernel
    /// calls a page. Pages, guards, rights, cache policy and name stay. The old id goes stale.
    ///
    /// # Errors
    /// Those of [`Vmm::reserve`]; [`Error::LargePage`] when a large page would be misaligned;
    /// [`Error::WrongKind`] for what is not plain memory or a stack. When the kernel refuses a
    /// call, pages that were moved are moved back; where it refuses that too, [`Vmm::trim`] and the
    /// next fault in the space do it, and until then those pages are absent.
    pub fn move_region(&mut self, region: RegionId, placement: Placement) -> Result<RegionId> {
        self.under_pressure(|vmm| vmm.try_move_region(region, placement))
    }

    fn try_move_region(&mut self, region: RegionId, placement: Placement) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let (space, old) = self.region(region)?;
        let spec = old.spec();
        if !matches!(spec.kind, Kind::Memory | Kind::Stack) || old.is_edge() {
            return Err(self.wrong_kind(space, old));
        }
        self.check_unpinned(space, old)?;
        let like = RegionOptions::like(&spec, placement);
        // Pages that a write copies stay where the address of that is told.
        let told = match self.has_copy_on_write(space, old) {
            true => Told::Needed,
            false => Told::Indifferent,
        };
        let options = RegionOptions { told, ..like };
        let new = self.place_region(reserve, space, &options)?;
        let (from, to) = (old.start().bits(), new.start().bits());
        match self.move_extents(space, old, from, to) {
            Ok(()) => {
                // Nothing is mapped in it any more.
                self.release_region(reserve, space, old)?;
                Ok(self.id_of(space, new))
            }
            Err(error) => {
                // Back with what was moved. What the kernel will not let go waits where it is.
                self.send_back(space, new, old);
                self.prune_tables(space);
                Err(error)
            }
        }
    }

    /// Whether a page of a region is under copy-on-write, where it makes a difference for its
    /// place. O(extents of the region) there.
    fn has_copy_on_write(&self, space: &Space<'p>, region: &Region<'p>) -> bool {
        if self.tells_all_faults(space) {
            return false;
        }
        let Some(range) = self.usable(region) else { return false };
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            if extent.cow {
                return true;
            }
        }
        false
    }

    /// Moves every extent of a region from the addresses at `from` to those at `to`.
    fn move_extents(
        &mut self,
        space: &'p Space<'p>,
        region: &Region<'p>,
        from: usize,
        to: usize,
    ) -> Result {
        let Some(range) = self.usable(region) else { return Ok(()) };
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let target = self.geometry.address(to + (extent.start.bits() - from))?;
            if !target.is_aligned(extent.frames.size_bits) {
                return Err(Error::LargePage { address: target.bits() });
            }
            let reserve = &mut self.refill()?;
            self.move_extent(reserve, space, extent, Extent { start: target, ..extent })?;
        }
        Ok(())
    }
}
