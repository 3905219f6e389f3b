// SPDX-License-Identifier: BSD-2-Clause
//! Extents moved to other addresses of their space, and what of them must go back.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::region::{Backing, Kind, RegionSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Moves one extent. Where a call is refused, the extent is where it was.
    pub(crate) fn move_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
        moved: Extent,
    ) -> Result {
        // Taken first: once the pages are moved, recording that must not fail.
        let node = self.pools.extent(reserve)?;
        let mapped = match space.store.get() {
            false => extent.frames.count,
            true => match self.unmap_looked_at_in(&extent) {
                Ok(()) => 0,
                Err(error) => {
                    self.pools.spare_extent(reserve, node);
                    return Err(Error::from(error));
                }
            },
        };
        for index in 0..mapped {
            if let Err(error) = self.page_unmap(space, extent.mapped(index)) {
                self.pools.spare_extent(reserve, node);
                if index != 0 {
                    // Those unmapped so far are mapped again, where they were.
                    let part = extent.part(0, index);
                    self.record_unmapped(space, &part);
                    self.restore_extent(reserve, space, part);
                }
                return Err(Error::from(error));
            }
        }
        // None of its pages is mapped now, and the record says so but for the extent itself.
        self.record_unmapped(space, &extent);
        match self.map_extent(reserve, space, moved) {
            Ok(()) => {
                self.enter_extent(reserve, space, node, moved);
                self.remove_extent(space, extent, 0, extent.frames.count);
                Ok(())
            }
            Err((error, mapped_end)) => {
                self.pools.spare_extent(reserve, node);
                // Back: what is mapped at the new place is unmapped, then all of it mapped at the
                // old.
                let done = (mapped_end.bits() - moved.start.bits()) >> extent.frames.size_bits;
                let mut back = done;
                while back != 0 && self.page_unmap(space, extent.mapped(back - 1)).is_ok() {
                    back -= 1;
                }
                // Those are mapped nowhere; the first `back` ones are at the new place for now.
                if back != done {
                    self.record_unmapped(space, &moved.part(back, done - back));
                }
                if back != 0 {
                    self.remove_extent(space, extent, 0, back);
                    if let Ok(node) = self.pools.extent(reserve) {
                        self.enter_extent(reserve, space, node, moved.part(0, back));
                    }
                }
                if back == extent.frames.count {
                    return Err(error);
                }
                let extent = extent.part(back, extent.frames.count - back);
                self.restore_extent(reserve, space, extent);
                Err(error)
            }
        }
    }

    /// Sends the pages of a region back to those of `home`, which they were moved from, and
    /// releases it. What the kernel refuses now waits in it, in quarantine.
    pub(crate) fn send_back(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        home: &Region<'p>,
    ) {
        let (serial, start) = (home.serial(), home.start().bits());
        let first_page = start >> self.geometry.page_bits;
        // A later region is taken for it only after 2^32 others, at the same place.
        let backing = Backing::Pager { token: serial as u32 };
        let kind = Kind::Quarantine;
        let spec = RegionSpec { kind, backing, first_page, ..region.spec() };
        space.regions_mut().set_spec(region, spec);
        self.quarantined += 1;
        if self.retry_quarantined(space, region).is_ok() {
            self.quarantined -= 1;
        }
    }

    /// Tries again to give back a region in quarantine; first, where its pages were to be moved
    /// back, that. Pages whose home is no more are given back with it.
    pub(crate) fn retry_quarantined(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
    ) -> Result {
        let spec = region.spec();
        if let (Backing::Pager { token }, Some(range)) = (spec.backing, self.usable(region)) {
            let home = spec.first_page << self.geometry.page_bits;
            let mut next = space.extents().first_in(range);
            while let Some(extent) = next {
                let distance = extent.start.bits() - region.start().bits();
                let target = self.geometry.address(home + distance)?;
                let moved = Extent { start: target, ..extent };
                if self.is_home(space, &moved, token) {
                    self.move_extent(&mut Reserve::as_it_is(), space, extent, moved)?;
                    for edge in [moved.start.bits(), moved.end()] {
                        let edge = self.geometry.address(edge);
                        let _ = edge.map(|edge| self.join_extent(space, edge));
                    }
                }
                next = range.from(extent.end()).and_then(|rest| space.extents().first_in(rest));
            }
        }
        self.release_region(&mut Reserve::as_it_is(), space, region)
    }

    /// Whether an extent can be where its pages were: in the region with this serial number, where
    /// nothing else is.
    fn is_home(&self, space: &Space<'p>, moved: &Extent, serial: u32) -> bool {
        let pages = (moved.end() - moved.start.bits()) >> self.geometry.page_bits;
        let Ok(range) = self.geometry.range(Pages::at(moved.start.bits()).count(pages)) else {
            return false;
        };
        let region = space.regions().at(moved.start);
        let usable =
            region.filter(|region| region.serial() as u32 == serial && region.is_callers());
        let inside = usable.and_then(|region| self.usable(region)?.intersection(range));
        inside == Some(range) && space.extents().first_in(range).is_none()
    }
}
