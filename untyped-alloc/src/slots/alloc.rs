// SPDX-License-Identifier: BSD-2-Clause
//! Allocating and freeing runs of consecutive slots.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::CSpace;
use crate::types::MAX_BATCH;
use crate::types::{Blame, CPtr, Error, Result};

/// Slots that only growing the CSpace and splitting blocks may take.
const RESERVE: usize = 64;

impl Allocator<'_> {
    /// Allocates `count` consecutive empty slots (1 to 256), growing the CSpace when there is need.
    /// They lie in one CNode. At the most 8 kernel calls, usually none.
    pub fn alloc_slots(&mut self, kernel: &mut impl Kernel, count: usize) -> Result<CPtr> {
        let first = self.alloc_kept_slots(kernel, count)?;
        self.slots.lend(first, count);
        Ok(first)
    }

    /// As [`Allocator::alloc_slots`], for what whoever builds on the allocator keeps in them: no
    /// caller of [`Allocator::free_slots`] can give them back.
    ///
    /// # Errors
    /// As [`Allocator::alloc_slots`].
    pub fn alloc_kept_slots(&mut self, kernel: &mut impl Kernel, count: usize) -> Result<CPtr> {
        loop {
            let free = self.slots.free_count();
            let refused = match self.alloc_object_slots(kernel, count) {
                Err(error) if error.blame() == Blame::Resource => error,
                given => return given,
            };
            // Unused objects and free blocks have slots too. Growing may have reclaimed some.
            if !self.reclaim_step(kernel, 0)? && self.slots.free_count() <= free {
                return Err(refused);
            }
        }
    }

    /// As [`Allocator::alloc_kept_slots`], for what is for speed alone: where memory is short, the
    /// CSpace is not grown for it, and what others need is left to those.
    ///
    /// # Errors
    /// As [`Allocator::alloc_slots`].
    pub fn alloc_spare_kept_slots(
        &mut self,
        kernel: &mut impl Kernel,
        count: usize,
    ) -> Result<CPtr> {
        self.alloc_spare_slots(kernel, count)
    }

    /// Frees slots that [`Allocator::alloc_kept_slots`] gave. They must be empty. No kernel call.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] when one of them is free, or a caller's: none is freed then.
    pub fn free_kept_slots(&mut self, first: CPtr, count: usize) -> Result<()> {
        let kept = count != 0 && self.slots.any_lent(first, count) == Some(false);
        match kept && self.slots.free(first, count) {
            true => Ok(()),
            false => Err(Error::NotAllocated(first)),
        }
    }

    /// Hands kept slots, whatever is in them, to a caller, who gives them back with
    /// [`Allocator::free_slots`]. No kernel call.
    pub fn lend_kept_slots(&mut self, first: CPtr, count: usize) {
        self.slots.lend(first, count);
    }

    /// As [`Allocator::alloc_slots`], for objects of the allocator's own, which a caller cannot
    /// give back.
    pub(crate) fn alloc_object_slots(
        &mut self,
        kernel: &mut impl Kernel,
        count: usize,
    ) -> Result<CPtr> {
        if count == 0 {
            return Err(Error::ZeroCount);
        }
        if count > MAX_BATCH {
            return Err(Error::TooMany { count, limit: MAX_BATCH });
        }
        // Growing takes slots itself, so it comes before the last ones are gone.
        if self.slots.free_count() < RESERVE + count {
            self.grow(kernel, count)?;
        }
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.grow(kernel, count)?;
        self.slots.alloc(count).ok_or_else(|| self.out_of_slots(count))
    }

    /// As [`Allocator::alloc_slots`], for what is for speed alone: where memory is short, the
    /// CSpace is not grown for it, and what others need is left to those.
    pub(crate) fn alloc_spare_slots(
        &mut self,
        kernel: &mut impl Kernel,
        count: usize,
    ) -> Result<CPtr> {
        let spare = self.slots.free_count() >= RESERVE + count;
        if let Some(first) = spare.then(|| self.slots.alloc(count)).flatten() {
            return Ok(first);
        }
        let plenty = self.blocks.free_bytes() > self.blocks.total_bytes() / 16;
        match plenty || self.cspace.unopened_slots() != 0 {
            true => self.alloc_object_slots(kernel, count),
            false => Err(self.out_of_slots(count)),
        }
    }

    /// Slots that callers can have, at the least, where there is memory to grow the CSpace.
    pub(crate) fn obtainable_slot_count(&self) -> usize {
        let ours = self.free_slot_count() + self.cspace.free_mounts() * CSpace::NODE_GAINS;
        // The root takes some, too.
        ours.saturating_sub(2 * RESERVE)
    }

    /// Frees consecutive slots. They must be empty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless all of them were allocated by [`Allocator::alloc_slots`]:
    /// none is freed then.
    pub fn free_slots(&mut self, first: CPtr, count: usize) -> Result<()> {
        match count != 0 && self.slots.free_lent(first, count) {
            true => Ok(()),
            false => Err(Error::NotAllocated(first)),
        }
    }
}
