//! Allocating and freeing runs of consecutive slots.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::types::MAX_BATCH;
use crate::types::{CPtr, Error, Result};

/// Slots that only growing the CSpace and splitting blocks may take.
const RESERVE: usize = 64;

impl Allocator<'_> {
    /// Allocates `count` consecutive empty slots (1 to 256), growing the CSpace when there is need.
    /// They lie in one CNode. At the most 8 kernel calls, usually none.
    pub fn alloc_slots(&mut self, kernel: &mut impl Kernel, count: usize) -> Result<CPtr> {
        let first = self.alloc_object_slots(kernel, count)?;
        self.slots.lend(first, count);
        Ok(first)
    }

    /// As [`Allocator::alloc_slots`], for objects of the allocator's own, which a caller cannot
    /// give back.
    pub(crate) fn alloc_object_slots(
        &mut self,
        kernel: &mut impl Kernel,
        count: usize,
    ) -> Result<CPtr> {
        if count == 0 {
            return Err(Error::ZeroCount);
        }
        if count > MAX_BATCH {
            return Err(Error::TooMany { count, limit: MAX_BATCH });
        }
        // Growing takes slots itself, so it comes before the last ones are gone.
        if self.slots.free_count() < RESERVE + count {
            self.grow(kernel)?;
        }
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.grow(kernel)?;
        self.slots.alloc(count).ok_or(Error::OutOfSlots(count))
    }

    /// Frees consecutive slots. They must be empty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless all of them were allocated by [`Allocator::alloc_slots`]:
    /// none is freed then.
    pub fn free_slots(&mut self, first: CPtr, count: usize) -> Result<()> {
        match count != 0 && self.slots.free_lent(first, count) {
            true => Ok(()),
            false => Err(Error::NotAllocated(first)),
        }
    }
}
