// SPDX-License-Identifier: BSD-2-Clause
//! Reclaiming: under pressure, large pages that came by themselves, and of which little is used, are
//! given up.
//!
//! ```text
//!   large page    │ 7 │ 0 │ 0 │ 9 │ 0 │ 0 │ 0 │ 0 │     what its small pages hold
//!   afterwards    │ 7 ┊   ┊   ┊ 9 ┊   ┊   ┊   ┊   │     two small pages; a touch brings the others
//! ```
//!
//! A large page that a touch has brought, or that small ones were made into, lies in memory on
//! demand, where a page that holds nothing but zeros is as good as none: the next touch brings clear
//! memory. So a large page that is half zeros is cut, by the way of [`Vmm::decommit`] (`demote.rs`),
//! and what is zeros goes back. The kernel here tells nobody which pages were used, so what they
//! hold is all that is known of that.
//!
//! What is used has to be copied elsewhere first, when there is nothing else: for that a few frames
//! are held back from when the first large page came ([`Vmm::expect_reclaim`]). They are the last
//! that a request gets, once no large page can be given up.

use page_tables::VirtAddr;
use untyped_alloc::{Blame, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::ExtentCursor;
use crate::state::extents::Extents;
use crate::state::promotion::{Hand, PageSet, Reclaimed};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;

/// How many frames are held back: what the first large page that is given up may have in use, at
/// least. The memory that it gives is enough for the others.
const HELD: usize = 16;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// A large page came that can be given up: what that takes is held back now, where there is
    /// memory for it. One retype, the first time.
    pub(crate) fn expect_reclaim(&mut self) {
        self.promotions.may_reclaim = true;
        self.hold_for_reclaim();
    }

    /// Holds frames back if none are, where large pages came that can be given up: without them,
    /// that is done only where other frames are ready. O(1) and no kernel call where some are.
    pub(super) fn hold_for_reclaim(&mut self) {
        let wanted = self.promotions.may_reclaim && !self.alloc.holds_frames();
        if wanted && self.refill().is_ok() {
            let _ = self.alloc.hold_frames(&mut self.kernel, HELD);
        }
    }

    /// Holds frames back as long as there is a large page that could be given up, and no longer.
    /// O(extents of all spaces).
    pub(crate) fn hold_while_of_use(&mut self) {
        if !self.promotions.may_reclaim {
            return;
        }
        self.promotions.may_reclaim = self.next_large(Hand::default()).is_some();
        match self.promotions.may_reclaim {
            true => self.hold_for_reclaim(),
            false => _ = self.alloc.release_held_frames(),
        }
    }

    /// Gives up large pages, one after the other, until one was given up that was half zeros; says
    /// whether one was. What is held back is used for it, and held back again. Four kernel calls
    /// for each large page that is looked at; for one that is given up, three for each small page
    /// that stays, besides, and those that make it; O(extents of all spaces).
    pub(crate) fn reclaim(&mut self) -> bool {
        loop {
            match self.reclaim_next() {
                Reclaimed::Gained => return true,
                Reclaimed::Further => {}
                Reclaimed::Nothing => return false,
            }
        }
    }

    /// Whether looking for one is worth it: not where all were looked at in vain, and as much
    /// memory is free as was then.
    pub(crate) fn can_reclaim(&self) -> bool {
        self.promotions.may_reclaim && self.promotions.in_vain != Some(self.memory_not_used())
    }

    /// By what it is known that memory came back, or was used. O(1).
    fn memory_not_used(&self) -> (usize, usize) {
        (self.alloc.most_frame_bytes(), self.alloc.free_block_bytes())
    }

    /// As [`Vmm::reclaim`], with the next large page alone, from where the last search ended.
    pub(crate) fn reclaim_next(&mut self) -> Reclaimed {
        if !self.can_reclaim() {
            return Reclaimed::Nothing;
        }
        let Some((space, at)) = self.next_large(self.promotions.reclaim_hand) else {
            self.promotions.reclaim_hand = Hand::default();
            if !core::mem::replace(&mut self.promotions.once_round, true) {
                return Reclaimed::Further;
            }
            self.promotions.once_round = false;
            self.promotions.in_vain = Some(self.memory_not_used());
            return Reclaimed::Nothing;
        };
        self.promotions.reclaim_hand =
            Hand { space: space.id.get().number, address: at.bits() + 1 };
        self.alloc.release_held_frames();
        let given_up = self.reclaim_at(space, at);
        self.hold_for_reclaim();
        match given_up {
            Ok(true) => {
                self.promotions.once_round = false;
                Reclaimed::Gained
            }
            Ok(false) => Reclaimed::Further,
            Err(error) if error.blame() == Blame::Resource => Reclaimed::Further,
            // What stands in the way of that is not what the caller asked for.
            Err(_) => Reclaimed::Nothing,
        }
    }

    /// The first large page that may be given up, at the hand's place or behind it. O(extents of
    /// all spaces).
    fn next_large(&self, hand: Hand) -> Option<(&'p Space<'p>, VirtAddr)> {
        let bits = self.geometry.larger_frame(self.geometry.page_bits)?;
        let here = self.spaces.with_number(hand.space).filter(|_| hand.space != 0);
        let mut address = if here.is_some() { hand.address } else { 0 };
        let mut next = here.or_else(|| self.spaces.after(hand.space));
        while let Some(space) = next {
            let apart = self.is_apart(space);
            while let Some(region) = self.region_from(space, address).filter(|_| !apart) {
                let usable = self.usable(region).filter(|_| self.may_be_promoted(space, region));
                let mut cursor = usable.map(ExtentCursor::over);
                let mut extents = core::iter::from_fn(|| cursor.as_mut()?.next(space));
                let large = extents.find_map(|visited| {
                    let part = visited.part();
                    let first = address.saturating_sub(part.start.bits()).div_ceil(1 << bits);
                    let is_one = part.frames.size_bits == bits && first < part.frames.count;
                    is_one.then(|| part.address(first))
                });
                if let Some(at) = large {
                    return Some((space, at));
                }
                address = region.start().bits() + (region.pages() << self.geometry.page_bits);
            }
            address = 0;
            next = self.spaces.after(space.id.get().number);
        }
        None
    }

    /// The region at an address (bytes), or the next one.
    fn region_from(&self, space: &Space<'p>, address: usize) -> Option<&'p Region<'p>> {
        let at = self.geometry.address(address).ok()?;
        space.regions().from(at)
    }

    /// Gives up the large page at an address, if it can be, and half of it is zeros; says whether
    /// it did. If not, all is as it was.
    fn reclaim_at(&mut self, space: &'p Space<'p>, at: VirtAddr) -> Result<bool> {
        let Some(bits) = self.geometry.larger_frame(self.geometry.page_bits) else {
            return Ok(false);
        };
        let pages = 1 << (bits - self.geometry.page_bits);
        match self.own_page(space, at, bits).filter(|_| PageSet::has_room(pages)) {
            Some(large) => {
                self.with_view(&large, |vmm, view| vmm.reclaim_seen(space, (&large, pages), view))
            }
            None => Ok(false),
        }
    }

    /// The same for one that can be read at `view`.
    fn reclaim_seen(
        &mut self,
        space: &'p Space<'p>,
        (large, pages): (&Extent, usize),
        view: VirtAddr,
    ) -> Result<bool> {
        let bits = self.geometry.page_bits;
        let (mut used, mut count) = (PageSet::default(), 0);
        for page in 0..pages {
            if !self.kernel.is_zero(view.bits() + (page << bits), 1 << bits) {
                used.insert(page);
                count += 1;
                if 2 * count > pages {
                    return Ok(false);
                }
            }
        }
        let mut small = Extents::new();
        let mut runs = used.runs();
        let taken = runs.try_for_each(|run| {
            let [from, to] = [run.start, run.end].map(|page| large.start.bits() + (page << bits));
            self.take_small(space, large, from..to, &mut small)
        });
        let swapped = taken.and_then(|()| {
            let extent = space.extents().at(large.start);
            let extent = extent.ok_or_else(|| space.not_mapped(large.start.bits()))?;
            let at = (extent, extent.index_of(large.start));
            self.swap(space, at, &mut small, |vmm, reserve, small| {
                // Its threads ran until now: what was zeros may have been written to.
                let mut others = (0..pages).filter(|&page| !used.has(page));
                let zero = |page| vmm.kernel.is_zero(view.bits() + (page << bits), 1 << bits);
                match others.all(zero) {
                    true => vmm.copy_contents(reserve, large, small, view),
                    false => Err(vmm.alloc.out_of_memory(bits).into()),
                }
            })
        });
        self.free_small(small);
        swapped?;
        // It is not to be joined again.
        self.finish_cut_pages(space, (large.start.bits(), large.end()), true);
        self.promotions.reclaimed_pages += (pages - count) as u64;
        Ok(true)
    }
}
