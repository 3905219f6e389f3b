// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is not the allocator's choice: at a physical address, or brought by the caller.

use page_tables::PageRange;
use untyped_alloc::{Blueprint, CPtr, Frames, Kernel, Memory, Objects, MAX_BATCH};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps the memory at the physical address `paddr` (bytes, page-aligned) in a new region:
    /// device registers, which want [`RegionOptions::cached`], or RAM that nothing uses. Releasing
    /// the region gives the whole range back.
    ///
    /// It is found in O(log untypeds), and taken in as few aligned pieces as there are. Pages that
    /// lie there and may move ([`RegionOptions::movable`]) are moved elsewhere first, if all that
    /// is in use there may, and there is memory for them: at most seven kernel calls a page, and
    /// O(extents of all spaces) besides.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{CachePolicy, RegionOptions};
    ///
    /// // Where the machine has a device.
    /// let (space, device) = (vmm.own_space(), 0x200_0000);
    /// let options = RegionOptions::new(1).named("device").cached(CachePolicy::Uncached);
    /// let region = vmm.map_physical(space, device, &options)?;
    /// assert_eq!(vmm.physical_address(space, region.start().bits())?, device);
    /// vmm.release(region)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Allocator`] with `Misaligned`, or `NoUntypedAt`; [`Error::PhysicalInUse`],
    /// which says what is in the way; those of [`Vmm::map`].
    pub fn map_physical(
        &mut self,
        space: SpaceId,
        paddr: usize,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.where_pages_may_move((paddr, options.pages), |vmm| {
            vmm.try_map_physical(space, paddr, options)
        })
    }

    /// As [`Vmm::map_physical`], in a region that there is: from its page number `page` on (guards
    /// not counted), as many pages as are told last, where nothing is mapped; with its rights, and
    /// cached as it is. What a region has of such memory is given back with it, or by
    /// [`Vmm::decommit`]; what others share of that ([`Vmm::share`]) once they leave it, too.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{CachePolicy, Pages, RegionOptions};
    ///
    /// let (space, device) = (vmm.own_space(), 0x200_0000);
    /// let options = RegionOptions::new(8).named("device").cached(CachePolicy::Uncached);
    /// let region = vmm.reserve(space, &options)?;
    /// vmm.map_physical_into(region, 2, device, 4)?;
    /// let third = region.start().bits() + 2 * 4096;
    /// assert_eq!(vmm.physical_address(space, third)?, device);
    /// vmm.decommit(space, Pages::at(third).count(4))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::map_physical`] for the memory; [`Error::WrongKind`] for a region that is not
    /// plain memory or a stack; [`Error::OutsideRegion`] for pages that are not all in it;
    /// [`Error::AlreadyMapped`].
    pub fn map_physical_into(
        &mut self,
        region: RegionId,
        page: usize,
        paddr: usize,
        pages: usize,
    ) -> Result {
        self.where_pages_may_move((paddr, pages), |vmm| {
            vmm.try_map_physical_into((region, page), (paddr, pages))
        })
    }

    /// Does what needs memory at a physical address. Where pages lie that may move, they are moved
    /// first.
    fn where_pages_may_move<T>(
        &mut self,
        (paddr, pages): (usize, usize),
        mut attempt: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.under_pressure(|vmm| match attempt(vmm) {
            Err(Error::Allocator(untyped_alloc::Error::AddressInUse(first))) => {
                let bytes = pages.saturating_mul(vmm.geometry.page_bytes());
                let emptied = match vmm.empty_range(paddr, bytes) {
                    Ok(true) => attempt(vmm).map(Some),
                    Ok(false) => Ok(None),
                    Err(error @ Error::Allocator(untyped_alloc::Error::AddressInUse(_))) => {
                        Err(error)
                    }
                    // What stands in the way of moving is not what the caller asked for.
                    Err(_) => Ok(None),
                };
                match emptied {
                    Ok(Some(done)) => Ok(done),
                    Ok(None) => Err(vmm.in_the_way(first)),
                    Err(Error::Allocator(untyped_alloc::Error::AddressInUse(at))) => {
                        Err(vmm.in_the_way(at))
                    }
                    Err(error) => Err(error),
                }
            }
            done => done,
        })
    }

    fn try_map_physical(
        &mut self,
        space: SpaceId,
        paddr: usize,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.check_page_address(paddr)?;
        let space = self.space(space)?;
        self.map_into_new_region(space, options, |vmm, index, left| {
            vmm.take_physical(paddr, index, left)
        })
    }

    fn try_map_physical_into(
        &mut self,
        (id, page): (RegionId, usize),
        (paddr, pages): (usize, usize),
    ) -> Result {
        self.check_page_address(paddr)?;
        let (space, region) = self.region(id)?;
        self.check_unpinned(space, region)?;
        if !region.is_callers() {
            return Err(self.wrong_kind(space, region));
        }
        let name = region.spec().name;
        let range = self.usable(region).and_then(|usable| usable.part(page, pages));
        let range = range.ok_or(Error::OutsideRegion { address: id.start.bits(), name })?;
        if let Some(extent) = space.extents().first_in(range) {
            let address = extent.start.bits().max(range.start().bits());
            return Err(Error::AlreadyMapped { address, name });
        }
        self.map_in_region((space, region), range, |vmm, index, left| {
            vmm.take_physical(paddr, index, left)
        })
    }

    fn check_page_address(&self, paddr: usize) -> Result {
        match paddr & (self.geometry.page_bytes() - 1) {
            0 => Ok(()),
            _ => {
                let size_bits = self.geometry.page_bits;
                Err(untyped_alloc::Error::Misaligned { paddr, size_bits }.into())
            }
        }
    }

    /// Takes frames of the memory from `paddr` on: as many of the `left` ones from number `index`
    /// on as one aligned piece has.
    fn take_physical(
        &mut self,
        paddr: usize,
        index: usize,
        left: usize,
    ) -> Result<(Frames, Source)> {
        let bits = self.geometry.page_bits;
        let beyond = untyped_alloc::Error::NoUntypedAt(usize::MAX);
        let at = paddr.checked_add(index << bits).ok_or(beyond)?;
        let alignment = (at >> bits).trailing_zeros().min(usize::BITS - 1);
        let largest = 1usize << (usize::BITS - 1 - left.leading_zeros());
        let mut count = (1usize << alignment).min(largest).min(MAX_BATCH);
        let blueprint = Blueprint::Frame { size_bits: bits };
        loop {
            let made = self
                .alloc_or_prune(|alloc, kernel| alloc.allocate_at(kernel, blueprint, at, count));
            let in_use = match made {
                Err(Error::Allocator(untyped_alloc::Error::AddressInUse(in_use))) => in_use,
                made => {
                    let first = made?.first_slot();
                    return Ok((Frames { first, count, size_bits: bits }, Source::Physical));
                }
            };
            // Untypeds are split four ways: what is free may be free in smaller pieces only.
            // A range may end where the address space does.
            let in_the_way = in_use >= at && in_use - at < count << bits;
            if count == 1 || in_the_way {
                return Err(untyped_alloc::Error::AddressInUse(in_use).into());
            }
            count /= 2;
        }
    }

    /// Maps frames of the caller's, whose capabilities lie in consecutive slots from `first` on, in
    /// a new region of as many pages. They are unmapped when the region goes, and never freed.
    ///
    /// # Errors
    /// Those of [`Vmm::map`]; [`Error::InUse`] for a frame that is mapped already, here or by the
    /// manager for itself; [`Error::NoPage`] for a capability of another kind, and
    /// [`Error::Allocator`] for one that was freed, where the manager made it; [`Error::Kernel`]
    /// when another capability is no unmapped frame of the smallest size.
    pub fn map_borrowed(
        &mut self,
        space: SpaceId,
        first: CPtr,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.under_pressure(|vmm| vmm.try_map_borrowed(space, first, options))
    }

    fn try_map_borrowed(
        &mut self,
        space: SpaceId,
        first: CPtr,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        let (space, size_bits) = (self.space(space)?, self.geometry.page_bits);
        self.check_can_borrow(first, options.pages)?;
        self.map_into_new_region(space, options, |_, index, left| {
            let frames =
                Frames { first: first.offset(index), count: left.min(MAX_BATCH), size_bits };
            Ok((frames, Source::Borrowed))
        })
    }

    /// Maps frames that were allocated as objects: as [`Vmm::map_borrowed`]. While they are mapped
    /// they cannot be freed.
    ///
    /// # Errors
    /// Those of [`Vmm::map_borrowed`]; [`Error::Allocator`] for objects that were freed.
    pub fn map_objects(
        &mut self,
        space: SpaceId,
        frames: Objects,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.alloc.blueprint_of_many(frames)?;
        let options = RegionOptions { pages: frames.len(), ..*options };
        self.map_borrowed(space, frames.first_slot(), &options)
    }

    /// Reserves a region and maps in it what `next` brings: for the page number reached and the
    /// pages left, the frames that come next.
    fn map_into_new_region(
        &mut self,
        space: &'p Space<'p>,
        options: &RegionOptions,
        next: impl FnMut(&mut Self, usize, usize) -> Result<(Frames, Source)>,
    ) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let region = self.place_region(reserve, space, options)?;
        let Some(range) = self.usable(region) else {
            let (address, name) = (region.start().bits(), region.spec().name);
            return Err(Error::OutsideRegion { address, name });
        };
        match self.map_in_region((space, region), range, next) {
            Ok(()) => Ok(self.id_of(space, region)),
            Err(error) => {
                let reserve = &mut Reserve::as_it_is();
                self.free_region_or_quarantine(reserve, space, region);
                Err(error)
            }
        }
    }

    /// Maps in a range of a region what `next` brings. Where that fails, what was brought is given
    /// back, but for pages that are mapped already.
    fn map_in_region(
        &mut self,
        (space, region): (&'p Space<'p>, &'p Region<'p>),
        range: PageRange,
        mut next: impl FnMut(&mut Self, usize, usize) -> Result<(Frames, Source)>,
    ) -> Result {
        let spec = region.spec();
        let mut index = 0;
        let mut outcome = Ok(());
        while index < range.pages() && outcome.is_ok() {
            let left = range.pages() - index;
            let brought = self.refill().and_then(|reserve| Ok((reserve, next(self, index, left)?)));
            outcome = brought.and_then(|(mut reserve, (frames, source))| {
                let start = offset(range.start(), index << self.geometry.page_bits);
                let (rights, cache) = (spec.rights, spec.cache);
                index += frames.count;
                match source {
                    Source::Borrowed => self.borrowed += frames.count,
                    _ => self.physical += frames.count,
                }
                self.record_extent(
                    &mut reserve,
                    space,
                    Extent { source, ..Extent::fresh(start, frames, rights, cache) },
                )
            });
        }
        match outcome {
            Ok(()) => self.map_extents(space, range),
            Err(error) => {
                self.free_unused_in(space, range);
                Err(error)
            }
        }
    }
}
