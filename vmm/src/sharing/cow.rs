//! Copy-on-write: a clone shares every frame until one of the two writes.
//!
//! ```text
//!   clone    both sides' runs are marked; what could be written is mapped read-only
//!   write    faults; the writer gets a frame of its own with the same contents
//!   last     whoever is the only one left gets the right to write back, without a copy
//! ```
//!
//! Who else has a frame is counted by sharing (see share.rs): a clone is a share whose two sides
//! must not see each other's writes. So frames are counted right whatever the order of breaks,
//! unmaps and ends of spaces.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{Frames, Invocation, Kernel, Memory, Taken};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::quota::Resource;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Clones a region into a space, lazily: contents are copied a page at a time, when either side
    /// writes. Of `options` only placement and reservation count; the rest is the region's.
    ///
    /// Three kernel calls a page that is mapped (large pages are cut first). Threads of both spaces
    /// need a fault handler from now on.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for what is not plain memory or a stack; [`Error::NotOurs`] for memory
    /// the caller brought; [`Error::Shared`] for memory that is shared, whose other owners' writes
    /// the clone would see; those of [`Vmm::map`]. Nothing is left behind.
    pub fn clone_region(
        &mut self,
        region: RegionId,
        into: SpaceId,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        let clone = self.reserve_like(region, into, options)?;
        match self.clone_pages(region, 0, clone, usize::MAX) {
            Ok(_) => Ok(clone),
            Err(error) => {
                let (space, target) = self.region(clone)?;
                self.free_region_or_quarantine(space, target);
                Err(error)
            }
        }
    }

    /// Reserves a region that is like another but for its place, with nothing mapped: what
    /// [`Vmm::clone_pages`] clones into. Of `options` only placement and reservation count.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for what is not plain memory or a stack; those of [`Vmm::reserve`].
    pub fn reserve_like(
        &mut self,
        region: RegionId,
        into: SpaceId,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.refill()?;
        let (_, source) = self.region(region)?;
        let into = self.space(into)?;
        let usable = self.clonable(region, source)?;
        let spec = source.spec();
        let options = RegionOptions {
            pages: usable.pages(),
            guard_below: spec.guard_below,
            guard_above: spec.guard_above,
            rights: spec.rights,
            ceiling: Some(spec.ceiling),
            cache: spec.cache,
            kind: spec.kind,
            backing: spec.backing,
            name: spec.name,
            ..*options
        };
        let target = self.place_region(into, &options)?;
        Ok(self.id_of(into, target))
    }

    /// Clones part of a region, as [`Vmm::clone_region`] does all of it: from its page number `page`
    /// on (guards not counted), until `most` pages that are mapped are cloned, to the same places of
    /// the region `into`. Returns how many pages are done, holes included; the rest is for further
    /// calls. Each part shows what it held when it was cloned.
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
        self.refill()?;
        let (space, source) = self.region(region)?;
        let (into_space, target) = self.region(into)?;
        let (from, to) = (self.clonable(region, source)?, self.clonable(into, target)?);
        let (asked, ceiling) = (source.spec().ceiling, target.spec().ceiling);
        if !ceiling.contains(asked) {
            return Err(Error::RightsExceedCeiling { asked, ceiling });
        }
        if source.spec().cache != target.spec().cache {
            return Err(Error::WrongKind(into));
        }
        let outside = |range: PageRange| Error::OutsideRegion { address: range.end() };
        let Some(rest) = from
            .pages()
            .checked_sub(page)
            .ok_or(outside(from))
            .map(|rest| from.part(page, rest))?
        else {
            return Ok(0);
        };
        let part = self.with_mapped(space, rest, most);
        let to = to.part(page, part.pages()).ok_or(outside(to))?;
        if let Some(extent) = into_space.extents.borrow().first_in(to) {
            let address = extent.start.bits().max(to.start().bits());
            return Err(Error::AlreadyMapped { address });
        }
        self.prepare_clone(space, part)?;
        let mapped = self.mapped_in(space, part);
        self.check_quota(into_space, Resource::Slots, mapped)?;
        self.check_quota(into_space, Resource::Frames, mapped)?;
        self.refill()?;
        self.split_extent(space, part.start().bits())?;
        self.split_extent(space, part.end())?;
        let cloned = self
            .write_protect(space, part)
            .and_then(|()| self.clone_extents(space, part, into_space, to));
        match cloned {
            Ok(()) => {
                self.join_in(space, part);
                self.join_in(into_space, to);
                Ok(part.pages())
            }
            Err(error) => {
                // Nobody shares these frames now: they can be written again as before.
                let _ = self.restore_write_access_in(space, part);
                Err(error)
            }
        }
    }

    /// The pages of a region that can be cloned, or cloned into.
    pub(crate) fn clonable(&self, id: RegionId, region: &Region<'p>) -> Result<PageRange> {
        let plain = matches!(region.spec().kind, Kind::Memory | Kind::Stack) && !region.is_mark();
        let usable = if plain { self.usable(region) } else { None };
        usable.ok_or(Error::WrongKind(id))
    }

    /// Clones a whole space, lazily: its memory and stacks, each at its own address. IPC buffers,
    /// which belong to threads, are left out, and so is what was mapped at boot.
    ///
    /// # Errors
    /// Those of [`Vmm::create_space`] and [`Vmm::clone_region`]. Nothing is left behind.
    pub fn clone_space(&mut self, space: SpaceId) -> Result<SpaceId> {
        self.space(space)?;
        let clone = self.create_space()?;
        let mut at = 0;
        while let Some(info) = self.next_region(space, at)? {
            at = info.range.end();
            if !matches!(info.kind, Kind::Memory | Kind::Stack) {
                continue;
            }
            let first = info.range.start().bits() + (info.guard_below << self.geometry.page_bits);
            let options = RegionOptions::new(1).at(first);
            if let Err(error) = self.clone_region(info.id, clone, &options) {
                let _ = self.destroy_space(clone);
                self.restore_write_access_below(space, at);
                return Err(error);
            }
        }
        Ok(clone)
    }

    /// Settles the regions below `end`: nobody may answer the faults of their threads, once there is
    /// no clone.
    fn restore_write_access_below(&mut self, space: SpaceId, end: usize) {
        let mut at = 0;
        while let Ok(Some(info)) = self.next_region(space, at) {
            at = info.range.end();
            if at > end {
                break;
            }
            let _ = self.settle(info.id);
        }
    }

    /// Gives the right to write back to those pages of a region that nobody shares any more. One
    /// kernel call each. Otherwise each gets it at its next write, by a fault.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`], [`Error::Kernel`].
    pub fn settle(&mut self, region: RegionId) -> Result {
        let (space, node) = self.region(region)?;
        self.refill()?;
        self.usable(node).map_or(Ok(()), |range| self.restore_write_access_in(space, range))
    }

    /// Refuses memory that is not ours to clone, and cuts large pages.
    fn prepare_clone(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(extent) = space.extents.borrow().first_in(part) else { break };
            if !matches!(extent.source, Source::Owned | Source::Copy) {
                return Err(Error::NotOurs { address: extent.start.bits() });
            }
            if extent.frames.size_bits != self.geometry.page_bits {
                self.refill()?;
                self.demote(space, extent.start)?;
                continue;
            }
            // A frame's users are under copy-on-write all together or not at all.
            let shared =
                |&index: &usize| !self.refcounts.is_exclusive(extent.frame(index), extent.source);
            let first_shared =
                if extent.cow { None } else { (0..extent.frames.count).find(shared) };
            if let Some(index) = first_shared {
                return Err(Error::Shared { address: extent.address(index).bits() });
            }
            rest = self.past(part, &extent);
        }
        Ok(())
    }

    /// Marks all runs in `range` copy-on-write, and takes the right to write from their pages.
    fn write_protect(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(extent) = space.extents.borrow().first_in(part) else { break };
            if !extent.cow {
                self.set_cow(space, extent, true)?;
            }
            rest = self.past(part, &extent);
        }
        Ok(())
    }

    /// Gives a whole run another mark, and its pages the rights that go with it.
    pub(crate) fn set_cow(&mut self, space: &'p Space<'p>, extent: Extent, cow: bool) -> Result {
        let marked = Extent { cow, ..extent };
        // For the cut, should a call be refused in the midst.
        self.refill()?;
        let (done, outcome) = match marked.mapped_rights() == extent.mapped_rights() {
            true => (extent.frames.count, Ok(())),
            false => self.remap(space, &marked),
        };
        if done != 0 && done != extent.frames.count {
            self.split_extent(space, extent.address(done).bits())?;
        }
        if done != 0 {
            space.extents.borrow_mut().set_cow(extent.start, cow);
        }
        outcome
    }

    fn clone_extents(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        into: &'p Space<'p>,
        to: PageRange,
    ) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(extent) = space.extents.borrow().first_in(part) else { break };
            let start = offset(to.start(), extent.start.bits() - range.start().bits());
            let copied = self.refill().and_then(|()| self.copy_frames(&extent));
            let entered = copied.and_then(|frames| {
                self.enter(into, Extent { start, frames, source: Source::Copy, ..extent })
            });
            if let Err(error) = entered {
                self.free_unused_in(into, to);
                return Err(error);
            }
            rest = self.past(part, &extent);
        }
        self.map_extents(into, to)
    }

    /// Gives the right to write back to pages in `range` that nobody shares.
    fn restore_write_access_in(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(extent) = space.extents.borrow().first_in(part) else { break };
            if extent.cow {
                let (first, count) = extent.indices_in(part);
                let exclusive = |index: usize| {
                    self.refcounts.is_exclusive(extent.frame(first + index), extent.source)
                };
                let alike = exclusive(0);
                let same = (1..count).find(|&index| exclusive(index) != alike).unwrap_or(count);
                if alike {
                    self.unmark_cow(space, extent.part(first, same))?;
                }
                rest = self.past(part, &extent.part(first, same));
            } else {
                rest = self.past(part, &extent);
            }
        }
        self.join_in(space, range);
        Ok(())
    }

    /// Takes the mark of copy-on-write from part of a run.
    fn unmark_cow(&mut self, space: &'p Space<'p>, piece: Extent) -> Result {
        self.refill()?;
        self.split_extent(space, piece.start.bits())?;
        self.split_extent(space, piece.end())?;
        let outcome = self.set_cow(space, piece, false);
        self.join_extent(space, piece.start);
        if let Ok(end) = self.geometry.address(piece.end()) {
            self.join_extent(space, end);
        }
        outcome
    }

    /// Breaks copy-on-write for every page of `range` that is under it.
    pub(crate) fn break_cow_in(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(extent) = space.extents.borrow().first_in(part) else { break };
            if extent.cow {
                let (first, _) = extent.indices_in(part);
                self.break_cow(space, extent.address(first))?;
                rest = self.past(part, &extent.part(first, 1));
            } else {
                rest = self.past(part, &extent);
            }
        }
        Ok(())
    }

    /// Gives the page at `address`, which is copy-on-write, a frame of its own with the same
    /// contents; or, if nobody else has its frame, the right to write to that. Six kernel calls and
    /// a copy (seven for what is a copied capability's); or one.
    pub(crate) fn break_cow(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let not_mapped = Error::NotMapped { address: address.bits() };
        let extent = space.extents.borrow().at(address).ok_or(not_mapped)?;
        let index = extent.index_of(address);
        let piece = extent.part(index, 1);
        if self.refcounts.is_exclusive(piece.frames.first, piece.source) {
            return self.unmark_cow(space, piece);
        }
        // It was paid for when the clone was made: what is shared counts as what is its own.
        self.refill()?;
        let size_bits = self.geometry.page_bits;
        // It will be overwritten as a whole, so a dirty frame serves as it is.
        let frames = match self.alloc.take_frames(&mut self.kernel, size_bits, 1)? {
            Taken::Clean(clean) => clean.frames(),
            Taken::Dirty(dirty) => dirty.frames(),
        };
        let replaced = self.replace_frame(space, extent, index, frames);
        if replaced.is_err() && !self.is_mapped_with(space, address, frames) {
            self.free_or_leave(frames);
        }
        replaced
    }

    fn is_mapped_with(&self, space: &Space<'p>, address: VirtAddr, frames: Frames) -> bool {
        space.extents.borrow().at(address).is_some_and(|extent| extent.frame(0) == frames.first)
    }

    /// Puts a new frame in the place of one of a run's.
    fn replace_frame(
        &mut self,
        space: &'p Space<'p>,
        extent: Extent,
        index: usize,
        frames: Frames,
    ) -> Result {
        let piece = extent.part(index, 1);
        let node = self.pools.extents.take().ok_or(Error::OutOfNodes(NodeKind::Extent))?;
        let mut spare = self.pools.extents.take();
        let copied = match spare {
            Some(_) => self.copy_out(space, &piece, frames),
            None => Err(Error::OutOfNodes(NodeKind::Extent)),
        };
        if let Err(error) = copied {
            self.pools.extents.give(node);
            spare.into_iter().for_each(|node| self.pools.extents.give(node));
            return Err(error);
        }
        // The old frame is mapped nowhere here any more, and its copy is gone.
        let freed = space.extents.borrow_mut().remove_range(&extent, index, 1, &mut spare);
        for node in [freed, spare].into_iter().flatten() {
            self.pools.extents.give(node);
        }
        if piece.source == Source::Owned {
            self.owner_gone(piece.frames);
        }
        let own = Extent { frames, cow: false, source: Source::Owned, ..piece };
        space.extents.borrow_mut().insert(node, own);
        let mapped = self.map_extent(space, own).map_err(|(error, _)| error);
        if mapped.is_err() {
            // It stays recorded; the fault that follows maps it.
            self.restore_extent(space, own);
        }
        mapped
    }

    /// Copies the contents of a mapped page to `to`, by way of our own space, and takes the page
    /// away: unmapped, and deleted if it is a copy. When a call is refused it is where it was.
    fn copy_out(&mut self, space: &'p Space<'p>, piece: &Extent, to: Frames) -> Result {
        let frame = piece.frames.first;
        self.kernel.page_unmap(frame).map_err(Error::kernel(Invocation::PageUnmap))?;
        self.record_unmapped(space, piece);
        let copied = self.copy_through_temp_slots(piece, to).and_then(|()| match piece.source {
            Source::Copy => self.delete_copy(frame),
            _ => Ok(()),
        });
        if copied.is_err() {
            // Where that is refused again, the windows see to it before they are used again.
            let _ = self.unmap_temporary(TempSlot::Target);
            let _ = self.unmap_temporary(TempSlot::View);
            self.restore_extent(space, *piece);
        }
        copied
    }

    fn copy_through_temp_slots(&mut self, piece: &Extent, to: Frames) -> Result {
        let target = self.map_temporarily(TempSlot::Target, to.first)?;
        let view = self.map_temporarily(TempSlot::View, piece.frames.first)?;
        self.kernel.copy(target, view, self.geometry.page_bytes());
        self.unmap_temporary(TempSlot::View)?;
        self.unmap_temporary(TempSlot::Target)
    }
}
