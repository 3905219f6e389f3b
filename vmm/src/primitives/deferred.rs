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
use crate::state::extent::Extent;
use crate::state::reserve::Reserve;
use crate::types::error::Result;
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
        self.copy_run(piece, origin, |vmm, _, copy| {
            vmm.refcounts.runs.defer(copy);
            Ok(())
        })
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
