//! Dirty frames made clean: only a clean frame is mapped for another owner.
//!
//! A frame is mapped at the window, filled with zeros and unmapped: about 2.8 thousand instructions
//! for 4 KiB, where having the kernel clear it (by revoking and retyping) costs 4.8 thousand.

use untyped_alloc::{CPtr, CachePolicy, Clean, Dirty, Invocation, Kernel, Memory, Rights};

use crate::error::{Error, Result};
use crate::vmm::Vmm;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Scrubs frames of the smallest size. Two kernel calls each.
    ///
    /// # Errors
    /// [`Error::Kernel`], or what making the window's page table can meet; the frames were given
    /// back then.
    pub(crate) fn scrub(&mut self, dirty: Dirty) -> Result<Clean> {
        let frames = dirty.frames();
        for index in 0..frames.count {
            if let Err(error) = self.scrub_one(frames.first.offset(index)) {
                self.alloc.give_frames(frames)?;
                return Err(error);
            }
        }
        Ok(dirty.scrubbed())
    }

    fn scrub_one(&mut self, frame: CPtr) -> Result {
        let address = self.map_at_window(frame)?;
        self.kernel.zero(address, self.geometry.page_bytes());
        self.unmap_at_window(frame)
    }

    /// Maps a frame of the smallest size at the window, writable; returns where that is.
    pub(crate) fn map_at_window(&mut self, frame: CPtr) -> Result<usize> {
        let window = self.bookkeeping.window.start(); // its first page
        self.make_way(self.own, window, self.geometry.levels.len() as u8 - 1)?;
        self.kernel
            .page_map(
                frame,
                self.own.root.get(),
                window.bits(),
                Rights::READ_WRITE,
                CachePolicy::WriteBack,
            )
            .map_err(Error::kernel(Invocation::PageMap))?;
        Ok(window.bits())
    }

    /// Unmaps the frame at the window.
    pub(crate) fn unmap_at_window(&mut self, frame: CPtr) -> Result {
        self.kernel.page_unmap(frame).map_err(Error::kernel(Invocation::PageUnmap))
    }
}
