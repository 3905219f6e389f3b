// SPDX-License-Identifier: BSD-2-Clause
//! Requests under pressure: where memory is out, what is still to be given back is, pages are
//! moved, and the request is made again.

use untyped_alloc::{Kernel, Memory};

use super::evacuate::Compacted;
use crate::manager::vmm::Vmm;
use crate::state::promotion::Reclaimed;
use crate::types::error::{Error, Result};

/// How often one piece of the size that is missing is gained, and the request is made again. It may
/// want a page table of each level, a CNode and an object.
const SINGLE_ROUNDS: usize = 4;

/// How often a request is made again at the most. One that wants more than those wants many (a page
/// table for each page of a sparse region): so twice as much is gained each time, up to 256 pieces.
/// Were it still refused after that, it would take for one purpose what was gained for another, as
/// there is too little for all of them.
const MAX_ROUNDS: usize = SINGLE_ROUNDS + 8;

/// The same for one that wants large pages, which are gained one by one.
const MAX_ROUNDS_FOR_LARGE: usize = 1024;

/// What is done for a request that finds no memory, and what of it was done.
struct Relief {
    /// The size, in bits, of what is missing.
    missing: u8,
    /// What is tried next.
    next: Step,
    /// Rounds of compaction so far.
    round: usize,
    doubled: u8,
    /// Pages that may be moved yet.
    budget: usize,
    /// Whether large pages may be given up.
    reclaims: bool,
}

/// A way to memory, the cheaper ones first.
enum Step {
    /// What earlier requests were refused to give back is nobody's, and the large frame of a
    /// promotion is wanted by nobody.
    GiveBack,
    /// Pages are moved.
    Compact,
    /// Large pages of which little is used are given up.
    Reclaim,
    /// What is held back for that serves the request: to refuse it beside that is worse than to
    /// give up fewer large pages later.
    Release,
    /// There is no other.
    End,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes a request that leaves all as it was when it fails. Where it finds no memory, pages are
    /// moved so that a piece of the size it wants is free, and it is made again.
    #[inline(always)]
    pub(crate) fn under_pressure<T>(
        &mut self,
        request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.make_again(false, request)
    }

    /// The same for a request that does not depend on pages being there that hold nothing but
    /// zeros, in memory on demand: where moving pages gains no memory, large pages are given up of
    /// which little is used (`mapping/reclaim.rs`).
    #[inline(always)]
    pub(crate) fn under_pressure_reclaiming<T>(
        &mut self,
        request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.make_again(true, request)
    }

    #[inline(always)]
    fn make_again<T>(
        &mut self,
        reclaims: bool,
        mut request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        match request(self) {
            Err(Error::Allocator(error @ untyped_alloc::Error::OutOfMemory { .. })) => {
                self.relieve_for(error, reclaims, request)
            }
            made => made,
        }
    }

    #[cold]
    #[inline(never)]
    fn relieve_for<T>(
        &mut self,
        mut error: untyped_alloc::Error,
        reclaims: bool,
        mut request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let budget = self.compaction.most_pages;
        let (next, missing) = (Step::GiveBack, 0);
        let mut relief = Relief { missing, next, round: 0, doubled: 0, budget, reclaims };
        while let untyped_alloc::Error::OutOfMemory { size_bits, .. } = error {
            relief.missing = size_bits;
            if !self.relieve(&mut relief) {
                break;
            }
            match request(self) {
                Err(Error::Allocator(again)) => error = again,
                made => return made,
            }
        }
        Err(error.into())
    }

