//! Memory that is mapped when it is touched.
//!
//! The commonest fault by far is the first touch of one page, and of the page behind the one touched
//! last. There is a short way for each: `first_touch` and `touch_next`. They decide by the same rules
//! as [`crate::classify`], on what the region's node says.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::fault::{FaultClass, PageFault};
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;
use crate::types::region::{Backing, Kind, RegionSpec};

/// The class of the first touch of a page of such a region, if that maps this one page.
#[inline(always)]
fn one_by_one(region: &RegionSpec, fault: &PageFault) -> Option<FaultClass> {
    let one = matches!(region.backing, Backing::OnDemand { around: 1 });
    match region.kind {
        _ if !one || !region.rights.contains(fault.access.needs()) => None,
        Kind::Memory => Some(FaultClass::DemandZero { around: 1 }),
        Kind::Stack => Some(FaultClass::StackGrowth { around: 1 }),
        _ => None,
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps the page that was touched, if it is the one behind the run used last, and of a region that
    /// is mapped on demand and page by page: memory that is touched in order. `None` if it is no such
    /// page, or the kernel refused: nothing was done then.
    #[inline(always)]
    pub(crate) fn touch_next(&mut self, space: SpaceId, fault: &PageFault) -> Option<FaultClass> {
        let page = fault.address & !(self.geometry.page_bytes() - 1);
        if !self.is_streak(space, page) {
            self.begin_streak(space, page)?;
        }
        let class = one_by_one(&self.streak_region()?.spec(), fault)?;
        matches!(self.go_on(), Some(Ok(()))).then_some(class)
    }

    /// Maps the page that was touched, if it is one that nothing is mapped at, of a region that is
    /// mapped on demand and page by page. `None` if it is no such page: nothing was done then.
    pub(crate) fn first_touch(
        &mut self,
        id: SpaceId,
        fault: &PageFault,
    ) -> Option<Result<FaultClass>> {
        let space = self.space(id).ok()?;
        let address = self.geometry.address(fault.address).ok()?;
        let region = space.regions.borrow().at(address)?;
        let (low, high) = self.between_guards(region);
        let class = one_by_one(&region.spec(), fault)?;
        if address.bits() < low || address.bits() >= high {
            return None;
        }
        let page = self.geometry.page_of(address);
        // This look-up, unlike that of one address, is what `touch_next` begins with.
        if space.extents.borrow().first_in(page).is_some() {
            return None;
        }
        let mapped = self
            .check_quota(space, Resource::Frames, 1)
            .and_then(|()| self.refill())
            .and_then(|()| self.commit_page(space, region, page));
        Some(mapped.map(|()| class))
    }

    /// Maps fresh memory at a page and at the unmapped ones next to it, in the block of `around`
    /// pages it lies in.
    pub(crate) fn fill(
        &mut self,
        space: &'p Space<'p>,
        address: VirtAddr,
        around: usize,
    ) -> Result {
        self.refill()?;
        let Some(region) = space.regions.borrow().at(address) else { return Ok(()) };
        let Some(usable) = self.usable(region) else { return Ok(()) };
        let block_bits = self.geometry.page_bits + around.ilog2() as u8;
        let block = self.geometry.range(address.align_down(block_bits).bits(), around);
        let block = block.ok().and_then(|block| block.intersection(usable));
        let range = self.unmapped_around(space, block.unwrap_or(usable), address);
        self.check_quota(space, Resource::Frames, 1)?;
        let filled = self
            .check_quota(space, Resource::Frames, range.pages())
            .and_then(|()| self.commit(space, region, range));
        match filled {
            // One page may fit where more do not.
            Err(error) if range.pages() > 1 && error.blame() == crate::Blame::Resource => {
                let page = self.geometry.page_of(address);
                self.commit(space, region, page)
            }
            filled => filled,
        }
    }

    /// The largest range around `address`, inside `block`, in which nothing is mapped.
    fn unmapped_around(&self, space: &Space<'p>, block: PageRange, address: VirtAddr) -> PageRange {
        let bits = self.geometry.page_bits;
        let page = (address.bits() - block.start().bits()) >> bits;
        let mapped = |index: usize| {
            let at = block.part(index, 1).map(PageRange::start);
            at.is_some_and(|at| space.extents.borrow().at(at).is_some())
        };
        let first = (0..page).rev().find(|&index| mapped(index)).map_or(0, |index| index + 1);
        let end = (page + 1..block.pages()).find(|&index| mapped(index)).unwrap_or(block.pages());
        block.part(first, end - first).unwrap_or(self.geometry.page_of(address))
    }
}
