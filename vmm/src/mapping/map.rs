// SPDX-License-Identifier: BSD-2-Clause
//! Mapping fresh memory: a new region, or part of one that there is.

use page_tables::{AddressError, PageRange, Pages};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::site::Site;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::{PageSize, RegionOptions};

/// The most pages that one request appends: beyond, what an extent costs is less than what each
/// page costs that is appended.
const MAX_APPENDED: usize = 32;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Reserves a region and maps fresh, clear memory in all of it.
    ///
    /// Costs one kernel call a page, one for each page table that is missing, and one retype for up
    /// to 256 frames.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Kind, RegionOptions};
    ///
    /// let space = vmm.own_space();
    /// // 16 pages of memory, and one on either side that stays unmapped.
    /// let heap = vmm.map(space, &RegionOptions::new(16).named("heap").guarded(1, 1))?;
    /// // The region begins with its guard: its first page that can be used is the next.
    /// let first = heap.start().bits() + 4096;
    /// assert!(vmm.mapping_at(space, first)?.is_some());
    /// assert!(vmm.mapping_at(space, heap.start().bits())?.is_none());
    /// assert_eq!(vmm.region_at(space, first)?.map(|region| region.kind), Some(Kind::Memory));
    /// vmm.release(heap)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::reserve`]; [`Error::Allocator`] when memory or slots are out. Nothing is
    /// left behind.
    pub fn map(&mut self, space: SpaceId, options: &RegionOptions) -> Result<RegionId> {
        self.under_pressure_reclaiming(|vmm| vmm.try_map(space, options))
    }

    fn try_map(&mut self, space: SpaceId, options: &RegionOptions) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let space = self.space(space)?;
        let region = self.place_region(reserve, space, options)?;
        let mapped = match self.usable(region) {
            Some(range) => self
                .check_page_size(range, options.page_size)
                .and_then(|()| self.commit(space, region, range, options.page_size)),
            None => Ok(()),
        };
        match mapped {
            Ok(()) => Ok(self.id_of(space, region)),
            Err(error) => {
                // Nothing is mapped, so there is nothing to unmap, unless undoing was refused too:
                // then the region stays, and holds what the kernel would not let go.
                self.free_region_or_quarantine(reserve, space, region);
                Err(error)
            }
        }
    }

    /// Commits pages: maps fresh, clear memory in pages that lie in one region and have nothing
    /// mapped. Rights and cache policy are the region's.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Error, Pages, RegionOptions};
    ///
    /// let space = vmm.own_space();
    /// let before = vmm.space_stats(space)?.mapped_pages;
    /// let heap = vmm.reserve(space, &RegionOptions::new(100))?;
    /// let start = heap.start().bits();
    /// vmm.populate(space, Pages::at(start).count(10))?;
    /// assert_eq!(vmm.space_stats(space)?.mapped_pages, before + 10);
    /// // What has a page already is refused, and nothing is changed.
    /// let again = vmm.populate(space, Pages::at(start));
    /// assert!(matches!(again, Err(Error::AlreadyMapped { address, .. }) if address == start));
    /// vmm.release(heap)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::OutsideRegion`], [`Error::Guard`], [`Error::AlreadyMapped`], and what
    /// [`Vmm::map`] can meet.
    pub fn populate(&mut self, space: SpaceId, pages: impl Into<Pages>) -> Result {
        let pages = pages.into();
        let appended = match pages.pages() {
            1 => self.append_or_fill(space, pages.start()),
            2..=MAX_APPENDED => self.append_pages(space, pages),
            _ => None,
        };
        if let Some(done) = appended {
            return done.map_err(Error::from);
        }
        self.under_pressure_reclaiming(move |vmm| vmm.populate_anywhere(space, pages))
    }

    #[inline]
    fn populate_anywhere(&mut self, space: SpaceId, pages: Pages) -> Result {
        if pages.pages() == 1 {
            if let Some(&site) = self.kept_site(space, pages.start()) {
                return self.populate_one(&site, self.geometry.range(pages)?);
            }
        }
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, pages)?;
        if range.pages() == 1 {
            let site = self.keep_site(space, region);
            return self.populate_one(&site, range);
        }
        if let Some(extent) = space.extents().first_in(range) {
            let (address, name) = (extent.start.bits().max(pages.start()), region.spec().name);
            return Err(Error::AlreadyMapped { address, name });
        }
        self.commit(space, region, range, PageSize::Small)
    }

    #[inline]
    fn populate_one(&mut self, site: &Site<'p>, page: PageRange) -> Result {
        if !site.space.extents().is_vacant(page.start()) {
            let (address, name) = (page.start().bits(), site.region.spec().name);
            return Err(Error::AlreadyMapped { address, name });
        }
        self.commit_one(site, page)
    }

    /// Refuses pages of a size that there is not, or that do not fill a range.
    fn check_page_size(&self, range: PageRange, size: PageSize) -> Result {
        let PageSize::Large { bits } = size else { return Ok(()) };
        if self.geometry.level_of_frame(bits).is_none() {
            return Err(Error::NoSuchFrameSize { bits });
        }
        let mut edges = [range.start().bits(), range.end()].into_iter();
        match edges.find(|address| address & ((1 << bits) - 1) != 0) {
            Some(address) => Err(AddressError::Misaligned { address, bits }.into()),
            None => Ok(()),
        }
    }
}
