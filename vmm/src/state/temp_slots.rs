// SPDX-License-Identifier: BSD-2-Clause
//! Temporary slots: two pages of the manager's own space at which frames are mapped for a moment,
//! to be zeroed and copied.
//!
//! If the kernel refuses to unmap a frame there, the slot remembers it, and unmaps it before it is
//! used again. A caller that wanted to free such a frame leaves it to the slot instead.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::CPtr;

/// One of the two pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TempSlot {
    /// Frames that are written to.
    Target = 0,
    /// Frames that are copied from.
    View = 1,
}

/// A frame that is mapped at a slot.
#[derive(Clone, Copy)]
pub(crate) struct TempMapping {
    frame: CPtr,
    /// Nobody else has it: it is to be given back when it is unmapped.
    free_deferred: bool,
}

/// The temp_slots.
pub(crate) struct TempSlots {
    /// Both pages, next to each other.
    range: PageRange,
    held: [Option<TempMapping>; 2],
    /// The changes of the own space, as they were when each slot's page tables were found there.
    reached: [Option<u64>; 2],
    /// The slot of a capability that was made for a moment and that the kernel would not delete.
    pub stuck: Option<CPtr>,
}

impl TempSlots {
    pub fn new(range: PageRange) -> TempSlots {
        TempSlots { range, held: [None; 2], reached: [None; 2], stuck: None }
    }

    /// Where a slot is.
    pub fn page(&self, slot: TempSlot) -> VirtAddr {
        self.range.part(slot as usize, 1).map_or(self.range.start(), PageRange::start)
    }

    /// Whether a slot's page tables are there: they were when the own space had had as many
    /// `changes` as now (invariant I48).
    #[inline(always)]
    pub fn is_reached(&self, slot: TempSlot, changes: u64) -> bool {
        self.reached[slot as usize] == Some(changes)
    }

    /// Notes that a slot's page tables are there.
    pub fn reach(&mut self, slot: TempSlot, changes: u64) {
        self.reached[slot as usize] = Some(changes);
    }

    /// The frame that is mapped at a slot, and whether it is to be given back with that.
    pub fn held(&self, slot: TempSlot) -> Option<(CPtr, bool)> {
        self.held[slot as usize].map(|held| (held.frame, held.free_deferred))
    }

    /// Records that a frame is mapped at a slot.
    pub fn insert(&mut self, slot: TempSlot, frame: CPtr) {
        self.held[slot as usize] = Some(TempMapping { frame, free_deferred: false });
    }

    /// Leaves the frame that is mapped at a slot to it: nobody else has it.
    pub fn defer_free(&mut self, slot: TempSlot) {
        if let Some(held) = &mut self.held[slot as usize] {
            held.free_deferred = true;
        }
    }

    /// Records that nothing is mapped at a slot any more.
    pub fn remove(&mut self, slot: TempSlot) {
        self.held[slot as usize] = None;
    }

    /// The slot at which a frame is still mapped.
    pub fn holding(&self, frame: CPtr) -> Option<TempSlot> {
        let is_it = |slot: &TempSlot| self.held(*slot).is_some_and(|(held, _)| held == frame);
        [TempSlot::Target, TempSlot::View].into_iter().find(is_it)
    }

    /// Records that none of `count` frames, from `first` on, is mapped at a slot any more.
    #[cold]
    pub fn remove_frames(&mut self, first: CPtr, count: usize) {
        for held in &mut self.held {
            let number = held.map(|held| held.frame.bits().wrapping_sub(first.bits()));
            if number.is_some_and(|number| number < count) {
                *held = None;
            }
        }
    }

    /// Whether a frame is mapped at either slot.
    #[inline(always)]
    pub fn is_any_held(&self) -> bool {
        self.held.iter().any(Option::is_some)
    }

    /// Frames that were left to a slot.
    pub fn left_behind(&self) -> usize {
        self.held.iter().flatten().filter(|held| held.free_deferred).count()
    }
}
