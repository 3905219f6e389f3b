//! Two pages of the manager's own space at which frames are mapped for a moment, to be cleared and
//! copied.
//!
//! If the kernel refuses to unmap a frame there, the window remembers it, and unmaps it before it
//! is used again. Whoever wanted to give such a frame back leaves it to the window instead.

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

/// A frame that is mapped at a window.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    frame: CPtr,
    /// Nobody else has it: it is to be given back when it is unmapped.
    left_to_us: bool,
}

/// The temp_slots.
pub(crate) struct TempSlots {
    /// Both pages, next to each other.
    range: PageRange,
    held: [Option<Held>; 2],
    /// The slot of a capability that was made for a moment and that the kernel would not delete.
    pub stuck: Option<CPtr>,
}

impl TempSlots {
    pub fn new(range: PageRange) -> TempSlots {
        TempSlots { range, held: [None; 2], stuck: None }
    }

    /// Where a window is.
    pub fn page(&self, window: TempSlot) -> VirtAddr {
        self.range.part(window as usize, 1).map_or(self.range.start(), PageRange::start)
    }

    /// The frame that is mapped at a window, and whether it is to be given back with that.
    pub fn held(&self, window: TempSlot) -> Option<(CPtr, bool)> {
        self.held[window as usize].map(|held| (held.frame, held.left_to_us))
    }

    /// Records that a frame is mapped at a window.
    pub fn hold(&mut self, window: TempSlot, frame: CPtr) {
        self.held[window as usize] = Some(Held { frame, left_to_us: false });
    }

    /// Leaves the frame that is mapped at a window to it: nobody else has it.
    pub fn leave(&mut self, window: TempSlot) {
        if let Some(held) = &mut self.held[window as usize] {
            held.left_to_us = true;
        }
    }

    /// Records that nothing is mapped at a window any more.
    pub fn forget(&mut self, window: TempSlot) {
        self.held[window as usize] = None;
    }

    /// The window at which a frame is still mapped.
    pub fn holding(&self, frame: CPtr) -> Option<TempSlot> {
        let is_it = |window: &TempSlot| self.held(*window).is_some_and(|(held, _)| held == frame);
        [TempSlot::Target, TempSlot::View].into_iter().find(is_it)
    }

    /// Frames that were left to a window.
    pub fn left_behind(&self) -> usize {
        self.held.iter().flatten().filter(|held| held.left_to_us).count()
    }
}
