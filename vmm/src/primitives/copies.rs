// SPDX-License-Identifier: BSD-2-Clause
//! Copies of frame capabilities: made, counted, deleted.

use page_tables::VirtAddr;
use untyped_alloc::{Blame, CPtr, Frames, Kernel, Memory, Rights, SlotUse};

use crate::manager::vmm::Vmm;
use crate::state::cap_copies::{CapCopies, MAX_TOGETHER};
use crate::state::extent::Extent;
use crate::state::refcounts::{Count, MAX_COPIES};
use crate::state::reserve::Reserve;
use crate::state::single_copies::{SingleCopies, TOGETHER};
use crate::types::error::{Error, NodeKind, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Copies the capabilities of an extent's frames into consecutive slots, and counts them: of
    /// all of them, or, where the slots that are free lie scattered, of the first few.
    pub(crate) fn copy_frames(&mut self, _reserve: &mut Reserve, piece: &Extent) -> Result<Frames> {
        self.note_used(piece);
        let (origin, count) = (self.origin_of(piece)?, piece.frames.count);
        if count == 1 {
            if let Some(copied) = self.copy_alone(origin, piece.start) {
                return copied.map(|first| Frames { first, ..piece.frames });
            }
        }
        let all = count;
        let (node, first, count) = self.slots_for_copies(origin, all)?;
        for index in 0..count {
            let (frame, copy) = (origin.offset(index), first.offset(index));
            let src = self.alloc.path(frame);
            let copied = match self.refcounts.count(frame).copies() {
                MAX_COPIES => Err(Error::SharedTooOften { address: piece.address(index).bits() }),
                _ => self.fill_slot(copy, |kernel, dst| kernel.cnode_copy(dst, src, Rights::all())),
            };
            if let Err(error) = copied {
                self.delete_copies(first, index);
                self.remove_unused_groups(origin, all);
                return Err(error);
            }
            self.refcounts.copied(node, frame);
        }
        if count < all {
            self.remove_unused_groups(origin, all);
        }
        Ok(Frames { first, count, ..piece.frames })
    }

    /// The capability that those of an extent's frames begin with, or are copied of.
    pub(super) fn origin_of(&self, piece: &Extent) -> Result<CPtr> {
        let frame = piece.frames.first;
        match piece.source {
            Source::Copy => {
                let origin = self.refcounts.origin(frame);
                origin.ok_or(Error::NotManaged { address: piece.start.bits() })
            }
            _ => Ok(frame),
        }
    }

    /// Takes consecutive slots for copies of `all` capabilities from `origin` on, and what counts
    /// them: the node of both, the first slot, and how many. Where the slots that are free lie
    /// scattered, they are fewer, and there are groups that count none of them.
    pub(super) fn slots_for_copies(
        &mut self,
        origin: CPtr,
        all: usize,
    ) -> Result<(&'p CapCopies<'p>, CPtr, usize)> {
        let all = all.min(MAX_TOGETHER);
        self.refcounts
            .insert_groups(&mut self.pools.refcounts, origin, all)
            .map_err(|_| Error::OutOfNodes(NodeKind::Refcounts))?;
        let Some(node) = self.pools.copies.alloc() else {
            self.remove_unused_groups(origin, all);
            return Err(Error::OutOfNodes(NodeKind::CapCopies));
        };
        let mut count = all;
        let first = loop {
            match self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, count)) {
                Ok(first) => break first,
                Err(error) if error.blame() == Blame::Resource && count > 1 => count /= 2,
                Err(error) => {
                    self.pools.copies.free(node);
                    self.remove_unused_groups(origin, all);
                    return Err(error);
                }
            }
        };
        self.refcounts.runs.insert(node, first, origin, count);
        Ok((node, first, count))
    }

    /// A slot for a copy that is made by itself, of those that were taken together; none where
    /// those are taken and there are no more.
    #[inline(always)]
    fn slot_for_single(&mut self, origin: CPtr) -> Option<CPtr> {
        match self.refcounts.singles.take(origin) {
            Some(copy) => Some(copy),
            None => self.more_singles(origin),
        }
    }

    #[inline(never)]
    fn more_singles(&mut self, origin: CPtr) -> Option<CPtr> {
        let node = self.pools.single_copies()?;
        // Who has no slots to spare does with the one that it needs.
        match self.alloc.alloc_spare_kept_slots(&mut self.kernel, TOGETHER) {
            Ok(first) => self.refcounts.singles.insert(node, first),
            Err(_) => {
                self.pools.singles.free(node);
                return None;
            }
        }
        self.refcounts.singles.take(origin)
    }

    /// Copies the capability of one frame, which is mapped at `address`, into a slot of those that
    /// were taken together, and counts it. `None` where there is no such slot: nothing was done
    /// then, but that there may be a group in which nothing is counted.
    #[inline(always)]
    pub(crate) fn copy_alone(&mut self, origin: CPtr, address: VirtAddr) -> Option<Result<CPtr>> {
        let Ok(group) = self.refcounts.group_of(&mut self.pools.refcounts, origin) else {
            return Some(Err(Error::OutOfNodes(NodeKind::Refcounts)));
        };
        let copy = self.slot_for_single(origin)?;
        let src = self.alloc.path(origin);
        let copied = match group.count(origin).copies() {
            MAX_COPIES => Err(Error::SharedTooOften { address: address.bits() }),
            _ => self.fill_slot(copy, |kernel, dst| kernel.cnode_copy(dst, src, Rights::all())),
        };
        match copied {
            Ok(()) => {
                self.refcounts.copied_alone(group, origin);
                Some(Ok(copy))
            }
            Err(error) => Some(Err(self.not_copied(origin, copy, error))),
        }
    }

    /// Takes back what was prepared for a copy that was refused.
    #[cold]
    #[inline(never)]
    fn not_copied(&mut self, origin: CPtr, copy: CPtr, error: Error) -> Error {
        if let Some(node) = self.refcounts.singles.of(copy) {
            self.free_single_slot(node, copy);
        }
        self.remove_unused_groups(origin, 1);
        error
    }

    /// Deletes the copies that were made for one extent, the first `count` of which are there; on a
    /// path that must not fail.
    pub(crate) fn delete_copies(&mut self, first: CPtr, count: usize) {
        if count == 0 {
            self.free_copy_slots(first);
        }
        for index in (0..count).rev() {
            if self.delete_copy(first.offset(index)).is_err() {
                // Those before, if there are any, are somebody's, and stay so.
                let left = self.pools.copies.alloc();
                let left = left.and_then(|node| self.refcounts.runs.split(node, first));
                left.into_iter().for_each(|node| self.pools.copies.free(node));
                // The last ones are deleted first, so those left are known by their number.
                self.quarantined += usize::from(self.refcounts.quarantine_copies(first));
                return;
            }
        }
    }

    /// Tries again to delete the copies in quarantine.
    pub(crate) fn retry_copies(&mut self) -> Result {
        while self.quarantined != 0 {
            let Some((first, live)) = self.refcounts.quarantined_copies() else { return Ok(()) };
            for index in (0..live).rev() {
                self.delete_copy(first.offset(index))?;
            }
            self.quarantined -= 1;
        }
        Ok(())
    }

    /// Deletes one copy, which is not mapped: the kernel unmaps a page only with the last
    /// capability to its frame (`Mode_finaliseCap`), and would leave this one's mapping behind. The
    /// frame is given back if nobody else has it. One kernel call; none where it is deferred.
    pub(crate) fn delete_copy(&mut self, copy: CPtr) -> Result {
        if let Some(node) = self.refcounts.singles.of(copy) {
            return self.delete_single(node, copy);
        }
        let Some(origin) = self.refcounts.origin(copy) else { return Ok(()) };
        if !self.refcounts.is_deferred(copy) {
            self.kernel.cnode_delete(self.alloc.path(copy))?;
        }
        // Who has the frame alone now may have it moved.
        self.compaction.look_again();
        if self.refcounts.uncopied(copy, origin) == Count::ORPHAN {
            self.free_orphan(origin);
        }
        self.remove_unused_groups(origin, 1);
        self.free_copy_slots(copy);
        Ok(())
    }

    /// The same, of a copy that was made by itself.
    fn delete_single(&mut self, node: &'p SingleCopies<'p>, copy: CPtr) -> Result {
        let origin = node.origin(copy);
        self.kernel.cnode_delete(self.alloc.path(copy))?;
        self.compaction.look_again();
        self.free_single_slot(node, copy);
        let left = self.refcounts.copied_once_less(origin);
        if left == Count::ORPHAN {
            self.free_orphan(origin);
        }
        if left.copies() == 0 {
            self.remove_unused_groups(origin, 1);
        }
        Ok(())
    }

    /// Frees the slot of a copy that was made by itself, which is empty.
    #[inline(always)]
    fn free_single_slot(&mut self, node: &'p SingleCopies<'p>, copy: CPtr) {
        if let Some(node) = self.refcounts.singles.give_back(node, copy) {
            // They were taken together and are empty.
            let _ = self.alloc.free_kept_slots(node.first(), TOGETHER);
            self.pools.singles.free(node);
        }
    }

    /// Frees the slots of copies that are all deleted.
    pub(super) fn free_copy_slots(&mut self, copy: CPtr) {
        let Some(copies) = self.refcounts.runs.remove_deleted(copy) else { return };
        let (first, count) = copies.slots();
        // They were taken together and are empty.
        let _ = self.alloc.free_kept_slots(first, count);
        self.pools.copies.free(copies);
    }

    pub(crate) fn remove_unused_groups(&mut self, first: CPtr, count: usize) {
        self.refcounts.remove_unused_groups(&mut self.pools.refcounts, first, count);
    }

    /// Frees a frame whose owner left before and whose last copy is deleted now.
    pub(super) fn free_orphan(&mut self, origin: CPtr) {
        self.refcounts.remove_orphan(origin);
        for level in self.geometry.levels {
            let frames = Frames { first: origin, count: 1, size_bits: level.entry_bits };
            if level.holds_frames && self.recycle(frames) {
                return;
            }
        }
        // It was asked for by its address.
        self.physical_left -= 1;
        self.alloc.free_run_or_quarantine(&mut self.kernel, origin, 1);
    }

    /// Gives back frames that were mapped for an owner; says whether they were the allocator's.
    /// What callers copied of their capabilities goes before anybody else gets them: then that is
    /// one kernel call each.
    #[inline(always)]
    fn recycle(&mut self, frames: Frames) -> bool {
        let copied = self.alloc.any_copied() && self.alloc.was_copied(frames.first);
        let freed = match copied {
            false => self.alloc.free_frames(frames),
            // A copy of the manager's own may be mapped still, and is unmapped before it goes.
            true if self.retry_stuck().is_err() => self.alloc.retire_frames(frames),
            true => self.alloc.recall_frames(&mut self.kernel, frames),
        };
        freed.is_ok()
    }

    /// The owner of frames has unmapped them: gives those back that have no copies, and leaves the
    /// others to their sharers.
    #[inline]
    pub(crate) fn owner_gone(&mut self, frames: Frames) {
        match self.refcounts.any_in(&frames) {
            false => {
                self.recycle(frames);
            }
            true => self.owner_of_shared_gone(frames),
        }
    }

    /// The same of frames that were asked for by their physical address.
    pub(super) fn physical_owner_gone(&mut self, frames: Frames) {
        self.physical -= frames.count;
        if !self.refcounts.any_in(&frames) {
            self.alloc.free_run_or_quarantine(&mut self.kernel, frames.first, frames.count);
            return;
        }
        for frame in (0..frames.count).map(|index| frames.first.offset(index)) {
            match self.refcounts.count(frame) {
                Count::NONE => self.alloc.free_run_or_quarantine(&mut self.kernel, frame, 1),
                _ => {
                    self.refcounts.owner_gone(frame);
                    self.physical_left += 1;
                }
            }
        }
    }

    /// Whether any frame is in use that was asked for by its physical address.
    pub(crate) fn any_physical(&self) -> bool {
        self.physical + self.physical_left != 0
    }

    /// Whether a frame, by whatever capability of an extent, was asked for by its physical address:
    /// what it holds is a device's, and nobody's to look at or to copy. O(log n); O(1) where no
    /// frame was asked for so.
    pub(crate) fn is_physical(&self, frame: CPtr, source: Source) -> bool {
        match source {
            Source::Physical => true,
            Source::Copy if self.any_physical() => {
                let origin = self.refcounts.origin(frame);
                origin.is_some_and(|it| matches!(self.alloc.slot_use(it), SlotUse::Object(_)))
            }
            _ => false,
        }
    }

    #[inline(never)]
    fn owner_of_shared_gone(&mut self, frames: Frames) {
        for index in 0..frames.count {
            let frame = frames.first.offset(index);
            match self.refcounts.count(frame) {
                Count::NONE => {
                    self.recycle(Frames { first: frame, count: 1, ..frames });
                }
                _ => self.refcounts.owner_gone(frame),
            }
        }
    }
}
