// SPDX-License-Identifier: BSD-2-Clause
//! Questions about a space: what is at an address, what comes next, what is mapped.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{CachePolicy, Kernel, Memory, Mobility};

use crate::manager::vmm::Vmm;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::fault::Access;
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Mapping;
use crate::types::region::{Backing, RegionInfo, RegionSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The region that covers an address (bytes), guards included. O(log regions).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`], [`crate::Error::Address`].
    pub fn region_at(&self, space: SpaceId, address: usize) -> Result<Option<RegionInfo>> {
        let space = self.space(space)?;
        let address = self.geometry.address(address)?;
        let region = space.regions().at(address);
        Ok(region.and_then(|region| self.describe(space, region)))
    }

    /// The first region that covers an address (bytes) or lies above it: to go through a space in
    /// order, ask next for where this one ends.
    ///
    /// # Errors
    /// As [`Vmm::region_at`].
    pub fn next_region(&self, space: SpaceId, address: usize) -> Result<Option<RegionInfo>> {
        let space = self.space(space)?;
        let Ok(address) = self.geometry.address(address) else {
            return Ok(None);
        };
        let region = space.regions().from(address);
        Ok(region.and_then(|region| self.describe(space, region)))
    }

    /// The space that has this number now.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`], with the serial number 0.
    pub fn space_with_number(&self, number: u32) -> Result<SpaceId> {
        let space = self.spaces.with_number(number).map(|space| space.id.get());
        space.ok_or(crate::Error::NoSuchSpace(SpaceId { number, serial: 0 }))
    }

    /// How many regions a space has, edges of reservations and the null page included. O(1).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn region_count(&self, space: SpaceId) -> Result<usize> {
        Ok(self.space(space)?.regions().count())
    }

    /// The region in which all of these pages lie, between its guards: memory or a stack, whether
    /// anything is mapped there or not. O(log regions).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`], [`crate::Error::Address`], [`crate::Error::OutsideRegion`],
    /// [`crate::Error::Guard`], [`crate::Error::WrongKind`].
    pub fn region_of_range(&self, space: SpaceId, pages: impl Into<Pages>) -> Result<RegionInfo> {
        let space = self.space(space)?;
        let (region, _) = self.caller_range(space, pages.into())?;
        let id = self.id_of(space, region);
        self.describe(space, region).ok_or(crate::Error::NoSuchRegion(id))
    }

    /// The pages of a region that can be used, which are all but its guards: where they start and
    /// how many they are. O(log regions).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchRegion`] when there is no such region any more.
    pub fn pages_of(&self, region: RegionId) -> Result<PageRange> {
        self.region_info(region).map(|info| info.usable())
    }

    /// What is known about a region.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchRegion`] when there is no such region any more.
    pub fn region_info(&self, region: RegionId) -> Result<RegionInfo> {
        let (space, node) = self.region(region)?;
        self.describe(space, node).ok_or(crate::Error::NoSuchRegion(region))
    }

    /// How many runs of pages there are in a region, counted up to `most`: pages that came together,
    /// or one after the other, are recorded as one, up to 256. Of a store, whose pages the kernel
    /// has mapped nowhere, [`Vmm::move_region`] costs some 2,000 instructions for each. O(`most`).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchRegion`] when there is no such region any more.
    pub fn runs_in(&self, region: RegionId, most: usize) -> Result<usize> {
        let (space, node) = self.region(region)?;
        let Some(range) = self.usable(node) else { return Ok(0) };
        let mut cursor = ExtentCursor::over(range);
        let runs = core::iter::from_fn(|| cursor.next(space));
        Ok(runs.take(most).count())
    }

    /// What is mapped at an address (bytes), if anything: by the manager, not at boot. O(log
    /// extents).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`], [`crate::Error::Address`].
    pub fn mapping_at(&self, space: SpaceId, address: usize) -> Result<Option<Mapping>> {
        let space = self.space(space)?;
        let address = self.geometry.address(address)?;
        let extent = space.extents().at(address);
        Ok(extent.map(|extent| {
            let index = extent.index_of(address);
            Mapping {
                page: extent.address(index).bits(),
                size_bits: extent.frames.size_bits,
                frame: extent.frame(index),
                rights: extent.rights,
                executable: extent.rights.contains(Access::Execute.needs(&self.geometry)),
                copy_on_write: extent.cow,
                cache: extent.cache,
                source: extent.source,
            }
        }))
    }

    /// The physical address behind a mapped address, both in bytes. One kernel call. It stays
    /// what it is until the page is unmapped: from now on no page of its region is moved (see
    /// [`crate::RegionOptions::movable`]).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::RegionOptions;
    ///
    /// let space = vmm.own_space();
    /// let buffer = vmm.map(space, &RegionOptions::new(1).named("DMA"))?.start().bits();
    /// let physical = vmm.physical_address(space, buffer)?;
    /// assert_eq!(vmm.physical_address(space, buffer + 12)?, physical + 12);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::NotMapped`], [`crate::Error::Kernel`].
    pub fn physical_address(&mut self, space: SpaceId, address: usize) -> Result<usize> {
        let mapping = self.mapping_at(space, address)?;
        let mapping = match mapping {
            Some(mapping) => mapping,
            None => return Err(self.space(space)?.not_mapped(address)),
        };
        let base = self.kernel.page_get_address(self.capability_of(mapping.frame))?;
        let (space, at) = (self.space(space)?, self.geometry.address(address)?);
        // Where a large page was cut in vain, the small ones are not joined again.
        while let Some((node, _)) = space.cut.take(|page| page.covers(at)) {
            self.pools.free_extent(node);
        }
        let region = space.regions().at(at).filter(|region| !region.is_edge());
        if let Some(region) = region {
            let spec = RegionSpec { movable: Some(false), ..region.spec() };
            space.regions_mut().set_spec(region, spec);
        }
        Ok(base + (address - mapping.page))
    }

    /// Whether the frames behind a region's pages may be replaced by others when memory is short
    /// (see [`crate::RegionOptions::movable`]). O(log regions); no kernel call.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchRegion`].
    pub fn may_region_move(&self, region: RegionId) -> Result<bool> {
        let (space, node) = self.region(region)?;
        Ok(self.is_movable(space, node))
    }

    /// Whether frames of a region may be replaced by others: it is memory of a caller's, cached as
    /// usual, and its maker allows it, or touches of it meanwhile are known to be resolved.
    pub(crate) fn is_movable(&self, space: &Space<'p>, region: &Region<'p>) -> bool {
        self.is_movable_as(space, region, &region.spec())
    }

    /// The same, where what the region is was looked at already.
    #[inline(always)]
    fn is_movable_as(&self, space: &Space<'p>, region: &Region<'p>, spec: &RegionSpec) -> bool {
        let resolved = || {
            let own = core::ptr::eq(space, self.own);
            let lazy = spec.backing != Backing::Explicit;
            // Who has an IPC buffer is taken to run there; each of them has to be registered.
            let registered = 2 * space.registered() >= space.threads();
            // Faults that are not told by their whole address are not resolved.
            let told = self.tells_all_faults(space)
                || self.usable(region).is_some_and(|pages| pages.end() <= self.geometry.fault_end);
            !own && told && (lazy || registered)
        };
        spec.is_callers()
            && spec.cache == CachePolicy::WriteBack
            && spec.movable.unwrap_or_else(resolved)
            && self.check_unpinned(space, region).is_ok()
    }

    /// What batches the frames of a region are taken from. It is asked when they are allocated, and
    /// [`Vmm::is_movable`] again when they are to be moved.
    #[inline]
    pub(crate) fn mobility(&self, space: &Space<'p>, region: &Region<'p>) -> Mobility {
        self.mobility_as(space, region, &region.spec())
    }

    /// The same, where what the region is was looked at already.
    #[inline]
    pub(crate) fn mobility_as(
        &self,
        space: &Space<'p>,
        region: &Region<'p>,
        spec: &RegionSpec,
    ) -> Mobility {
        match self.is_movable_as(space, region, spec) {
            true => Mobility::Movable,
            false => Mobility::Fixed,
        }
    }

    /// The same for what is mapped at an address.
    pub(crate) fn mobility_at(&self, space: &Space<'p>, address: VirtAddr) -> Mobility {
        let regions = space.regions();
        let region = regions.at(address);
        region.map_or(Mobility::Fixed, |region| self.mobility(space, region))
    }

    /// Pages of the smallest size that are mapped in a range.
    pub(crate) fn mapped_in(&self, space: &Space<'p>, range: PageRange) -> usize {
        let (mut pages, mut cursor) = (0, ExtentCursor::over(range));
        while let Some(Visited { extent, count, .. }) = cursor.next(space) {
            let (start, end) = (extent.start.bits(), extent.end());
            pages += match extent.strided {
                true => count,
                // A large page may lie in it only in part.
                false => {
                    let inside = end.min(range.end()) - start.max(range.start().bits());
                    inside >> self.geometry.page_bits
                }
            };
        }
        pages
    }

    pub(crate) fn describe(&self, space: &Space<'p>, region: &Region<'p>) -> Option<RegionInfo> {
        let spec = region.spec();
        let range = self.geometry.range(Pages::at(region.start().bits()).count(spec.pages)).ok()?;
        Some(RegionInfo {
            id: self.id_of(space, region),
            range,
            guard_below: usize::from(spec.guard_below),
            guard_above: usize::from(spec.guard_above),
            backing: spec.backing,
            rights: spec.rights,
            ceiling: spec.ceiling,
            cache: spec.cache,
            kind: spec.kind,
            name: spec.name,
        })
    }

    /// The part of `range`, from its start on, in which `most` pages are mapped, or all of it;
    /// `None` if it begins with a mapped page and `most` is 0.
    pub(crate) fn with_mapped(
        &self,
        space: &Space<'p>,
        range: PageRange,
        most: usize,
    ) -> Option<PageRange> {
        let (mut left, mut cursor) = (most, ExtentCursor::over(range));
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let start = extent.start.bits().max(range.start().bits());
            let end = extent.end().min(range.end());
            let pages = (end - start) >> self.geometry.page_bits;
            if pages > left {
                let before = (start - range.start().bits()) >> self.geometry.page_bits;
                return range.part(0, before + left);
            }
            left -= pages;
        }
        Some(range)
    }
}
