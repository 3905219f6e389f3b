// SPDX-License-Identifier: BSD-2-Clause
//! Memory that must stay as it is: of threads whose own faults nobody resolves.
//!
//! A thread that answers faults stops for good when it faults itself. So its stack, IPC buffer and
//! thread-local storage, once pinned, are not unmapped, protected, moved, or made copy-on-write.
//! What else the manager stands on (the image, book-keeping, temporary slots) is no memory of a
//! caller's, and every operation on pages refuses it by its kind.

use untyped_alloc::{Kernel, Memory};

use crate::manager::pins::MAX_PINNED;
use crate::manager::vmm::Vmm;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::thread::{IpcBuffer, ThreadMemory};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Pins the memory of a thread whose own faults nobody resolves, such as one that answers
    /// faults: until it is unpinned, every request to unmap, release, protect, move, reshape or
    /// clone it, or to hand it on, is refused. Of 16 threads at the most. Populate a growing stack
    /// before. No kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`] for memory that was released; [`Error::TooManyPinned`].
    pub fn pin_thread_memory(&mut self, memory: ThreadMemory) -> Result {
        self.region(memory.stack.region)?;
        let pinned = &mut self.pinned;
        if pinned.memory.contains(&Some(memory)) {
            return Ok(());
        }
        let free = pinned.memory.iter_mut().find(|place| place.is_none());
        *free.ok_or(Error::TooManyPinned { most: MAX_PINNED })? = Some(memory);
        pinned.count += 1;
        // Its pages must stay from now on.
        self.site = None;
        Ok(())
    }

    /// Lets a thread's memory go that was pinned: before it is released. Nothing to do for other
    /// memory. No kernel call.
    pub fn unpin_thread_memory(&mut self, memory: ThreadMemory) {
        let pinned = &mut self.pinned;
        if let Some(place) = pinned.memory.iter_mut().find(|place| **place == Some(memory)) {
            *place = None;
            pinned.count -= 1;
            self.site = None;
            self.compaction.look_again();
        }
    }

    /// Refuses a region that is pinned.
    #[inline(always)]
    pub(crate) fn check_unpinned(&self, space: &Space<'p>, region: &Region<'p>) -> Result {
        match self.pinned.count {
            0 => Ok(()),
            _ => self.find_unpinned(space, region),
        }
    }

    #[inline(never)]
    fn find_unpinned(&self, space: &Space<'p>, region: &Region<'p>) -> Result {
        let id = self.id_of(space, region);
        let is_it = |memory: &ThreadMemory| {
            memory.stack.region == id || memory.tls.is_some_and(|tls| tls.region == id)
        };
        match self.pinned.memory.iter().flatten().any(is_it) {
            true => Err(Error::Pinned(id)),
            false => Ok(()),
        }
    }

    /// Refuses an IPC buffer that is pinned.
    #[inline(always)]
    pub(crate) fn check_buffer_unpinned(&self, buffer: IpcBuffer) -> Result {
        let is_it = |memory: &ThreadMemory| memory.ipc_buffer == buffer;
        match self.pinned.count != 0 && self.pinned.memory.iter().flatten().any(is_it) {
            true => Err(Error::Pinned(buffer.region)),
            false => Ok(()),
        }
    }
}
