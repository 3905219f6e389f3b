// SPDX-License-Identifier: BSD-2-Clause
//! Cloning, lazily: a clone shares every frame until one of the two sides writes.
//!
//! ```text
//!   clone    both sides' extents are marked; what could be written is mapped read-only; on demand
//!            the clone's pages are recorded, and mapped when they are touched
//!   write    faults; see break_cow.rs
//! ```
//!
//! Reference counts say who else has a frame: a clone is a share whose two sides must not see each
//! other's writes. So frames are counted right whatever the order of breaks, unmaps and ends of
//! spaces.

use page_tables::PageRange;
use untyped_alloc::{Blame, Kernel, Memory, Rights};

use super::share::Copies;
use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extents::Extents;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::{Placement, RegionOptions, Told};
use crate::types::quota::Resource;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Clones a region into a space, lazily: contents are copied a page at a time, when either side
    /// writes. Of `options` only placement and reservation count; the rest is the region's.
    ///
    /// Three kernel calls a page that is mapped (large pages are cut first). Threads of both spaces
    /// need a fault handler from now on.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Access, PageFault, Placement, RegionOptions, Resolution};
    ///
    /// let (own, other) = (vmm.own_space(), vmm.create_space()?);
    /// let ledger = vmm.map(own, &RegionOptions::new(4).named("ledger"))?;
    /// let copy = vmm.clone_region(ledger, other, Placement::anywhere())?;
    /// let (mine, theirs) = (ledger.start().bits(), copy.start().bits());
    /// assert_eq!(vmm.physical_address(own, mine)?, vmm.physical_address(other, theirs)?);
    /// // A write faults, and the writer gets a page of its own.
    /// let fault = PageFault { address: theirs, access: Access::Write, present: true, ip: 0 };
    /// assert!(matches!(vmm.resolve_fault(other, &fault)?, Resolution::Resolved(_)));
    /// assert_ne!(vmm.physical_address(own, mine)?, vmm.physical_address(other, theirs)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongKind`] for what is not plain memory or a stack; [`Error::NotManaged`] for
    /// memory the caller brought, or that was asked for by physical address; [`Error::Shared`] for memory that is shared, whose other owners'
    /// writes the clone would see; [`Error::FaultsNotTold`] for pages that are, or would be, where
    /// the kernel does not tell all of a fault's address; those of [`Vmm::map`]. Nothing is left
    /// behind.
    pub fn clone_region(
        &mut self,
        region: RegionId,
        into: SpaceId,
        placement: Placement,
    ) -> Result<RegionId> {
        let cloned = self.clone_and_cut(region, into, placement, Copies::AtOnce);
        self.finish_cloned(region, cloned)
    }

    /// As [`Vmm::clone_region`], where the threads of both spaces have all their faults answered: a
    /// page of the clone is mapped when it is touched, and not before. The first touch takes two
    /// kernel calls, and no memory: it fails only where the kernel refuses a call. A page that is
    /// given up untouched takes none.
    ///
    /// One kernel call for each page of the origin that can be written, and none for others, such
    /// as those of what was cloned before. Where many are all that a page table is over, that is
    /// taken, with one call for all of them: then they, too, are mapped when they are touched next,
    /// as [`Vmm::protect_on_demand`] says.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Access, PageFault, Placement, RegionOptions, Resolution};
    ///
    /// let (own, other) = (vmm.own_space(), vmm.create_space()?);
    /// let ledger = vmm.map(own, &RegionOptions::new(4).named("ledger"))?;
    /// let copy = vmm.clone_region_on_demand(ledger, other, Placement::anywhere())?;
    /// let (mine, theirs) = (ledger.start().bits(), copy.start().bits());
    /// // The page is there, and is mapped when it is touched.
    /// assert_eq!(vmm.physical_address(own, mine)?, vmm.physical_address(other, theirs)?);
    /// let fault = PageFault { address: theirs, access: Access::Read, present: false, ip: 0 };
    /// assert!(matches!(vmm.resolve_fault(other, &fault)?, Resolution::Resolved(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::OwnSpace`] for a clone in the manager's own, where nobody answers its faults; those
    /// of [`Vmm::clone_region`].
    pub fn clone_region_on_demand(
        &mut self,
        region: RegionId,
        into: SpaceId,
        placement: Placement,
    ) -> Result<RegionId> {
        let cloned = self.clone_and_cut(region, into, placement, Copies::WhenTouched);
        self.finish_cloned(region, cloned)
    }

    /// Clones a region; large pages that were cut are recorded as such still.
    fn clone_and_cut(
        &mut self,
        region: RegionId,
        into: SpaceId,
        placement: Placement,
        copies: Copies,
    ) -> Result<RegionId> {
        self.check_on_demand(into, copies)?;
        let clone = self.reserve_like(region, into, placement)?;
        let made =
            self.under_pressure(|vmm| vmm.try_clone_pages((region, 0), clone, usize::MAX, copies));
        match made {
            Ok(_) => Ok(clone),
            Err(error) => {
                let (space, target) = self.region(clone)?;
                self.free_region_or_quarantine(&mut Reserve::as_it_is(), space, target);
                Err(error)
            }
        }
    }

    /// Refuses pages that are mapped when they are touched in our own space.
    fn check_on_demand(&self, into: SpaceId, copies: Copies) -> Result {
        match copies == Copies::WhenTouched && self.own.id.get() == into {
            true => Err(Error::OwnSpace(into)),
            false => Ok(()),
        }
    }

    /// Reserves a region that is like another but for its place, with nothing mapped: what
    /// [`Vmm::clone_pages`] clones into.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for what is not plain memory or a stack; those of [`Vmm::reserve`].
    pub fn reserve_like(
        &mut self,
        region: RegionId,
        into: SpaceId,
        placement: Placement,
    ) -> Result<RegionId> {
        self.under_pressure(|vmm| vmm.try_reserve_like(region, into, placement))
    }

    fn try_reserve_like(
        &mut self,
        region: RegionId,
        into: SpaceId,
        placement: Placement,
    ) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let (from, source) = self.region(region)?;
        let into = self.space(into)?;
        self.clonable(region, source)?;
        self.check_unpinned(from, source)?;
        let like = RegionOptions::like(&source.spec(), placement);
        let options = RegionOptions { told: Told::Preferred, ..like };
        let target = self.place_region(reserve, into, &options)?;
        Ok(self.id_of(into, target))
    }

    /// Clones part of a region, as [`Vmm::clone_region`] does all of it: from its page number
    /// `page` on (guards not counted), until `most` pages that are mapped are cloned, to the same
    /// places of the region `into`. Returns how many pages are done, holes included; the rest is
    /// for further calls. Each part shows what it held when it was cloned.
    ///
    /// # Errors
    /// As for [`Vmm::clone_region`]; [`Error::OutsideRegion`] for a page that is not in both;
    /// [`Error::RightsExceedCeiling`] when `into` allows less; [`Error::AlreadyMapped`] where
    /// something is mapped in it; [`Error::OutOfQuota`]. Nothing is left of this part.
    pub fn clone_pages(
        &mut self,
        region: RegionId,
        page: usize,
        into: RegionId,
        most: usize,
    ) -> Result<usize> {
        self.clone_some((region, page), into, most, Copies::AtOnce)
    }

    /// As [`Vmm::clone_pages`], on demand, as [`Vmm::clone_region_on_demand`] clones.
    ///
    /// # Errors
    /// [`Error::OwnSpace`]; those of [`Vmm::clone_pages`].
    pub fn clone_pages_on_demand(
        &mut self,
        region: RegionId,
        page: usize,
        into: RegionId,
        most: usize,
    ) -> Result<usize> {
        self.check_on_demand(into.space(), Copies::WhenTouched)?;
        self.clone_some((region, page), into, most, Copies::WhenTouched)
    }

    fn clone_some(
        &mut self,
        from: (RegionId, usize),
        into: RegionId,
        most: usize,
        copies: Copies,
    ) -> Result<usize> {
        let cloned = self.under_pressure(|vmm| vmm.try_clone_pages(from, into, most, copies));
        self.finish_cloned(from.0, cloned)
    }

    /// Ends a request to clone pages of a region: where it was refused, large ones that it has cut
    /// are joined again. Not sooner, as it may have been made more than once.
    fn finish_cloned<T>(&mut self, region: RegionId, cloned: Result<T>) -> Result<T> {
        let Ok((space, node)) = self.region(region) else { return cloned };
        match self.usable(node) {
            Some(range) => self.finish_cut(space, range, cloned),
            None => cloned,
        }
    }

    fn try_clone_pages(
        &mut self,
        (region, page): (RegionId, usize),
        into: RegionId,
        most: usize,
        copies: Copies,
    ) -> Result<usize> {
        let (space, source) = self.region(region)?;
        let (into_space, target) = self.region(into)?;
        let (from, to) = (self.clonable(region, source)?, self.clonable(into, target)?);
        self.check_unpinned(space, source)?;
        let (asked, ceiling) = (source.spec().ceiling, target.spec().ceiling);
        if !ceiling.contains(asked) {
            let name = target.spec().name;
            return Err(Error::RightsExceedCeiling { asked, ceiling, name });
        }
        if source.spec().cache != target.spec().cache {
            return Err(self.wrong_kind(into_space, target));
        }
        let outside = |range: PageRange, region: &Region<'_>| {
            let (address, name) = (range.end(), region.spec().name);
            Error::OutsideRegion { address, name }
        };
        let Some(rest) = from
            .pages()
            .checked_sub(page)
            .ok_or_else(|| outside(from, source))
            .map(|rest| from.part(page, rest))?
        else {
            return Ok(0);
        };
        // None where a page is mapped at once and none is to be cloned.
        let Some(part) = self.with_mapped(space, rest, most) else { return Ok(0) };
        let to = to.part(page, part.pages()).ok_or_else(|| outside(to, target))?;
        if let Some(extent) = into_space.extents().first_in(to) {
            let address = extent.start.bits().max(to.start().bits());
            return Err(Error::AlreadyMapped { address, name: target.spec().name });
        }
        self.check_clone_told((space, source, part), (into_space, target, to))?;
        // 1. Only frames that are ours, each shared by nobody or under copy-on-write; and of those
        //    only small pages. What is refused is refused before a large one is cut.
        self.check_clone(space, part)?;
        let mapped = self.mapped_in(space, part);
        self.check_quota(into_space, Resource::Slots, mapped)?;
        self.check_quota(into_space, Resource::Frames, mapped)?;
        self.check_memory_to_clone(space, part, mapped)?;
        self.cut_to_clone(space, part)?;
        // 2. Extents begin and end with the part: what is marked now is all of them.
        let reserve = &mut self.refill()?;
        self.split_extent(reserve, space, part.start().bits())?;
        self.split_extent(reserve, space, part.end())?;
        // 3. All pages of the part are write-protected and marked, and then copied: at no moment
        //    can one side write to a page that the other has already.
        let alike = |start, piece: &Extent| Ok(Extent { start, abandoned: false, ..*piece });
        let into = (into_space, target);
        if copies == Copies::WhenTouched {
            self.detach_written(space, part);
        }
        let cloned = self
            .write_protect(space, part)
            .and_then(|()| self.map_copies((space, part), into, to, (copies, alike)));
        match cloned {
            Ok(()) => {
                self.join_in(space, part);
                self.join_in(into_space, to);
                Ok(part.pages())
            }
            Err(error) => {
                // The copies are gone, so nobody shares these frames: they can be written as
                // before.
                let _ = self.restore_write_access_in(space, part);
                // Copies may be left that the kernel would not delete.
                if error.blame() == Blame::Manager {
                    space.undone.copy_on_write.set(true);
                }
                Err(error)
            }
        }
    }

    /// Refuses a clone of pages that would be under copy-on-write, in one of the two spaces, where
    /// the kernel does not tell the whole address of a write. O(log extents).
    fn check_clone_told(
        &self,
        (space, source, from): (&Space<'p>, &Region<'p>, PageRange),
        (into, target, to): (&Space<'p>, &Region<'p>, PageRange),
    ) -> Result {
        let extents = space.extents();
        let mapped = |part: PageRange| {
            extents.first_in(part).map(|extent| extent.start.bits().max(part.start().bits()))
        };
        if let Some(address) = self.untold(space, from).and_then(mapped) {
            return Err(self.faults_not_told(address, source.spec().name));
        }
        let Some(untold) = self.untold(into, to) else { return Ok(()) };
        // The pages of the origin that would come to lie there.
        let before = to.pages() - untold.pages();
        match from.part(before, untold.pages()).and_then(mapped) {
            Some(address) => {
                let there = to.start().bits() + (address - from.start().bits());
                Err(self.faults_not_told(there, target.spec().name))
            }
            None => Ok(()),
        }
    }

    /// The pages of a region that can be cloned, or cloned into.
    pub(crate) fn clonable(&self, id: RegionId, region: &Region<'p>) -> Result<PageRange> {
        let plain = matches!(region.spec().kind, Kind::Memory | Kind::Stack) && !region.is_edge();
        let usable = if plain { self.usable(region) } else { None };
        usable.ok_or_else(|| Error::WrongKind { region: id, name: region.spec().name })
    }

    /// Refuses a space that [`Vmm::clone_space`] could not clone, before anything is done.
    fn check_clonable(&self, id: SpaceId) -> Result {
        let space = self.space(id)?;
        if core::ptr::eq(space, self.own) {
            return Err(Error::OwnSpace(id));
        }
        for region in space.regions().iter() {
            if let Ok(pages) = self.clonable(self.id_of(space, region), region) {
                self.check_unpinned(space, region)?;
                // The clone lies at the same addresses.
                self.check_clone_told((space, region, pages), (space, region, pages))?;
                self.check_clone(space, pages)?;
            }
        }
        Ok(())
    }

    /// Clones a whole space, lazily: its memory and stacks, each at its own address. IPC buffers,
    /// which belong to threads, are left out, and so is what was mapped at boot.
    ///
    /// # Errors
    /// [`Error::OwnSpace`] for the manager's own, in which the threads run that resolve faults;
    /// those of [`Vmm::create_space`] and [`Vmm::clone_region`]. Nothing is left behind.
    pub fn clone_space(&mut self, space: SpaceId) -> Result<SpaceId> {
        self.clone_space_with(space, Copies::AtOnce)
    }

    /// As [`Vmm::clone_space`], on demand, as [`Vmm::clone_region_on_demand`] clones: what a fork
    /// is.
    ///
    /// # Errors
    /// As for [`Vmm::clone_space`].
    pub fn clone_space_on_demand(&mut self, space: SpaceId) -> Result<SpaceId> {
        self.clone_space_with(space, Copies::WhenTouched)
    }

    fn clone_space_with(&mut self, space: SpaceId, copies: Copies) -> Result<SpaceId> {
        self.check_clonable(space)?;
        let clone = self.make_space(self.space(space)?.store.get())?;
        let mut at = 0;
        while let Some(info) = self.next_region(space, at)? {
            at = info.range.end();
            if !matches!(info.kind, Kind::Memory | Kind::Stack) {
                continue;
            }
            let first = info.range.start().bits() + (info.guard_below << self.geometry.page_bits);
            if let Err(error) = self.clone_and_cut(info.id, clone, Placement::at(first), copies) {
                // What is refused now is done by `trim`.
                let destroyed = self.destroy_space(clone);
                self.restore_write_access_below(space, at);
                if destroyed.is_err() {
                    self.space(clone)?.undone.clone.set(true);
                    self.space(space)?.undone.copy_on_write.set(true);
                }
                self.finish_cut_pages(self.space(space)?, (0, usize::MAX), false);
                return Err(error);
            }
        }
        self.finish_cut_pages(self.space(space)?, (0, usize::MAX), true);
        Ok(clone)
    }

    /// Refuses memory that cannot be cloned: not ours, or shared. O(pages).
    fn check_clone(&self, space: &Space<'p>, range: PageRange) -> Result {
        if let Some(address) = self.first_physical(space, range) {
            return Err(Error::NotManaged { address });
        }
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, count }) = cursor.next(space) {
            if !matches!(extent.source, Source::Owned | Source::Copy) {
                return Err(Error::NotManaged { address: extent.start.bits() });
            }
            if extent.frames.size_bits != self.geometry.page_bits {
                // It is to be cut, which takes it from whoever shares it.
                for index in first..first + count {
                    self.check_divisible(&extent.part(index, 1))?;
                }
                continue;
            }
            // I16: a frame's users are under copy-on-write all together or not at all.
            let shared =
                |&index: &usize| !self.refcounts.is_exclusive(extent.frame(index), extent.source);
            let frames = extent.part(first, count).frames;
            let owned = extent.source == Source::Owned;
            let none = extent.cow || (owned && !self.refcounts.any_in(&frames));
            let first_shared = if none { None } else { (first..first + count).find(shared) };
            if let Some(index) = first_shared {
                return Err(Error::Shared { address: extent.address(index).bits() });
            }
        }
        Ok(())
    }

    /// Refuses a clone of `mapped` pages that there is not memory for, where large pages would be
    /// cut: what one of them takes is there again for the next, but not its table, nor the clone's
    /// tables and slots. O(chunks) where one is cut, O(extents) otherwise.
    fn check_memory_to_clone(&self, space: &Space<'p>, range: PageRange, mapped: usize) -> Result {
        let (mut first, mut cuts) = (None, 0);
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first: index, count }) = cursor.next(space) {
            if extent.frames.size_bits != self.geometry.page_bits {
                first = first.or(Some(extent.part(index, 1)));
                cuts += count;
            }
        }
        let Some(first) = first else { return Ok(()) };
        let memory = self.stats();
        let page = self.geometry.page_bytes();
        // One behind each of its pages in both, at the least; some that are made serve.
        let made = memory.kept_tables * page;
        let tables = (2 * cuts * page).saturating_sub(made);
        let slots = mapped.saturating_sub(memory.allocator.free_slots);
        let slot_bytes = slots << self.alloc.sizes().slot_bits;
        let bytes = (1 << first.frames.size_bits) + tables + slot_bytes;
        let free_bytes = memory.allocator.free_bytes();
        if bytes > free_bytes {
            return Err(Error::OutOfMemoryToCut { address: first.start.bits(), bytes, free_bytes });
        }
        Ok(())
    }

    /// Cuts the large pages of a range.
    fn cut_to_clone(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, .. }) = cursor.next(space) {
            if extent.frames.size_bits != self.geometry.page_bits {
                let large = extent.part(first, 1);
                self.demote(space, large.start)?;
                // What took its place is passed over.
                cursor.go_to(large.end());
            }
        }
        Ok(())
    }

    /// As [`Vmm::write_protect`], of the pages of whole page tables, by taking these.
    fn detach_written(&mut self, space: &'p Space<'p>, range: PageRange) {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let below = self.below_one_table(part);
            let written = |extent: &Extent| !extent.cow && extent.rights.contains(Rights::WRITE);
            let mark = |extents: &mut Extents<'p>, start| extents.set_cow(start, true);
            self.detach_table(space, below, written, mark);
            rest = part.from(below.end());
        }
    }

    /// Marks all extents in `range` copy-on-write, and takes the right to write from their pages.
    fn write_protect(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            if !extent.cow {
                self.set_cow(space, extent, true)?;
            }
        }
        Ok(())
    }
}
