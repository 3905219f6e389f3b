// SPDX-License-Identifier: BSD-2-Clause
//! Copies of frame capabilities that are not made before they are needed.
//!
//! ```text
//!   deferred   slot taken, frame counted, page recorded, its table there     no kernel call
//!   touched    the copy is made in the slot, and mapped                      two
//!   given up   before it was touched                                         none
//! ```
//!
//! All that a page takes is taken when it is deferred: so bringing it takes no memory, and fails
//! only where the kernel refuses a call (invariant I59).

use untyped_alloc::{CPtr, Frames, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::cap_copies::MAX_TOGETHER;
use crate::state::extent::Extent;
use crate::state::refcounts::Count;
use crate::state::reserve::Reserve;
use crate::types::error::{Error, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// As [`Vmm::copy_frames`], but that the copies are deferred. No kernel call, where the CSpace
    /// has slots.
    pub(crate) fn defer_copies(
        &mut self,
        _reserve: &mut Reserve,
        piece: &Extent,
    ) -> Result<Frames> {
        let origin = self.origin_of(piece)?;
        let all = piece.frames.count;
        let full = self.refcounts.first_full(origin, all.min(MAX_TOGETHER));
        if let Some(index) = full {
            return Err(Error::SharedTooOften { address: piece.address(index).bits() });
        }
        let (node, first, count) = self.slots_for_copies(origin, all)?;
        self.refcounts.deferred(node, origin);
        if count < all {
            self.remove_unused_groups(origin, all);
        }
        Ok(Frames { first, count, ..piece.frames })
    }

    /// Deletes copies that are deferred, from the first on, at the most `most`; returns how many.
    /// No kernel call. Frames that nobody else has are given back.
    #[inline(always)]
    pub(crate) fn delete_deferred(&mut self, source: Source, first: CPtr, most: usize) -> usize {
        match source == Source::Copy && self.refcounts.is_deferred(first) {
            true => self.delete_deferred_run(first, most),
            false => 0,
        }
    }

    #[inline(never)]
    fn delete_deferred_run(&mut self, first: CPtr, most: usize) -> usize {
        let Some(origin) = self.refcounts.runs.origin(first) else { return 0 };
        let count = self.refcounts.runs.remove_deferred(first, most);
        // Who has a frame alone now may have it moved.
        self.compaction.look_again();
        for index in 0..count {
            let frame = origin.offset(index);
            if self.refcounts.copied_once_less(frame) == Count::ORPHAN {
                self.free_orphan(frame);
            }
        }
        self.remove_unused_groups(origin, count);
        self.free_copy_slots(first);
        count
    }

    /// Whether the copied capability of an extent of one page is deferred.
    #[inline(always)]
    pub(crate) fn is_deferred(&self, page: &Extent) -> bool {
        page.source == Source::Copy && self.refcounts.is_deferred(page.frames.first)
    }

    /// Makes the copied capability of an extent of one page, if it is deferred: one kernel call.
    /// Returns whether it was. The page is recorded and not mapped then.
    #[inline(always)]
    pub(crate) fn make_deferred(&mut self, page: &Extent) -> Result<bool> {
        match self.is_deferred(page) {
            true => self.make_copy(page.frames.first).map(|()| true),
            false => Ok(false),
        }
    }

    #[inline(never)]
    fn make_copy(&mut self, copy: CPtr) -> Result {
        let Some(origin) = self.refcounts.origin(copy) else { return Ok(()) };
        let src = self.alloc.path(origin);
        self.fill_slot(copy, |kernel, dst| kernel.cnode_copy(dst, src, Rights::all()))?;
        self.refcounts.runs.made(copy);
        Ok(())
    }

    /// The capability to the frame of a page that is in its slot now: where its copy is deferred,
    /// the one that will be copied.
    pub(crate) fn capability_of(&self, frame: CPtr) -> CPtr {
        match self.refcounts.is_deferred(frame) {
            true => self.refcounts.origin(frame).unwrap_or(frame),
            false => frame,
        }
    }
}
