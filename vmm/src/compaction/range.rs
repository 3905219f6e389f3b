// SPDX-License-Identifier: BSD-2-Clause
//! Moving pages out of a range of physical memory.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::occupant::Occupant;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Moves all pages elsewhere that lie in `bytes` of RAM from `paddr` on; says whether nothing
    /// is in use there any more. At most as many pages move as [`Vmm::limit_compaction`] allows:
    /// then the same request goes on.
    ///
    /// # Errors
    /// [`Error::Allocator`] with `AddressInUse` where something lies there that cannot move:
    /// nothing is done then. Others when there is not the memory to move it to.
    pub(crate) fn empty_range(&mut self, paddr: usize, bytes: usize) -> Result<bool> {
        self.survey();
        let live = self.alloc.begin_emptying(paddr, bytes)?;
        let moved = self.move_out_of_range(paddr, bytes, live);
        // Whatever came of it, the memory is open for use again.
        self.alloc.end_emptying(paddr, bytes);
        moved
    }

    fn move_out_of_range(&mut self, paddr: usize, bytes: usize, live: usize) -> Result<bool> {
        let mut budget = self.compaction.most_pages;
        let count = live.min(budget);
        loop {
            let _reserve = self.refill()?;
            if self.alloc.make_refuges(&mut self.kernel, paddr, bytes, count)? {
                break;
            }
        }
        self.move_out(&mut budget)?;
        Ok(count == live)
    }

    /// The refusal of memory that is in use at a physical address, which says by what.
    #[cold]
    pub(crate) fn in_the_way(&self, paddr: usize) -> Error {
        match self.occupant(paddr) {
            Some(by) => Error::PhysicalInUse { paddr, by },
            None => untyped_alloc::Error::AddressInUse(paddr).into(),
        }
    }

    /// What lies at a physical address, or came together with what does. O(extents of all spaces).
    fn occupant(&self, paddr: usize) -> Option<Occupant> {
        let (blueprint, base, first, count) = self.alloc.made_at(paddr)?;
        let (first, end) = (first.bits(), first.bits() + count);
        let mut found = None;
        for space in self.spaces.iter() {
            for extent in space.extents().iter() {
                let its = extent.frames.first.bits();
                let its_end = its + extent.frames.count;
                let Some(region) = space.regions().at(extent.start) else { continue };
                if its >= end || first >= its_end {
                    continue;
                }
                // Frames that came together lie in memory as their capabilities do in slots.
                let place = |slot: usize| base + ((slot - first) << extent.frames.size_bits);
                let asked = first + (paddr.saturating_sub(base) >> extent.frames.size_bits);
                let at = if asked < its_end { place(asked.max(its)) } else { place(its) };
                let rank = (self.may_move(space, &extent), at < paddr, at);
                if found.is_none_or(|(best, _)| rank < best) {
                    let region = self.id_of(space, region);
                    found = Some((rank, Occupant::Region { region, paddr: at }));
                }
            }
        }
        Some(found.map_or(Occupant::Object(blueprint), |(_, by)| by))
    }
}
