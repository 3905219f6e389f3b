//! Frames mapped for a moment, to be cleared and copied.

use untyped_alloc::{CPtr, CachePolicy, Frames, Invocation, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::temp_slots::Window;
use crate::types::error::{Error, Result};

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
