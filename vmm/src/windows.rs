//! Two pages of the manager's own space at which frames are mapped for a moment, to be cleared and
//! copied.
//!
//! If the kernel refuses to unmap a frame there, the window remembers it, and unmaps it before it
//! is used again. Whoever wanted to give such a frame back leaves it to the window instead.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Invocation, Kernel, Memory, Rights};

use crate::error::{Error, Result};
use crate::vmm::Vmm;

/// One of the two pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// Frames that are written to.
    Target = 0,
    /// Frames that are copied from.
    View = 1,
}

/// A frame that is mapped at a window.
#[derive(Clone, Copy)]
struct Held {
    frame: CPtr,
    /// Nobody else has it: it is to be given back when it is unmapped.
    left_to_us: bool,
}

/// The windows.
pub(crate) struct Windows {
    /// Both pages, next to each other.
    range: PageRange,
    held: [Option<Held>; 2],
    /// The slot of a capability that was made for a moment and that the kernel would not delete.
    pub stuck: Option<CPtr>,
}

impl Windows {
    pub fn new(range: PageRange) -> Windows {
        Windows { range, held: [None; 2], stuck: None }
    }

    /// Where a window is.
    pub fn page(&self, window: Window) -> VirtAddr {
        self.range.part(window as usize, 1).map_or(self.range.start(), PageRange::start)
    }

    /// The frame that is mapped at a window, and whether it is to be given back with that.
    pub fn held(&self, window: Window) -> Option<(CPtr, bool)> {
        self.held[window as usize].map(|held| (held.frame, held.left_to_us))
    }

    /// Records that a frame is mapped at a window.
    pub fn hold(&mut self, window: Window, frame: CPtr) {
        self.held[window as usize] = Some(Held { frame, left_to_us: false });
    }

    /// Leaves the frame that is mapped at a window to it: nobody else has it.
    pub fn leave(&mut self, window: Window) {
        if let Some(held) = &mut self.held[window as usize] {
            held.left_to_us = true;
        }
    }

    /// Records that nothing is mapped at a window any more.
    pub fn forget(&mut self, window: Window) {
        self.held[window as usize] = None;
    }

    /// The window at which a frame is still mapped.
    pub fn holding(&self, frame: CPtr) -> Option<Window> {
        let is_it = |window: &Window| self.held(*window).is_some_and(|(held, _)| held == frame);
        [Window::Target, Window::View].into_iter().find(is_it)
    }

    /// Frames that were left to a window.
    pub fn left_behind(&self) -> usize {
        self.held.iter().flatten().filter(|held| held.left_to_us).count()
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a frame of the smallest size at a window; returns where that is.
    pub(crate) fn map_at(&mut self, window: Window, frame: CPtr) -> Result<usize> {
        self.clear_window(window)?;
        let address = self.windows.page(window);
        let rights = match window {
            Window::Target => Rights::READ_WRITE,
            Window::View => Rights::READ,
        };
        self.make_way(self.own, address, self.geometry.levels.len() as u8 - 1)?;
        let vspace = self.own.root.get();
        self.kernel
            .page_map(frame, vspace, address.bits(), rights, CachePolicy::WriteBack)
            .map_err(Error::kernel(Invocation::PageMap))?;
        self.windows.hold(window, frame);
        Ok(address.bits())
    }

    /// Unmaps what is mapped at a window, if anything.
    pub(crate) fn clear_window(&mut self, window: Window) -> Result {
        let Some((frame, left_to_us)) = self.windows.held(window) else { return Ok(()) };
        self.kernel.page_unmap(frame).map_err(Error::kernel(Invocation::PageUnmap))?;
        self.windows.forget(window);
        if left_to_us {
            let size_bits = self.geometry.page_bits;
            let frames = Frames { first: frame, count: 1, size_bits };
            self.alloc.give_frames(frames)?;
        }
        Ok(())
    }

    /// Gives frames of the smallest size back, of which one may still be mapped at a window: that
    /// one is left to the window.
    pub(crate) fn give_or_leave(&mut self, frames: Frames) {
        for index in 0..frames.count {
            let first = frames.first.offset(index);
            match self.windows.holding(first) {
                Some(window) => self.windows.leave(window),
                // They are recorded as taken from the allocator, so it takes them.
                None => {
                    let _ = self.alloc.give_frames(Frames { first, count: 1, ..frames });
                }
            }
        }
    }

    /// Deletes a capability that was made for a moment, and gives its slot back. If the kernel
    /// refuses, it is remembered, and deleted before the next one is made.
    pub(crate) fn drop_temporary(&mut self, slot: CPtr) -> Result {
        self.windows.stuck = Some(slot);
        self.drop_stuck()
    }

    /// Deletes the capability that was remembered, if there is one: to be called before another is
    /// made.
    pub(crate) fn drop_stuck(&mut self) -> Result {
        let Some(slot) = self.windows.stuck else { return Ok(()) };
        // Deleting a copy does not unmap it: the kernel does that with the last capability only.
        if let Some(window) = self.windows.holding(slot) {
            self.clear_window(window)?;
        }
        self.kernel
            .cnode_delete(self.alloc.path(slot))
            .map_err(Error::kernel(Invocation::CNodeDelete))?;
        self.windows.stuck = None;
        Ok(self.alloc.give_slots(slot, 1)?)
    }
}
