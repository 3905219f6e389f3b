// SPDX-License-Identifier: BSD-2-Clause
//! The kernel calls that map a page, unmap it and give it other rights.
//!
//! Nothing is touched in a store, so its pages are recorded as any others and mapped nowhere; nor
//! is a page whose copied capability is deferred mapped, before it is touched. For these each of
//! the three is done at once, without a call.

use untyped_alloc::{CPtr, CachePolicy, Kernel, Memory, Refused, Rights};

use super::detached::Entry;
use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::mapping::Source;

/// A page that is mapped: by which capability, and where that comes from.
pub(crate) type Mapped = (CPtr, Source);

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Whether a page is recorded in a space only, and the kernel has it mapped nowhere.
    #[inline(always)]
    fn is_only_recorded(&self, space: &Space<'p>, (frame, source): Mapped) -> bool {
        space.store.get() || (source == Source::Copy && self.refcounts.is_deferred(frame))
    }

    /// Maps a frame at `address` (bytes) of a space, where its page table is. One kernel call.
    #[inline(always)]
    pub(crate) fn page_map(
        &mut self,
        space: &Space<'p>,
        ((frame, source), address): (Mapped, usize),
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<(), Refused> {
        match self.is_only_recorded(space, (frame, source)) {
            true => Ok(()),
            false => self.page_map_own(space, (frame, address), rights, cache),
        }
    }

    /// The same, of a frame's own capability, not in a store.
    #[inline(always)]
    pub(crate) fn page_map_own(
        &mut self,
        space: &Space<'p>,
        (frame, address): (CPtr, usize),
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<(), Refused> {
        if space.in_transit.get() {
            self.comes_back(space, address);
        }
        let mapped = self.kernel.page_map(frame, space.root.get(), address, rights, cache);
        match mapped.is_err() && space.detached.get() {
            true => self.attach_and(Entry::Map, space, (frame, address), (rights, cache), mapped),
            false => mapped,
        }
    }

    /// The same of `count` frames in consecutive slots, of an extent, each 2 to the power of
    /// `step_bits` bytes behind the one before. Counts those that are mapped.
    #[inline(never)]
    pub(crate) fn pages_map_own(
        &mut self,
        space: &Space<'p>,
        (first, start): (CPtr, usize),
        (done, count, step_bits): (&mut usize, usize, u8),
        extent: &Extent,
    ) -> Result<(), Refused> {
        let (rights, cache, step) = (extent.mapped_rights(), extent.cache, 1 << step_bits);
        let (mut frame, mut address, end) = (first, start, first.offset(count));
        while frame != end {
            let mapped = self.page_map_own(space, (frame, address), rights, cache);
            if mapped.is_err() {
                *done = frame.bits() - first.bits();
                return mapped;
            }
            (frame, address) = (frame.offset(1), address + step);
        }
        *done = count;
        Ok(())
    }

    /// Unmaps a frame that is recorded in a space, mapped there or not; or at a temporary slot, where
    /// the kernel would not unmap it before. One kernel call.
    #[inline(always)]
    pub(crate) fn page_unmap(
        &mut self,
        space: &Space<'p>,
        (frame, source): Mapped,
    ) -> Result<(), Refused> {
        self.page_unmap_of_run(space, (frame, source))?;
        self.leave_temp_slots(frame, 1);
        Ok(())
    }

    /// The same of one of a run of frames, of which the caller says so by
    /// [`Vmm::leave_temp_slots`].
    #[inline(always)]
    pub(crate) fn page_unmap_of_run(
        &mut self,
        space: &Space<'p>,
        (frame, source): Mapped,
    ) -> Result<(), Refused> {
        match self.is_only_recorded(space, (frame, source)) {
            true => self.unmap_looked_at(frame),
            false => self.kernel.page_unmap(frame),
        }
    }

    /// Frames were unmapped wherever they were: none of them is at a temporary slot any more.
    #[inline(always)]
    pub(crate) fn leave_temp_slots(&mut self, first: CPtr, count: usize) {
        if self.temp_slots.is_any_held() {
            self.temp_slots.remove_frames(first, count);
        }
    }

    /// Unmaps a page of a store where somebody has looked at it, if the kernel would not do that
    /// then.
    #[inline(never)]
    fn unmap_looked_at(&mut self, frame: CPtr) -> Result<(), Refused> {
        match self.temp_slots.holding(frame) {
            None => Ok(()),
            Some(slot) => self.kernel.page_unmap(frame).map(|()| self.temp_slots.remove(slot)),
        }
    }

    /// Unmaps those pages of an extent of a store where somebody has looked at them, if the kernel
    /// would not do that then.
    pub(crate) fn unmap_looked_at_in(&mut self, extent: &Extent) -> Result<(), Refused> {
        for slot in [TempSlot::Target, TempSlot::View] {
            let held = self.temp_slots.held(slot).map(|(frame, _)| frame);
            let number = held.map(|frame| frame.bits().wrapping_sub(extent.frames.first.bits()));
            if let Some(frame) = held.filter(|_| number < Some(extent.frames.count)) {
                self.unmap_looked_at(frame)?;
            }
        }
        Ok(())
    }

    /// Gives a frame that is mapped at `address` (bytes) of a space other rights. One kernel call.
    #[inline(always)]
    pub(crate) fn page_remap(
        &mut self,
        space: &Space<'p>,
        ((frame, source), address): (Mapped, usize),
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<(), Refused> {
        if self.is_only_recorded(space, (frame, source)) {
            return Ok(());
        }
        if space.in_transit.get() {
            self.comes_back(space, address);
        }
        let mapped = self.kernel.page_remap(frame, space.root.get(), address, rights, cache);
        match mapped.is_err() && space.detached.get() {
            true => self.attach_and(Entry::Remap, space, (frame, address), (rights, cache), mapped),
            false => mapped,
        }
    }
}
