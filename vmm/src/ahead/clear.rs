// SPDX-License-Identifier: BSD-2-Clause
//! How much is cleared by one kernel call, and clearing by a caller who says so.

use untyped_alloc::{Clearing, Kernel, KernelResult, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Limits how many bytes one kernel call clears from now on, as nobody else runs until it is
    /// done. A request that finds memory, but must have more of it cleared than that, is refused
    /// with [`untyped_alloc::Error::NeedsClearing`]; it can succeed once [`Vmm::clear`] was called.
    /// [`Vmm::trim`] coalesces no more than can be cleared again, and frames are made of so much at
    /// a time, so that no call destroys more either. Frames of a larger size are made of memory
    /// that was never used, or is refused. There is no limit before this is called; below 4096
    /// bytes hardly anything can be had. No kernel call.
    pub fn limit_clearing(&mut self, bytes: usize) {
        self.alloc.limit_clearing(bytes);
    }

    /// The most bytes that one kernel call clears without being told to; `usize::MAX` for no limit.
    pub fn clearing_limit(&self) -> usize {
        self.alloc.clearing_limit()
    }

    /// How many bytes [`Vmm::clear`] would have the kernel clear by one call for a piece of `bytes`
    /// bytes; 0 when there is nothing to clear for it. No kernel call; O(untypeds).
    pub fn next_clearing(&self, bytes: usize) -> usize {
        self.alloc.next_clearing(bits_for(bytes)).unwrap_or(0)
    }

    /// Has one untyped cleared of which a piece of `bytes` bytes can then be had, whatever
    /// [`Vmm::limit_clearing`] says: the smallest free one that is dirty, else one that is put
    /// together of unused memory. Nobody else runs meanwhile, for [`Vmm::next_clearing`] bytes, at
    /// some 1.5 thousand instructions for 4 KiB. Returns the bytes that were cleared, 0 when there
    /// was nothing to clear. One kernel call, and one for each piece of unused memory.
    ///
    /// ```
    /// # let mut vmm = vmm_tests::support::manager();
    /// use vmm::AllocatorError::NeedsClearing;
    /// use vmm::{Error, RegionOptions};
    ///
    /// vmm.limit_clearing(1 << 18);
    /// let heap = RegionOptions::new(2048);
    /// let region = loop {
    ///     match vmm.map(vmm.own_space(), &heap) {
    ///         Err(Error::Allocator(NeedsClearing { bytes })) => assert_ne!(vmm.clear(bytes)?, 0),
    ///         answer => break answer?,
    ///     }
    /// };
    /// assert_eq!(vmm.pages_of(region)?.pages(), 2048);
    /// # Ok::<(), vmm::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] when the kernel refused; the memory is free, and as dirty as
    /// before. [`crate::Error::OutOfNodes`], or [`crate::Error::Allocator`] without a slot.
    pub fn clear(&mut self, bytes: usize) -> Result<usize> {
        // Without memory for the reserve, what there is of it serves.
        let _ = self.refill_to_free();
        Ok(self.alloc.clear(&mut self.kernel, bits_for(bytes))?)
    }

    /// Takes what [`Vmm::clear`] would clear out of use, for a thread that is to make the call: one
    /// that others run beside, as the pacer of `sel4` has it. All else is served meanwhile.
    /// `None` when there is nothing to clear. A kernel call for each piece of unused memory that it
    /// is put together of.
    ///
    /// # Errors
    /// As [`Vmm::clear`].
    pub fn begin_clearing(&mut self, bytes: usize) -> Result<Option<Clearing<'p>>> {
        let _ = self.refill_to_free();
        Ok(self.alloc.begin_clearing(&mut self.kernel, bits_for(bytes))?)
    }

    /// Records what the kernel answered to the call that was to clear it. No kernel call.
    ///
    /// # Errors
    /// [`crate::Error::Allocator`] when it refused: the memory is free, and as dirty as before.
    pub fn end_clearing(&mut self, clearing: Clearing<'p>, made: KernelResult) -> Result {
        Ok(self.alloc.end_clearing(clearing, made)?)
    }
}

/// The bits of the smallest power of two that `bytes` bytes fit in.
fn bits_for(bytes: usize) -> u8 {
    let bits = usize::BITS - bytes.saturating_sub(1).leading_zeros();
    bits as u8
}
