// SPDX-License-Identifier: BSD-2-Clause
//! Sharing: the same frames in several places, counted.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::extent_cursor::ExtentCursor;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;
use crate::types::share_options::ShareOptions;

/// When the capabilities of shared pages are copied, and mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// With the request.
    AtOnce,
    /// With the first touch.
    WhenTouched,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps what is mapped in some pages of `space` into a new region of the space `into` as well,
    /// with the rights of `options`, which may not exceed the ceiling of the region shared. The new
    /// region is cached as that one, since memory must not be cached in two ways. Two kernel calls
    /// a page. Large pages stay large.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Pages, RegionOptions, Rights, ShareOptions};
    ///
    /// let (own, other) = (vmm.own_space(), vmm.create_space()?);
    /// let ring = vmm.map(own, &RegionOptions::new(4).named("ring"))?;
    /// let start = ring.start().bits();
    /// // The other space reads what this one writes: the same frames.
    /// let options = ShareOptions::new().rights(Rights::READ);
    /// let seen = vmm.share(own, Pages::at(start).count(4), other, &options)?.start().bits();
    /// assert_eq!(vmm.physical_address(other, seen)?, vmm.physical_address(own, start)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::unmap`] for the range and of [`Vmm::map`] for the new region;
    /// [`Error::RightsExceedCeiling`]; [`Error::LargePage`] where the range cuts a large page or
    /// the new place is not aligned to one; [`Error::NotManaged`] for memory that the caller
    /// brought.
    pub fn share(
        &mut self,
        space: SpaceId,
        pages: impl Into<Pages>,
        into: SpaceId,
        options: &ShareOptions,
    ) -> Result<RegionId> {
        let pages = pages.into();
        self.under_pressure(|vmm| vmm.try_share(space, pages, into, options))
    }

    fn try_share(
        &mut self,
        space: SpaceId,
        pages: Pages,
        into: SpaceId,
        options: &ShareOptions,
    ) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let (from, into) = (self.space(space)?, self.space(into)?);
        let (region, range) = self.caller_range(from, pages)?;
        let limit = region.spec().ceiling;
        let options = RegionOptions::showing(range.pages(), &region.spec(), options);
        match options.ceiling {
            Some(asked) if !limit.contains(asked) => {
                let name = region.spec().name;
                return Err(Error::RightsExceedCeiling { asked, ceiling: limit, name });
            }
            _ => {}
        }
        let any_cow = self.check_shareable(from, range)?;
        self.check_quota(into, Resource::Slots, range.pages())?;
        self.check_quota(into, Resource::Frames, range.pages())?;
        let target = self.place_region(reserve, into, &options)?;
        let to = self.usable(target).ok_or_else(|| from.outside(range.end()));
        let shared = to.and_then(|to| {
            if any_cow {
                self.break_cow_in(from, range)?;
            }
            self.share_range(from, range, (into, target), (to, target.spec()))
        });
        match shared {
            Ok(()) => Ok(self.id_of(into, target)),
            Err(error) => {
                self.free_region_or_quarantine(reserve, into, target);
                Err(error)
            }
        }
    }

    /// As [`Vmm::share`], into a region that there is: from its page number `page` on (guards not
    /// counted), where nothing is mapped, with its rights.
    ///
    /// # Errors
    /// As for [`Vmm::share`]; [`Error::WrongKind`] for a region that is not plain memory or a
    /// stack, or is cached in another way; [`Error::OutsideRegion`] for pages that are not all in
    /// it; [`Error::AlreadyMapped`].
    pub fn share_into(
        &mut self,
        space: SpaceId,
        pages: impl Into<Pages>,
        into: RegionId,
        page: usize,
    ) -> Result {
        self.share_into_with(space, pages, (into, page), Rights::all())
    }

    /// As [`Vmm::share_into`], with those of the region's rights alone that are among `rights`: as
    /// after [`Vmm::protect`], which can give the others later.
    ///
    /// # Errors
    /// As for [`Vmm::share_into`].
    pub fn share_into_with(
        &mut self,
        space: SpaceId,
        pages: impl Into<Pages>,
        (into, page): (RegionId, usize),
        rights: Rights,
    ) -> Result {
        let pages = pages.into();
        if pages.pages() == 1
            && self.share_by_passage(space, pages.start(), (into, page), rights)?
        {
            return Ok(());
        }
        self.under_pressure(move |vmm| vmm.try_share_into(space, pages, (into, page), rights))
    }

    fn try_share_into(
        &mut self,
        space: SpaceId,
        pages: Pages,
        (into, page): (RegionId, usize),
        most: Rights,
    ) -> Result {
        let _reserve = &mut self.refill()?;
        let from = self.space(space)?;
        let (into_space, target) = self.region(into)?;
        let (region, range) = self.caller_range(from, pages)?;
        if !target.is_callers() {
            return Err(self.wrong_kind(into_space, target));
        }
        let (asked, ceiling) = (target.spec().ceiling, region.spec().ceiling);
        if !ceiling.contains(asked) {
            let name = region.spec().name;
            return Err(Error::RightsExceedCeiling { asked, ceiling, name });
        }
        let to = self.usable(target).and_then(|usable| usable.part(page, range.pages()));
        let name = target.spec().name;
        let to = to.ok_or(Error::OutsideRegion { address: into.start.bits(), name })?;
        if let Some(extent) = into_space.extents().first_in(to) {
            let address = extent.start.bits().max(to.start().bits());
            return Err(Error::AlreadyMapped { address, name });
        }
        if target.spec().cache != region.spec().cache {
            return Err(self.wrong_kind(into_space, target));
        }
        let any_cow = self.check_shareable(from, range)?;
        self.check_quota(into_space, Resource::Slots, range.pages())?;
        self.check_quota(into_space, Resource::Frames, range.pages())?;
        if any_cow {
            self.break_cow_in(from, range)?;
        }
        let spec = target.spec();
        let spec = RegionSpec { rights: spec.rights & most, ..spec };
        self.share_range(from, range, (into_space, target), (to, spec))?;
        // Who goes from one region into another once may not do so again.
        if self.last_shared.replace((space, into)) == Some((space, into)) {
            self.keep_passage((from, region, range), (into_space, target, to));
        }
        Ok(())
    }

    fn share_range(
        &mut self,
        from: &'p Space<'p>,
        range: PageRange,
        into: (&'p Space<'p>, &'p Region<'p>),
        (to, spec): (PageRange, RegionSpec),
    ) -> Result {
        let RegionSpec { rights, cache, .. } = spec;
        let like = |at: VirtAddr, piece: &Extent| match at.is_aligned(piece.frames.size_bits) {
            true => Ok(Extent::fresh(at, piece.frames, rights, cache)),
            false => Err(Error::LargePage { address: at.bits() }),
        };
        self.map_copies((from, range), into, to, (Copies::AtOnce, like))
    }

    /// Copies the frames' capabilities of all extents in a range of one space, and maps the copies
    /// in a range of a region of another; or defers both. `like` says where a piece goes what its
    /// copy is like, but for frames and source.
    pub(super) fn map_copies(
        &mut self,
        (from, range): (&'p Space<'p>, PageRange),
        (into, region): (&'p Space<'p>, &'p Region<'p>),
        to: PageRange,
        (copies, like): (Copies, impl Fn(VirtAddr, &Extent) -> Result<Extent>),
    ) -> Result {
        let (mut cursor, limits) = (ExtentCursor::over(range), self.between_guards(region));
        while let Some(visited) = cursor.next(from) {
            let piece = visited.part();
            let at = offset(to.start(), piece.start.bits() - range.start().bits());
            let recorded = self.refill().and_then(|mut reserve| {
                let like = like(at, &piece)?;
                let frames = match copies {
                    Copies::AtOnce => self.copy_frames(&mut reserve, &piece)?,
                    Copies::WhenTouched => self.defer_copies(&mut reserve, &piece)?,
                };
                let shared = Extent { frames, source: Source::Copy, ..like };
                self.record_beside(&mut reserve, into, shared, limits)?;
                Ok(piece.part(0, frames.count).end())
            });
            match recorded {
                // What is left of the piece, if anything, comes next.
                Ok(end) => cursor.go_to(end),
                Err(error) => {
                    // None of them is mapped yet.
                    self.free_unused_in(into, to);
                    return Err(error);
                }
            }
        }
        self.map_extents(into, to)
    }
}
