// SPDX-License-Identifier: BSD-2-Clause
//! How much the kernel may be made to clear by one call, and the free blocks that allows.
//!
//! A retype of a dirty block clears all of it, and while it does nobody else runs. So a dirty block
//! is begun for what is smaller than it only where that is little, or where nothing else serves.

use super::Allocator;
use crate::state::Block;
use crate::types::Mobility;

/// What is cleared beyond what is used, so that frames come in few batches and small blocks are
/// left to what stays: four batches of 256 small pages. Or twice as much as was cleared so far:
/// boot untypeds mostly double in size, and what is begun stays in proportion to what is used.
const LITTLE: u64 = 1 << 22;

impl<'p> Allocator<'p> {
    /// Limits how many bytes the kernel is made to clear by one call from now on: a request that
    /// would need more is refused with [`Error::NeedsClearing`](crate::Error::NeedsClearing), and
    /// no unused memory is put together into blocks that are larger. Frames are made of at most so
    /// much at a time. There is no limit before this is called, and none with `usize::MAX`. Below
    /// 4096 most of what came back cannot be had again unless it is cleared in words. No kernel
    /// call.
    pub fn limit_clearing(&mut self, bytes: usize) {
        self.most_cleared = bytes;
    }

    /// The most bytes that one kernel call clears, by [`Allocator::limit_clearing`].
    pub fn clearing_limit(&self) -> usize {
        self.most_cleared
    }

    /// Whether the next retype of a block clears no more than it may.
    pub(crate) fn may_begin(&self, block: &Block<'_>) -> bool {
        !block.is_dirty() || block.is_device() || block.bytes() <= self.most_cleared
    }

    /// The best fit for 2^`bits` bytes that makes the kernel clear nothing, or little, or nothing
    /// but what is used.
    pub(crate) fn cheap_fit(&self, bits: u8, mobility: Mobility) -> Option<&'p Block<'p>> {
        let little = LITTLE.max(2 * self.cleared_bytes).min(self.most_cleared as u64) as usize;
        let used = self.most_cleared.min(1 << bits);
        self.blocks.best_fit_clearing(bits, mobility, little.max(used))
    }

    /// The best fit for 2^`bits` bytes, a cheap one if there is one.
    pub(crate) fn fit(&self, bits: u8, mobility: Mobility) -> Option<&'p Block<'p>> {
        let any = || self.blocks.best_fit_clearing(bits, mobility, self.most_cleared);
        self.cheap_fit(bits, mobility).or_else(any)
    }

    /// A split block that is worth coalescing to get 2^`bits` bytes, none that would be larger than
    /// may be cleared.
    pub(crate) fn coalescible(&self, bits: u8) -> Option<&'p Block<'p>> {
        self.blocks.coalescible_for(bits, self.most_cleared)
    }
}
