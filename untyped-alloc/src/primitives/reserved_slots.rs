//! Slots without growing the CSpace, for what growing itself needs. No kernel call.

use crate::allocator::Allocator;
use crate::types::{CPtr, Error, NodeKind, Result};

impl Allocator<'_> {
    /// Allocates `count` consecutive slots, of the reserve if there are no others.
    pub(crate) fn alloc_reserved_slots(&mut self, count: usize) -> Result<CPtr> {
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.open_window()?;
        self.slots.alloc(count).ok_or(Error::OutOfSlots(count))
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
}
