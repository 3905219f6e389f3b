// SPDX-License-Identifier: BSD-2-Clause
//! Jobs: what can be done ahead next, and doing it.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::job::Job;

/// Frames that one job zeroes.
const ZEROED_AT_ONCE: usize = 16;

/// The smallest untypeds that are cleared ahead: clearing a smaller one takes no longer than
/// recording that it was.
const WORTH_CLEARING_BITS: u8 = 15;

/// What clearing ahead leaves to requests, as they may have it cleared themselves. Of a limit that
/// is higher no more is made use of, so that it does not depend on the limit what is ready.
const LITTLE: usize = 1 << 18;

/// What is to be free and clean beside frames, for page tables and other objects: an untyped of
/// this size, so that there is still one of a quarter of it once tables were made of it.
const ROOM_BITS: u8 = 17;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// What can be done ahead next. First there is to be a clean untyped, for page tables and other
    /// objects, if a little one can be cleared or a batch of frames be given back for it. Then the
    /// cheapest first: dirty frames are zeroed, frames are made of clean memory, untypeds are
    /// cleared, the smallest first. `None` when all is ready. Free memory is not put together for
    /// it: that would be cleared again, whole. No kernel call; O(batches of frames).
    ///
    /// ```
    /// # let mut vmm = vmm_tests::support::manager();
    /// // As long as nobody asks for anything, and no job holds others up for long:
    /// while let Some(job) = vmm.next_job().filter(|job| job.cleared_by_one_call() <= 1 << 20) {
    ///     vmm.run_job(job)?;
    /// }
    /// # Ok::<(), vmm::Error>(())
    /// ```
    pub fn next_job(&self) -> Option<Job> {
        let room = self.room_bits().filter(|&bits| !self.alloc.has_clean(bits));
        let give_back = |bits, most| {
            let bytes = self.alloc.batch_to_give_back(bits, most)?;
            Some(Job::GiveBack { bytes })
        };
        if let Some(bits) = room {
            let little = self.alloc.next_dirty(bits).filter(|&bytes| bytes <= LITTLE);
            let clear = little.map(|bytes| Job::Clear { bytes });
            if let Some(job) = clear.or_else(|| give_back(bits, LITTLE)) {
                return Some(job);
            }
        }
        if self.alloc.has_dirty_frames() {
            return Some(Job::ZeroFrames { count: ZEROED_AT_ONCE });
        }
        match self.alloc.frames_to_make_ahead() {
            0 => {}
            count => return Some(Job::MakeFrames { count }),
        }
        match self.alloc.next_dirty(WORTH_CLEARING_BITS) {
            Some(bytes) => Some(Job::Clear { bytes }),
            None => give_back(room?, usize::MAX),
        }
    }

    /// The size of what is to be free and clean, in bits; `None` where frames are made of so little
    /// at a time that giving some back would not pay.
    fn room_bits(&self) -> Option<u8> {
        let most = self.clearing_limit().checked_ilog2().map_or(0, |bits| bits as u8);
        Some(most.min(ROOM_BITS)).filter(|&bits| bits >= WORTH_CLEARING_BITS)
    }

    /// Does a job that [`Vmm::next_job`] told of; says whether there was still something to do for
    /// it. Who runs one that clears has asked for that in words: [`Vmm::limit_clearing`] does not
    /// hold for it, and no more is cleared than the job says.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] when the kernel refuses a call; [`crate::Error::OutOfNodes`] or
    /// [`crate::Error::Allocator`] when there is not even memory for book-keeping or a slot.
    /// Nothing is lost, and the job can be done later.
    pub fn run_job(&mut self, job: Job) -> Result<bool> {
        let reserve = &mut self.refill()?;
        match job {
            Job::ZeroFrames { count } => {
                let Some(dirty) = self.alloc.alloc_dirty_frames(count) else { return Ok(false) };
                let zeroed = self.zero_frames(reserve, dirty)?;
                self.alloc.free_unused_frames(zeroed.frames())?;
                Ok(true)
            }
            Job::MakeFrames { .. } => Ok(self.alloc.make_frames_ahead(&mut self.kernel)? != 0),
            Job::GiveBack { bytes } => {
                let least = self.room_bits().filter(|&bits| !self.alloc.has_clean(bits));
                let Some(least) = least else { return Ok(false) };
                Ok(self.alloc.give_back_batch(&mut self.kernel, least, bytes)? != 0)
            }
            Job::Clear { bytes } => {
                let bits = bytes.checked_ilog2().unwrap_or(0) as u8;
                match self.alloc.next_dirty(bits) == Some(bytes) {
                    true => Ok(self.alloc.clear(&mut self.kernel, bits)? != 0),
                    false => Ok(false),
                }
            }
        }
    }

    /// Clears untypeds, the smallest first, until `bytes` bytes of objects can be made with no call
    /// clearing more than 2^18 bytes, nor more than [`Vmm::limit_clearing`] says; or until all are
    /// clear. Returns the bytes that were cleared. A kernel call for each untyped, in which nobody
    /// else runs, at some 1.5 thousand instructions for 4 KiB; O(untypeds) besides for each.
    ///
    /// # Errors
    /// As [`Vmm::clear`]. What was cleared before stays so.
    pub fn clear_ahead(&mut self, bytes: usize) -> Result<usize> {
        let little = LITTLE.min(self.clearing_limit());
        let larger = little.checked_ilog2().map_or(0, |bits| bits as u8 + 1);
        let mut cleared = 0;
        while self.alloc.ready_untyped_bytes(little) < bytes
            && self.alloc.next_dirty(larger).is_some()
        {
            let _ = self.refill_to_free();
            cleared += self.alloc.clear(&mut self.kernel, larger)?;
        }
        Ok(cleared)
    }
}
