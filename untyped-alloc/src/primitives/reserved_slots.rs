// SPDX-License-Identifier: BSD-2-Clause
//! Slots without growing the CSpace, for what growing itself needs; and slots that turn out not to
//! be empty.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::types::{CPtr, Error, Invocation, NodeKind, Result};

impl Allocator<'_> {
    /// Allocates `count` consecutive slots, of the reserve if there are no others. No kernel call.
    pub(crate) fn alloc_reserved_slots(&mut self, count: usize) -> Result<CPtr> {
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.open_window()?;
        self.slots.alloc(count).ok_or_else(|| self.out_of_slots(count))
    }

    /// The refusal of so many consecutive slots.
    #[cold]
    pub(crate) fn out_of_slots(&self, count: usize) -> Error {
        Error::OutOfSlots { count, free: self.slots.free_count() }
    }

    /// Opens the next 4096 slots of the initial CNode; false when they are all open.
    pub(crate) fn open_window(&mut self) -> Result<bool> {
        let Some(window) = self.cspace.unopened_window() else {
            return Ok(false);
        };
        self.slots
            .insert(CPtr::new(window.base), window.from - window.base, window.to - window.base)
            .ok_or(Error::OutOfNodes(NodeKind::SlotWindow))?;
        self.cspace.set_opened(window.to);
        Ok(true)
    }

    /// Deletes whatever is in slots that were just allocated. They should be empty; but who gave
    /// them back may have left something there, and must not spoil them for others. One kernel call
    /// a slot: only for when the kernel has found one occupied.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    #[cold]
    pub fn empty_slots(&self, kernel: &mut impl Kernel, first: CPtr, count: usize) -> Result<()> {
        for slot in (0..count).map(|index| first.offset(index)) {
            kernel
                .cnode_delete(self.path(slot))
                .map_err(|error| Error::Kernel { invocation: Invocation::CNodeDelete, error })?;
        }
        Ok(())
    }
}
