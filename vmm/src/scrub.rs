//! Dirty frames made clean: only a clean frame is mapped for another owner.
//!
//! A frame is mapped at the window, filled with zeros and unmapped: about 2.8 thousand instructions
//! for 4 KiB, where having the kernel clear it (by revoking and retyping) costs 4.8 thousand.

use untyped_alloc::{CPtr, Clean, Dirty, Kernel, Memory};

use crate::error::Result;
use crate::vmm::Vmm;
use crate::windows::Window;

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
                self.give_or_leave(frames);
                return Err(error);
            }
        }
        Ok(dirty.scrubbed())
    }

    fn scrub_one(&mut self, frame: CPtr) -> Result {
        let address = self.map_at(Window::Target, frame)?;
        self.kernel.zero(address, self.geometry.page_bytes());
        self.clear_window(Window::Target)
    }
}
