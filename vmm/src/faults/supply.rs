// SPDX-License-Identifier: BSD-2-Clause
//! Pages that a pager outside supplies.
//!
//! ```text
//!   thread ── touches a page of a region with Backing::Pager{token} ──► fault
//!   resolve_fault ── Resolution::AskPager{token, page} ──► whoever runs the handler asks the pager
//!   pager ── "this page of mine" ──► supply_page ──► the thread is answered, and goes on
//! ```
//!
//! Who waits is kept with the threads (see page_requests.rs). A pager that
//! never answers costs its clients' threads and nobody else's.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::fault::Supply;
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::quota::Resource;
use crate::types::region::{Backing, RegionSpec};

/// A page that is to be in another region, or several, and the run that it is in.
#[derive(Clone, Copy)]
pub(super) struct Transfer<'p> {
    pub from: &'p Space<'p>,
    pub run: Extent,
    pub piece: Extent,
    pub space: &'p Space<'p>,
    pub region: &'p Region<'p>,
    pub to: PageRange,
}

/// What a page is where it is received.
fn received(region: &Region<'_>, to: PageRange, source: Source, frames: Frames) -> Extent {
    let RegionSpec { rights, cache, .. } = region.spec();
    Extent { source, ..Extent::fresh(to.start(), frames, rights, cache) }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Puts the page at `page` (bytes, page-aligned) of the space `from` at the address `address`
    /// (bytes, anywhere in the page) of `space`, in a region that is backed by a pager. Its rights
    /// and cache policy are that region's. Two kernel calls, and a page table where it is missing.
    ///
    /// # Errors
    /// Where it is to be: [`Error::OutsideRegion`], [`Error::Guard`], [`Error::WrongKind`] for a
    /// region without a pager, or for a share that is cached in another way,
    /// [`Error::AlreadyMapped`], [`Error::OutOfQuota`]. What is given: those of [`Vmm::share`];
    /// [`Error::RightsExceedCeiling`] when the pager's region does not allow what the other does;
    /// [`Error::Shared`] for a transfer of what others have too.
    pub fn supply_page(
        &mut self,
        space: SpaceId,
        address: usize,
        from: SpaceId,
        page: usize,
        supply: Supply,
    ) -> Result {
        self.supply_page_of(None, (space, address), (from, page), supply)
    }

    /// As [`Vmm::supply_page`], into a region that the pager knows by `token`, if one is given.
    pub(crate) fn supply_page_of(
        &mut self,
        token: Option<u32>,
        (space, address): (SpaceId, usize),
        (from, page): (SpaceId, usize),
        supply: Supply,
    ) -> Result {
        self.under_pressure(|vmm| {
            vmm.try_supply_page_of(token, (space, address), (from, page), supply)
        })
    }

    fn try_supply_page_of(
        &mut self,
        token: Option<u32>,
        (space, address): (SpaceId, usize),
        (from, page): (SpaceId, usize),
        supply: Supply,
    ) -> Result {
        let (into, from) = (self.space(space)?, self.space(from)?);
        let (region, to) = self.paged_range(into, address, token)?;
        let (source, range) = self.caller_range(from, Pages::at(page))?;
        self.check_managed(from, range)?;
        let (asked, ceiling) = (region.spec().ceiling, source.spec().ceiling);
        if !ceiling.contains(asked) {
            let name = source.spec().name;
            return Err(Error::RightsExceedCeiling { asked, ceiling, name });
        }
        match supply {
            Supply::Transfer => self.check_unpinned(from, source)?,
            // Memory must not be cached in two ways.
            Supply::Share if region.spec().cache != source.spec().cache => {
                return Err(self.wrong_kind(into, region));
            }
            Supply::Share => {}
        }
        match supply {
            Supply::Share => self.share_page(from, range, into, region, to),
            Supply::Transfer => self.transfer_page(from, range.start(), into, region, to),
        }
    }

    /// The page around `address`, where nothing is mapped, and its region, which has a pager: the
    /// one that knows it by this token, if one is given.
    fn paged_range(
        &self,
        space: &'p Space<'p>,
        address: usize,
        expected: Option<u32>,
    ) -> Result<(&'p Region<'p>, PageRange)> {
        let page = self.geometry.address(address)?.align_down(self.geometry.page_bits);
        let (region, range) = self.caller_range(space, Pages::at(page.bits()))?;
        match region.spec().backing {
            Backing::Pager { token } if expected.is_none_or(|expected| expected == token) => {}
            _ => return Err(self.wrong_kind(space, region)),
        }
        match space.extents().at(page) {
            Some(_) => {
                let (address, name) = (page.bits(), region.spec().name);
                Err(Error::AlreadyMapped { address, name })
            }
            None => Ok((region, range)),
        }
    }

    fn share_page(
        &mut self,
        from: &'p Space<'p>,
        range: PageRange,
        into: &'p Space<'p>,
        region: &Region<'p>,
        to: PageRange,
    ) -> Result {
        self.check_quota(into, Resource::Slots, 1)?;
        self.check_quota(into, Resource::Frames, 1)?;
        self.break_cow_in(from, range)?;
        let reserve = &mut self.refill()?;
        let piece = self.page_at(from, range.start())?.1;
        let frames = self.copy_frames(reserve, &piece)?;
        let received = received(region, to, Source::Copy, frames);
        self.record_beside(reserve, into, received, self.between_guards(region))?;
        self.map_extents(into, to)
    }

    /// Moves the page at `page` (bytes, page-aligned) of the space `from` into a region of another
    /// space, or of the same: as its page number `number`, guards not counted, where nothing is
    /// mapped, with its rights. Two kernel calls, and a page table where it is missing. Where the
    /// kernel refuses that, the page is where it was.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::RegionOptions;
    ///
    /// let (own, other) = (vmm.own_space(), vmm.create_space()?);
    /// let from = vmm.map(own, &RegionOptions::new(1))?.start().bits();
    /// let into = vmm.reserve(other, &RegionOptions::new(8))?;
    /// let frame = vmm.physical_address(own, from)?;
    /// vmm.transfer_into(own, from, into, 3)?;
    /// assert_eq!(vmm.physical_address(other, into.start().bits() + 3 * 4096)?, frame);
    /// assert!(vmm.mapping_at(own, from)?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Where it is to be: [`Error::NoSuchRegion`], [`Error::OutsideRegion`], [`Error::WrongKind`]
    /// for what is not plain memory or a stack, or is cached in another way,
    /// [`Error::AlreadyMapped`],
    /// [`Error::OutOfQuota`]. What is given: [`Error::NotMapped`], [`Error::LargePage`],
    /// [`Error::NotManaged`], [`Error::RightsExceedCeiling`]; [`Error::Shared`] for what others
    /// have too.
    pub fn transfer_into(
        &mut self,
        from: SpaceId,
        page: usize,
        into: RegionId,
        number: usize,
    ) -> Result {
        self.transfer_some_into((from, page), 1, (into, number)).map(|_| ())
    }

    /// As [`Vmm::transfer_into`], of the page at `from` (a space, and bytes, page-aligned) and of
    /// those behind it, up to `most` together, that can go on with it: the space's own, which came
    /// with it and which nobody else has. Returns how many were moved, which is one at least.
    /// Several are moved between stores alone.
    ///
    /// # Errors
    /// As [`Vmm::transfer_into`] for the first.
    pub fn transfer_some_into(
        &mut self,
        from: (SpaceId, usize),
        most: usize,
        into: (RegionId, usize),
    ) -> Result<usize> {
        self.under_pressure(|vmm| {
            let reserve = &mut vmm.refill()?;
            let first = vmm.checked_transfer(from, into)?;
            let transfer = if most > 1 { vmm.more_of(first, most) } else { first };
            vmm.transfer(reserve, transfer)?;
            Ok(transfer.piece.frames.count)
        })
    }

    /// The page that is to be transferred, with those behind it that can go on with it.
    fn more_of(&self, first: Transfer<'p>, most: usize) -> Transfer<'p> {
        let Transfer { from, run, piece, space, region, to } = first;
        let plain = piece.source == Source::Owned && !run.strided;
        if !plain || !from.store.get() || !space.store.get() {
            return first;
        }
        // All of them lie below one page table, which is made before anything is done.
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table_end = self.geometry.table_end(deepest, to.start());
        let room = (table_end - to.start().bits()) >> self.geometry.page_bits;
        let index = run.index_of(piece.start);
        let count = most.min(run.frames.count - index).min(room);
        let piece = run.part(index, count);
        let to = self.geometry.range(Pages::at(to.start().bits()).count(count)).ok();
        let to = to.filter(|&to| {
            let inside = self.usable(region).is_some_and(|usable| usable.covers(to));
            inside && space.extents().first_in(to).is_none()
        });
        match to.filter(|_| !self.refcounts.any_in(&piece.frames)) {
            Some(to) => Transfer { from, run, piece, space, region, to },
            None => first,
        }
    }

    /// What is to be transferred, and where to, if that may be.
    pub(super) fn checked_transfer(
        &self,
        (from, page): (SpaceId, usize),
        (into, number): (RegionId, usize),
    ) -> Result<Transfer<'p>> {
        let from = self.space(from)?;
        let (space, region) = self.region(into)?;
        let (source, page) = self.caller_range(from, Pages::at(page))?;
        let to = self.place_for((space, region), (into, number), source)?;
        let (run, piece) = self.page_at(from, page.start())?;
        if !matches!(piece.source, Source::Owned | Source::Copy) {
            return Err(Error::NotManaged { address: run.start.bits() });
        }
        self.check_unpinned(from, source)?;
        Ok(Transfer { from, run, piece, space, region, to })
    }

    /// The page of a region that has this number, guards not counted, for one that is a page of
    /// `given`: where nothing is mapped, in a region that allows no more than that.
    pub(super) fn place_for(
        &self,
        (space, region): (&'p Space<'p>, &'p Region<'p>),
        (id, number): (RegionId, usize),
        given: &Region<'p>,
    ) -> Result<PageRange> {
        let (spec, limit) = (region.spec(), given.spec());
        if !region.is_callers() || spec.cache != limit.cache {
            return Err(self.wrong_kind(space, region));
        }
        let (asked, ceiling) = (spec.ceiling, limit.ceiling);
        if !ceiling.contains(asked) {
            return Err(Error::RightsExceedCeiling { asked, ceiling, name: limit.name });
        }
        let name = spec.name;
        let page = self.usable(region).and_then(|usable| usable.part(number, 1));
        let page = page.ok_or(Error::OutsideRegion { address: id.start.bits(), name })?;
        match space.extents().at(page.start()) {
            Some(_) => Err(Error::AlreadyMapped { address: page.start().bits(), name }),
            None => Ok(page),
        }
    }

    fn transfer_page(
        &mut self,
        from: &'p Space<'p>,
        at: VirtAddr,
        into: &'p Space<'p>,
        region: &'p Region<'p>,
        to: PageRange,
    ) -> Result {
        let reserve = &mut self.refill()?;
        let (run, piece) = self.page_at(from, at)?;
        self.transfer(reserve, Transfer { from, run, piece, space: into, region, to })
    }

    fn transfer(&mut self, reserve: &mut Reserve, transfer: Transfer<'p>) -> Result {
        let (piece, space) = (&transfer.piece, transfer.space);
        // Of several it was looked at.
        let one = piece.frames.count == 1;
        if one && !self.refcounts.is_exclusive(piece.frames.first, piece.source) {
            return Err(Error::Shared { address: piece.start.bits() });
        }
        if piece.source == Source::Copy {
            self.check_quota(space, Resource::Slots, 1)?;
        }
        self.check_quota(space, Resource::Frames, piece.frames.count)?;
        self.transfer_piece(reserve, &transfer)
    }

    /// Transfers a page for which there is room, or several, between stores.
    pub(super) fn transfer_piece(
        &mut self,
        reserve: &mut Reserve,
        transfer: &Transfer<'p>,
    ) -> Result {
        let &Transfer { from, run, piece, space: into, region, to } = transfer;
        let node = self.pools.extent(reserve)?;
        let mut spare = self.pools.extent(reserve).ok();
        let moved = received(region, to, piece.source, piece.frames);
        let outcome = match spare {
            Some(_) => self.move_page(reserve, from, &piece, into, moved),
            None => Err(Error::OutOfNodes(NodeKind::Extent)),
        };
        let mut node = Some(node);
        if outcome.is_ok() {
            let index = run.index_of(piece.start);
            let unlinked =
                from.extents_mut().remove_range(&run, index, piece.frames.count, &mut spare);
            self.spare_unlinked(reserve, from, unlinked);
            // Its new region may be one whose pages move.
            self.compaction.look_again();
            if let Some(node) = node.take() {
                self.enter_extent(reserve, into, node, moved);
            }
            self.prune_tables(from);
        }
        for node in [node, spare].into_iter().flatten() {
            self.pools.spare_extent(reserve, node);
        }
        outcome
    }

    /// Unmaps a page and maps it elsewhere; where that is refused it is where it was.
    fn move_page(
        &mut self,
        reserve: &mut Reserve,
        from: &'p Space<'p>,
        piece: &Extent,
        into: &'p Space<'p>,
        moved: Extent,
    ) -> Result {
        // Where it comes somebody may touch it who has nobody to map it then.
        if !into.store.get() {
            self.make_deferred(piece)?;
        }
        self.page_unmap(from, piece.mapped(0))?;
        self.record_unmapped(from, piece);
        let mapped = self.map_extent(reserve, into, moved).map_err(|(error, _)| error);
        if mapped.is_err() {
            self.restore_extent(reserve, from, *piece);
            self.try_free_empty_tables_in(into, self.geometry.page_of(moved.start));
        }
        mapped
    }

    /// The run that covers an address, and the one page of it that does.
    pub(super) fn page_at(&self, space: &Space<'p>, at: VirtAddr) -> Result<(Extent, Extent)> {
        let extent = space.extents().at(at).ok_or_else(|| space.not_mapped(at.bits()))?;
        if extent.frames.size_bits != self.geometry.page_bits {
            return Err(Error::LargePage { address: extent.address(extent.index_of(at)).bits() });
        }
        Ok((extent, extent.part(extent.index_of(at), 1)))
    }
}
