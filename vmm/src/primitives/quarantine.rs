// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel would not let go of when its maker gave it up.
//!
//! Giving up is not allowed to fail: an operation that is undone must leave nothing that its caller
//! would have to see to. If the kernel refuses an unmap or a delete on that way, what is left goes
//! to the quarantine: it is recorded, counts as used, shows in the statistics, and is tried again
//! by [`Vmm::trim`], and by requests that find no memory.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::ids::RegionId;
use crate::types::region::{Backing, Kind, RegionSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Unmaps what is mapped in a region, and gives its addresses back.
    pub(crate) fn release_region(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
    ) -> Result {
        match self.usable(region) {
            Some(page) if page.pages() == 1 => self.unmap_only(reserve, space, page)?,
            Some(range) => self.unmap_range(reserve, space, range)?,
            None => {}
        }
        let node = space.regions_mut().remove(region);
        self.pools.regions.free(node);
        Ok(())
    }

    /// Takes out the two edges of a reservation in which no region lies.
    pub(crate) fn release_reservation(
        &mut self,
        space: &'p Space<'p>,
        start: &'p Region<'p>,
        id: RegionId,
    ) -> Result {
        let mut regions = space.regions_mut();
        let end = regions.end_of_empty(start);
        let end = end.ok_or_else(|| Error::WrongKind { region: id, name: start.spec().name })?;
        for edge in [end, start] {
            let node = regions.remove(edge);
            self.pools.regions.free(node);
        }
        Ok(())
    }

    /// Releases a region whose id nobody has.
    pub(crate) fn free_region_or_quarantine(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
    ) {
        if self.release_region(reserve, space, region).is_err() {
            // It has no backing any more: see `moves.rs`.
            let (kind, backing) = (Kind::Quarantine, Backing::Explicit);
            let spec = RegionSpec { kind, backing, ..region.spec() };
            space.regions_mut().set_spec(region, spec);
            self.quarantined += 1;
        }
    }

    /// The same for a region that was just made by a request of its own.
    pub(crate) fn free_or_quarantine(&mut self, id: RegionId) {
        if let Ok((space, region)) = self.region(id) {
            self.free_region_or_quarantine(&mut Reserve::as_it_is(), space, region);
        }
    }

    /// Tries again to give back what is in the quarantine. Nothing to do, as a rule.
    pub(crate) fn retry_quarantine(&mut self) -> Result {
        for window in [TempSlot::Target, TempSlot::View] {
            self.unmap_temporary(window)?;
        }
        self.retry_stuck()?;
        self.retry_copies()?;
        let mut space = self.spaces.after(0);
        while let Some(node) = space.filter(|_| self.quarantined != 0) {
            while let Some(region) = self.quarantined_region(node) {
                self.retry_quarantined(node, region)?;
                self.quarantined -= 1;
            }
            space = self.spaces.after(node.id.get().number);
        }
        Ok(())
    }

    /// Gives back memory that the kernel refused to take from earlier requests, as far as it
    /// refuses no more; says whether there was any. O(spaces) when there is none, as a rule.
    pub(crate) fn give_back_refused(&mut self) -> bool {
        let had = self.quarantined + self.temp_slots.left_behind();
        // What is still refused stays recorded.
        let mut given = self.retry_quarantine().is_ok() && had != 0;
        let mut next = self.spaces.after(0);
        while let Some(space) = next {
            if space.undone.abandoned.get() {
                given |= self.unmap_abandoned(space).is_ok();
            }
            next = self.spaces.after(space.id.get().number);
        }
        given || self.quarantined + self.temp_slots.left_behind() < had
    }

    fn quarantined_region(&self, space: &Space<'p>) -> Option<&'p Region<'p>> {
        let regions = space.regions();
        let found = regions.iter().find(|region| region.spec().kind == Kind::Quarantine);
        found
    }
}
