//! Sharing: the same frames in several places, counted; the last to leave frees them.
//!
//! A frame capability remembers one mapping, so every further mapping needs a copy of it:
//!
//! ```text
//!   owner's run   ──► frames' own capabilities  (slots 512, 513, 514)
//!                          │ CNode_Copy
//!   sharer's run  ──► copies                    (slots 900, 901, 902)
//! ```
//!
//! Two things are remembered. [`Copies`]: which slots hold copies of which frames. [`Sharers`]: for
//! a frame that has copies, how many, and whether the owner has left. Frames without copies have
//! neither, and an unmapping learns so with one look-up for a run. When the owner leaves first, its
//! frames stay taken until the last copy is deleted.

use page_tables::PageRange;
use untyped_alloc::{CPtr, Frames, Invocation, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, RunInfo};
use crate::state::refcounts::{Count, MOST_COPIES};
use crate::state::space::Space;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps what is mapped in `pages` pages from the address `start` (bytes) of `space` on into a
    /// new region of the space `into` as well, with the rights of `options`.
    ///
    /// The options' number of pages is taken from `pages`; their rights may not exceed the ceiling
    /// of the region shared. Two kernel calls a page. Large pages stay large.
    ///
    /// # Errors
    /// Those of [`Vmm::unmap`] for the range and of [`Vmm::map`] for the new region;
    /// [`Error::RightsExceedCeiling`]; [`Error::LargePage`] where the range cuts a large page or
    /// the new place is not aligned to one; [`Error::NotOurs`] for memory that the caller
    /// brought or asked for by physical address.
    pub fn share(
        &mut self,
        space: SpaceId,
        start: usize,
        pages: usize,
        into: SpaceId,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.refill()?;
        let (from, into) = (self.space(space)?, self.space(into)?);
        let (region, range) = self.caller_range(from, start, pages)?;
        let limit = region.spec().ceiling;
        let ceiling = options.ceiling.unwrap_or(limit);
        if !limit.contains(ceiling) {
            return Err(Error::RightsExceedCeiling { asked: ceiling, ceiling: limit });
        }
        self.check_shareable(from, range)?;
        let options = RegionOptions { pages, ceiling: Some(ceiling), ..*options };
        self.check_quota(into, Resource::Slots, pages)?;
        self.check_quota(into, Resource::Frames, pages)?;
        let target = self.place_region(into, &options)?;
        let to = self.usable(target).ok_or(Error::OutsideRegion { address: range.end() });
        let shared = to.and_then(|to| {
            self.break_cow_in(from, range)?;
            self.share_range(from, range, into, (to, target.spec()))
        });
        match shared {
            Ok(()) => Ok(self.id_of(into, target)),
            Err(error) => {
                self.abandon_region(into, target);
                Err(error)
            }
        }
    }

    /// As [`Vmm::share`], into a region that there is: from its page number `page` on (guards not
    /// counted), where nothing is mapped, with its rights.
    ///
    /// # Errors
    /// As for [`Vmm::share`]; [`Error::WrongKind`] for a region that is not plain memory or a stack;
    /// [`Error::OutsideRegion`] for pages that are not all in it; [`Error::AlreadyMapped`].
    pub fn share_into(
        &mut self,
        space: SpaceId,
        start: usize,
        pages: usize,
        into: RegionId,
        page: usize,
    ) -> Result {
        self.refill()?;
        let from = self.space(space)?;
        let (into_space, target) = self.region(into)?;
        let (region, range) = self.caller_range(from, start, pages)?;
        if !target.is_callers() {
            return Err(Error::WrongKind(into));
        }
        let (asked, ceiling) = (target.spec().ceiling, region.spec().ceiling);
        if !ceiling.contains(asked) {
            return Err(Error::RightsExceedCeiling { asked, ceiling });
        }
        let to = self.usable(target).and_then(|usable| usable.part(page, pages));
        let to = to.ok_or(Error::OutsideRegion { address: into.start.bits() })?;
        if let Some(run) = into_space.runs.borrow().first_in(to) {
            let address = run.start.bits().max(to.start().bits());
            return Err(Error::AlreadyMapped { address });
        }
        self.check_shareable(from, range)?;
        self.check_quota(into_space, Resource::Slots, pages)?;
        self.check_quota(into_space, Resource::Frames, pages)?;
        self.break_cow_in(from, range)?;
        self.share_range(from, range, into_space, (to, target.spec()))
    }

    /// Refuses a range with holes, cut large pages, or frames that are not the manager's.
    pub(crate) fn check_shareable(&self, space: &Space<'p>, range: PageRange) -> Result {
        self.check_mapped(space, range)?;
        self.check_uncut(space, range)?;
        let (runs, mut rest) = (space.runs.borrow(), Some(range));
        while let Some(part) = rest {
            let Some(run) = runs.first_in(part) else { break };
            if !matches!(run.source, Source::Owned | Source::Copy) {
                return Err(Error::NotOurs { address: run.start.bits() });
            }
            rest = self.past(part, &run);
        }
        Ok(())
    }

    pub(crate) fn share_range(
        &mut self,
        from: &'p Space<'p>,
        range: PageRange,
        into: &'p Space<'p>,
        (to, spec): (PageRange, RegionSpec),
    ) -> Result {
        let RegionSpec { rights, cache, .. } = spec;
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(run) = from.runs.borrow().first_in(part) else { break };
            let (first, count) = run.indices_in(part);
            let piece = run.part(first, count);
            let at = offset(to.start(), piece.start.bits() - range.start().bits());
            let copied = match at.is_aligned(piece.frames.size_bits) {
                true => self.refill().and_then(|()| self.copy_frames(&piece)),
                false => Err(Error::LargePage { address: at.bits() }),
            };
            let entered = copied.and_then(|frames| {
                let fresh = RunInfo::fresh(at, frames, rights, cache);
                let info = RunInfo { source: Source::Copy, ..fresh };
                self.enter(into, info)
            });
            if let Err(error) = entered {
                self.give_up(into, to);
                return Err(error);
            }
            rest = self.past(part, &run);
        }
        self.install(into, to)
    }

    /// Enters a run that is to be mapped; gives its frames up when there is no node.
    pub(crate) fn enter(&mut self, space: &'p Space<'p>, info: RunInfo) -> Result {
        match self.pools.run() {
            Ok(node) => {
                space.runs.borrow_mut().insert(node, info);
                Ok(())
            }
            Err(error) => {
                self.discard(&info);
                Err(error)
            }
        }
    }

    /// Copies the capabilities of a run's frames into consecutive slots, and counts them.
    pub(crate) fn copy_frames(&mut self, piece: &RunInfo) -> Result<Frames> {
        let origin = match piece.source {
            Source::Copy => {
                let frame = piece.frames.first;
                self.sharers.origin(frame).ok_or(Error::NotOurs { address: piece.start.bits() })?
            }
            _ => piece.frames.first,
        };
        let count = piece.frames.count;
        self.sharers
            .insert_groups(&mut self.pools.sharers, origin, count)
            .map_err(|_| Error::OutOfNodes(NodeKind::Sharers))?;
        let Some(node) = self.pools.copies.take() else {
            self.drop_groups(origin, count);
            return Err(Error::OutOfNodes(NodeKind::Copies));
        };
        let first = match self.alloc.take_slots(&mut self.kernel, count) {
            Ok(first) => first,
            Err(error) => {
                self.pools.copies.give(node);
                self.drop_groups(origin, count);
                return Err(error.into());
            }
        };
        self.sharers.insert_copies(node, first, origin, count);
        for index in 0..count {
            let (frame, copy) = (origin.offset(index), first.offset(index));
            let (dst, src) = (self.alloc.path(copy), self.alloc.path(frame));
            let copied = match self.sharers.count(frame).copies() {
                MOST_COPIES => Err(Error::NotOurs { address: piece.address(index).bits() }),
                _ => self
                    .kernel
                    .cnode_copy(dst, src, Rights::all())
                    .map_err(Error::kernel(Invocation::CNodeCopy)),
            };
            if let Err(error) = copied {
                self.drop_copies(first, index);
                self.drop_groups(origin, count);
                return Err(error);
            }
            self.sharers.copied(node, frame);
        }
        Ok(Frames { first, ..piece.frames })
    }

    /// Deletes the copies that were made for one run, the first `count` of which are there; on a
    /// path that must not fail.
    pub(crate) fn drop_copies(&mut self, first: CPtr, count: usize) {
        if count == 0 {
            self.finish_copies(first);
        }
        for index in (0..count).rev() {
            if self.delete_copy(first.offset(index)).is_err() {
                // The last ones are deleted first, so those left are known by their number.
                self.quarantined += usize::from(self.sharers.quarantine_copies(first));
                return;
            }
        }
    }

    /// Tries again to delete the copies in quarantine.
    pub(crate) fn retry_copies(&mut self) -> Result {
        while self.quarantined != 0 {
            let Some((first, live)) = self.sharers.quarantined_copies() else { return Ok(()) };
            for index in (0..live).rev() {
                self.delete_copy(first.offset(index))?;
            }
            self.quarantined -= 1;
        }
        Ok(())
    }

    /// Deletes one copy, which is not mapped: the kernel unmaps a page only with the last capability
    /// to its frame (`Mode_finaliseCap`), and would leave this one's mapping behind. The frame is
    /// given back if nobody else has it. One kernel call.
    pub(crate) fn delete_copy(&mut self, copy: CPtr) -> Result {
        let Some(origin) = self.sharers.origin(copy) else { return Ok(()) };
        self.kernel
            .cnode_delete(self.alloc.path(copy))
            .map_err(Error::kernel(Invocation::CNodeDelete))?;
        if self.sharers.uncopied(copy, origin) == Count::ORPHAN {
            self.give_orphan(origin);
        }
        self.drop_groups(origin, 1);
        self.finish_copies(copy);
        Ok(())
    }

    /// Gives the slots of copies back that are all deleted.
    pub(crate) fn finish_copies(&mut self, copy: CPtr) {
        let Some(copies) = self.sharers.remove_deleted_copies(copy) else { return };
        let (first, count) = copies.slots();
        // They were taken together and are empty.
        let _ = self.alloc.give_slots(first, count);
        self.pools.copies.give(copies);
    }

    pub(crate) fn drop_groups(&mut self, first: CPtr, count: usize) {
        self.sharers.remove_unused_groups(&mut self.pools.sharers, first, count);
    }

    /// Gives back a frame whose owner left before and whose last copy is deleted now.
    pub(crate) fn give_orphan(&mut self, origin: CPtr) {
        self.sharers.forget_orphan(origin);
        for level in self.geometry.levels {
            let frames = Frames { first: origin, count: 1, size_bits: level.entry_bits };
            if level.holds_frames && self.alloc.give_frames(frames).is_ok() {
                return;
            }
        }
    }

    /// The owner of frames has unmapped them: gives those back that have no copies, and leaves the
    /// others to their sharers.
    pub(crate) fn owner_leaves(&mut self, frames: Frames) {
        if !self.sharers.any_in(&frames) {
            // They are recorded as taken from the allocator, so it takes them.
            let _ = self.alloc.give_frames(frames);
            return;
        }
        for index in 0..frames.count {
            let frame = frames.first.offset(index);
            match self.sharers.count(frame) {
                Count::NONE => {
                    let one = Frames { first: frame, count: 1, ..frames };
                    let _ = self.alloc.give_frames(one);
                }
                _ => self.sharers.owner_left(frame),
            }
        }
    }
}
