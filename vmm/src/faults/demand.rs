// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is mapped when it is touched.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Blame, Kernel, Memory, Rights};

use super::decide::{decide, Covering};
use crate::manager::vmm::Vmm;
use crate::state::append_cursor::AppendCursor;
use crate::state::open_blocks::{Links, OpenBlock, Touch};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::fault::{Access, FaultClass, PageFault};
use crate::types::ids::SpaceId;
use crate::types::options::PageSize;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps the page that was touched and those around it, if the append cursor is at it or can be
    /// put there, and its region is mapped on demand: memory that is touched in order. `None` if
    /// it is no such page, or the kernel refused: nothing was done then.
    #[inline(always)]
    pub(crate) fn append_touched(
        &mut self,
        space: SpaceId,
        fault: &PageFault,
    ) -> Option<FaultClass> {
        let page = fault.address & !(self.geometry.page_bytes() - 1);
        if !self.is_append(space, page) {
            if let Some(block) = self.open_blocks.find(&self.geometry, space, page) {
                return self.fill_touched(block, page, fault);
            }
            self.begin_append(space, page)?;
        }
        let cursor = self.append_cursor.as_mut()?;
        if !cursor.rights.contains(fault.access.needs(&self.geometry)) {
            return None;
        }
        let class = match cursor.class {
            Some(class) => class,
            None => *cursor.class.insert(class_ahead(cursor)),
        };
        let appended = match class {
            FaultClass::DemandZero { around: 1 } | FaultClass::StackGrowth { around: 1 } => {
                self.append()
            }
            FaultClass::DemandZero { around } | FaultClass::StackGrowth { around } => {
                // The page before is mapped, so what is around begins with this one.
                let bits = self.geometry.page_bits;
                let block = (usize::from(around) << bits) - 1;
                let last = page | block;
                self.append_many(((last - page) >> bits) + 1)
            }
            _ => None,
        };
        matches!(appended, Some(Ok(()))).then_some(class)
    }

    /// Maps the page that was touched, at `page` (bytes) in an open block, if that is mapped on
    /// demand, page by page. `None` if it is not, or the kernel refused: nothing was done then.
    #[inline(always)]
    fn fill_touched(
        &mut self,
        (block, links): (&'p OpenBlock<'p>, Links<'p>),
        page: usize,
        fault: &PageFault,
    ) -> Option<FaultClass> {
        let touch = match block.touch.get() {
            Touch::Unknown => self.find_touch(block, links.region),
            touch => touch,
        };
        let class = touch.of_one_page()?;
        if !block.rights.get().contains(fault.access.needs(&self.geometry)) {
            return None;
        }
        matches!(self.fill(block, links, page), Some(Ok(()))).then_some(class)
    }

    /// Finds out what a touch is of a page of an open block that is not mapped, if the rights allow
    /// it, and keeps it.
    #[inline(never)]
    fn find_touch(&self, block: &OpenBlock<'p>, region: &Region<'p>) -> Touch {
        let (low, high) = self.between_guards(region);
        block.touch.set(class_of_touch(region, low, high).into());
        block.touch.get()
    }

    /// Maps the page that was touched, in `region`, where nothing is mapped; and up to `around` - 1
    /// unmapped ones next to it, in the block of `around` pages that it lies in.
    #[inline]
    pub(super) fn map_touched(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        address: VirtAddr,
        around: u8,
    ) -> Result {
        let page = self.geometry.page_of(address);
        if region.spec().large_pages && self.map_large_touched(space, region, address) {
            return Ok(());
        }
        let site = self.site(space, region);
        if around == 1 {
            return self.commit_one(&site, page);
        }
        let range = self.unmapped_around(space, region, address, usize::from(around));
        match self.commit(space, region, range, PageSize::Small) {
            // One page may fit where more do not.
            Err(error) if range.pages() > 1 && error.blame() == Blame::Resource => {
                self.commit_one(&site, page)
            }
            committed => committed,
        }
    }

    /// What lies in a region of the block of `around` pages in which `address` lies.
    pub(super) fn block_around(
        &self,
        region: &Region<'p>,
        address: VirtAddr,
        around: usize,
    ) -> Option<PageRange> {
        let bits = self.geometry.page_bits;
        let start = address.align_down(bits + around.ilog2() as u8).bits();
        // The last block may reach out of user space.
        let pages = around.min((self.geometry.user_end - start) >> bits);
        let block = self.geometry.range(Pages::at(start).count(pages)).ok();
        let usable = self.usable(region);
        block.zip(usable).and_then(|(block, usable)| block.intersection(usable))
    }

    /// The largest range around `address` in which nothing is mapped, inside its block of `around`
    /// pages and its region.
    fn unmapped_around(
        &self,
        space: &Space<'p>,
        region: &Region<'p>,
        address: VirtAddr,
        around: usize,
    ) -> PageRange {
        let (bits, page) = (self.geometry.page_bits, self.geometry.page_of(address));
        let Some(block) = self.block_around(region, address, around) else { return page };
        let touched = (page.start().bits() - block.start().bits()) >> bits;
        let mapped = |index: usize| {
            let at = block.part(index, 1).map(PageRange::start);
            at.is_some_and(|at| space.extents().at(at).is_some())
        };
        let first = (0..touched).rev().find(|&index| mapped(index)).map_or(0, |index| index + 1);
        let end = (touched + 1..block.pages()).find(|&index| mapped(index));
        let end = end.unwrap_or(block.pages());
        block.part(first, end - first).unwrap_or(page)
    }
}

/// What the touch of a page ahead of an append cursor is, where the rights allow it: it lies
/// between the guards, and nothing is mapped there.
#[inline(never)]
pub(crate) fn class_ahead(cursor: &AppendCursor<'_>) -> FaultClass {
    class_of_touch(cursor.region, cursor.at, cursor.end)
}

/// What the touch of a page of a region is that lies at `low`, where nothing is mapped and the
/// region is not ended by a guard before `high` (bytes); if the rights allow it.
pub(crate) fn class_of_touch(region: &Region<'_>, low: usize, high: usize) -> FaultClass {
    let covering = Covering::of(&region.spec(), low, high);
    decide(low, (Access::Read, Rights::empty()), Some(covering), None)
}