    /// Gains memory in the next way that there is; says whether there may be some.
    fn relieve(&mut self, relief: &mut Relief) -> bool {
        loop {
            let (gained, next) = match relief.next {
                Step::GiveBack => {
                    let gained = self.abandon_promotion() | self.give_back_refused();
                    (gained, Step::Compact)
                }
                Step::Compact => match self.compact_round(relief) {
                    true => (true, Step::Compact),
                    false => (false, Step::Reclaim),
                },
                Step::Reclaim if !relief.reclaims => (false, Step::Release),
                Step::Reclaim if self.compaction.most_pages != usize::MAX => {
                    // That takes longer than one request may.
                    self.promotions.reclaim_due = self.can_reclaim();
                    match self.promotions.reclaim_due {
                        true => (false, Step::End),
                        false => (false, Step::Release),
                    }
                }
                Step::Reclaim => match self.reclaim() {
                    true => (true, Step::Reclaim),
                    false => (false, Step::Release),
                },
                Step::Release => (self.alloc.release_held_frames(), Step::End),
                Step::End => return false,
            };
            relief.next = next;
            if gained {
                return true;
            }
        }
    }

    /// Moves pages so that what is missing is there; says whether there may be some.
    fn compact_round(&mut self, relief: &mut Relief) -> bool {
        let size_bits = relief.missing;
        let bounded = self.compaction.most_pages != usize::MAX;
        let most = match self.geometry.level_of_frame(size_bits) {
            _ if bounded => 1,
            Some(_) if size_bits != self.geometry.page_bits => MAX_ROUNDS_FOR_LARGE,
            _ => MAX_ROUNDS,
        };
        if relief.round >= most {
            return false;
        }
        relief.doubled += u8::from(most == MAX_ROUNDS && relief.round >= SINGLE_ROUNDS);
        relief.round += 1;
        match self.compact_up_to(size_bits, &mut relief.doubled, &mut relief.budget) {
            Ok(Compacted::Gained) => true,
            Ok(Compacted::BrokenOff) => {
                self.compaction.due = Some(size_bits);
                false
            }
            // What stands in the way of that is not what the caller asked for.
            Ok(Compacted::Nothing) | Err(_) => false,
        }
    }

    /// Gains a block of 2^`bits` bytes times 2^`doubled`, or as large a one as can be: that is left
    /// in `doubled`, so that larger ones are not looked for again and again.
    fn compact_up_to(
        &mut self,
        bits: u8,
        doubled: &mut u8,
        budget: &mut usize,
    ) -> Result<Compacted> {
        loop {
            let compacted = self.compact_within(bits + *doubled, budget)?;
            if compacted != Compacted::Nothing || *doubled == 0 {
                return Ok(compacted);
            }
            *doubled -= 1;
        }
    }

    /// Limits how many pages are moved within one request, and lets it be made again but once: 64
    /// pages, say, where other requests wait. One that would need more is refused for want of
    /// memory, and [`Vmm::compact_further`] does the rest. There is no limit before this is called.
    /// No kernel call.
    pub fn limit_compaction(&mut self, most_pages: usize) {
        self.compaction.most_pages = most_pages;
    }

    /// Whether a request was refused because the limit did not allow more pages to be moved, or
    /// large ones to be given up, and [`Vmm::compact_further`] has not done the rest. O(1).
    pub fn compaction_is_due(&self) -> bool {
        self.compaction.due.is_some() || self.promotions.reclaim_due
    }

    /// Goes on with a compaction that a request had to break off: moves at most `most_pages` pages.
    /// Where moving pages gains nothing, it looks at one large page that came by itself, and gives
    /// it up if that is half zeros. Says whether there is more to do. At most seven kernel calls a
    /// page, and those that give back what is empty then; a large page is looked at as a whole, and
    /// up to half of it copied.
    ///
    /// # Errors
    /// As for [`Vmm::compact`]; there is nothing more to do then.
    pub fn compact_further(&mut self, most_pages: usize) -> Result<bool> {
        let Some(bits) = self.compaction.due.take() else {
            let due = core::mem::take(&mut self.promotions.reclaim_due) && most_pages != 0;
            self.promotions.reclaim_due = due && self.reclaim_next() == Reclaimed::Further;
            return Ok(self.promotions.reclaim_due);
        };
        let more = self.compact_within(bits, &mut { most_pages })? == Compacted::BrokenOff;
        if more && most_pages != 0 {
            self.compaction.due = Some(bits);
        }
        Ok(self.compaction_is_due())
    }
}
