// SPDX-License-Identifier: BSD-2-Clause
//! Changing the rights of mapped pages in place: at no moment is one absent. For the manager's own
//! space that takes [`Vmm::protect_in_place`].

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extents::Extents;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::readable;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Gives pages, all of them mapped and in one region, new rights; what may be written may be
    /// read too. One kernel call a page; in the manager's own space one more for each extent of up
    /// to 256 (or for each page, without [`Vmm::protect_in_place`]). Pages that have these rights
    /// already cost none.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Pages, RegionOptions, Rights};
    ///
    /// let space = vmm.own_space();
    /// let table = vmm.map(space, &RegionOptions::new(4))?;
    /// let start = table.start().bits();
    /// vmm.protect(space, Pages::at(start).count(2), Rights::READ)?;
    /// let rights = |address| Ok::<_, vmm::Error>(vmm.mapping_at(space, address)?.map(|page| page.rights));
    /// assert_eq!(rights(start)?, Some(Rights::READ));
    /// assert_eq!(rights(start + 2 * 4096)?, Some(Rights::READ_WRITE));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::RightsExceedCeiling`], [`Error::NotMapped`], [`Error::OutsideRegion`],
    /// [`Error::Guard`]; [`Error::Kernel`] when a call was refused: the first `done` pages have the
    /// new rights, the others their old ones.
    pub fn protect(&mut self, space: SpaceId, pages: impl Into<Pages>, rights: Rights) -> Result {
        let pages = pages.into();
        if pages.pages() == 1 {
            if let Some(done) = self.protect_in_block(space, pages.start(), readable(rights)) {
                return done;
            }
        }
        self.under_pressure(|vmm| vmm.try_protect(space, pages, rights, false))
    }

    /// As [`Vmm::protect`], of pages whose touches all have their faults answered: where many of
    /// them are all that a page table is over, that is taken instead, with one kernel call; and a
    /// touch of one brings it with its new rights, by one more and a fault. It pays where few of
    /// them are touched afterwards, or many by one fault ([`crate::Backing::OnDemand`]).
    ///
    /// In the manager's own space, in stores, and where the kernel does not tell the whole address
    /// of a fault it does what [`Vmm::protect`] does.
    ///
    /// # Errors
    /// As for [`Vmm::protect`].
    pub fn protect_on_demand(
        &mut self,
        space: SpaceId,
        pages: impl Into<Pages>,
        rights: Rights,
    ) -> Result {
        let pages = pages.into();
        self.under_pressure(|vmm| vmm.try_protect(space, pages, rights, true))
    }

    fn try_protect(
        &mut self,
        space: SpaceId,
        pages: Pages,
        rights: Rights,
        on_demand: bool,
    ) -> Result {
        let rights = readable(rights);
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, pages)?;
        let ceiling = region.spec().ceiling;
        if !ceiling.contains(rights) {
            let name = region.spec().name;
            return Err(Error::RightsExceedCeiling { asked: rights, ceiling, name });
        }
        self.check_unpinned(space, region)?;
        if let Some(extent) = self.small_page_at(space, range) {
            return self.protect_one(space, region, extent, range.start(), rights);
        }
        let protected = self.protect_range(space, range, rights, on_demand);
        self.finish_cut(space, range, protected)
    }

    fn protect_range(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        rights: Rights,
        on_demand: bool,
    ) -> Result {
        self.check_mapped(space, range)?;
        self.cut_large(space, range)?;
        let edges = [range.start().bits(), range.end()];
        let cut = edges.into_iter().filter_map(|edge| self.geometry.address(edge).ok());
        let cuts = cut.filter_map(|edge| space.extents().across(edge)).count() != 0;
        // Whole extents get new rights where they are: that needs no memory, even if there is none.
        let reserve = &mut match cuts {
            true => self.refill()?,
            false => self.refill_to_free(),
        };
        self.split_extent(reserve, space, range.start().bits())?;
        if let Err(error) = self.split_extent(reserve, space, range.end()) {
            // Nothing was done yet: the first cut is undone.
            self.join_extent(space, range.start());
            return Err(error);
        }
        let outcome = match on_demand {
            true => self.protect_tables(reserve, space, range, rights),
            false => self.protect_extents(reserve, space, range, rights),
        };
        self.join_in(space, range);
        outcome
    }

    /// As [`Vmm::protect_extents`], by taking whole page tables where it pays.
    fn protect_tables(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
        rights: Rights,
    ) -> Result {
        let (mut done, mut rest) = (0, Some(range));
        while let Some(part) = rest {
            let below = self.below_one_table(part);
            let changes = |extent: &Extent| extent.rights != rights;
            let change = |extents: &mut Extents<'p>, start| extents.set_rights(start, rights);
            if !self.detach_table(space, below, changes, change) {
                let outcome = self.protect_extents(reserve, space, below, rights);
                outcome.map_err(|error| error.after_more(done))?;
            }
            done += below.pages();
            rest = part.from(below.end());
        }
        Ok(())
    }

    /// Gives a small page, at `page` in an extent, new rights: what [`Vmm::protect`] does, without
    /// looking for more pages or for large ones.
    fn protect_one(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        mut extent: Extent,
        page: VirtAddr,
        rights: Rights,
    ) -> Result {
        if extent.rights == rights {
            return Ok(());
        }
        if self.open_block_of(space, region, &mut extent, page) {
            if let Some(done) = self.protect_in_block(space.id.get(), page.bits(), rights) {
                return done;
            }
        }
        let index = extent.index_of(page);
        let last = extent.frames.count - 1;
        let reserve = &mut match last {
            // It is not cut, so that needs no memory, even if there is none.
            0 => self.refill_to_free(),
            _ => self.refill()?,
        };
        let page = extent.part(index, 1);
        let outcome = self.protect_page(reserve, space, &extent, index, rights);
        // In the midst of its extent, its neighbours are not like it.
        if index == 0 {
            self.join_extent(space, page.start);
        }
        if let Some(end) = self.geometry.address(page.end()).ok().filter(|_| index == last) {
            self.join_extent(space, end);
        }
        outcome
    }

    /// The extent of the page, if the range is one page, mapped, and no part of a larger one.
    pub(super) fn small_page_at(&self, space: &Space<'p>, range: PageRange) -> Option<Extent> {
        if range.pages() != 1 {
            return None;
        }
        let extent = space.extents().at(range.start());
        extent.filter(|extent| extent.frames.size_bits == self.geometry.page_bits)
    }
}
