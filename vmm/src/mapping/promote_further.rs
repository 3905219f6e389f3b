// SPDX-License-Identifier: BSD-2-Clause
//! Promotion in the background: large pages are made, a few small pages at a time, where memory on
//! demand was touched densely.
//!
//! ```text
//!   looked for ──► begun: table taken, large frame at hand ──► copied, up to 64 a call ──► large
//!                        │                                          │
//!                        └─ given up: memory is short, or the pages are others ──► small as ever
//! ```
//!
//! The search goes round: each call looks at a few places, from where the last call ended. How many
//! pages are there is known of the page table over a place, so none of them is looked at for it.

use page_tables::PageRange;
use untyped_alloc::{Blame, CachePolicy, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::promotion::Hand;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::region::{Backing, Kind};

/// The most places, regions and spaces that one call looks at.
const LOOKED_AT: usize = 64;

/// The most pages that one call copies.
const COPIED_AT_ONCE: usize = 64;

/// What the search came to.
enum Search<'p> {
    /// A place of which all small pages are there.
    Found(&'p Space<'p>, &'p Region<'p>, PageRange),
    /// There is more to be looked at.
    Further,
    /// The end of the last space.
    End,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes large pages of small ones, a bounded step at each call, for a root task that has
    /// nothing else to do. Says whether there is more to do: `false` once it has been round all
    /// spaces, and where there is no memory to spare.
    ///
    /// It looks for memory on demand in which large pages are preferred
    /// ([`crate::PageSize::Auto`]), and of which all small pages of a large one are there, alike,
    /// and nobody else's. What must stay is left as it is, as by [`Vmm::promote`]; so are stacks,
    /// and the manager's own space. A step is one of these:
    ///
    /// - up to 64 places are looked at: no kernel call; O(log n) for each;
    /// - a promotion begins: a large frame is had as by any request, mapped in the manager's own
    ///   space, and the page table of the place is taken: two kernel calls, and those that make the
    ///   frame, one of which may clear as much as [`Vmm::limit_clearing`] allows;
    /// - up to `most_pages` pages (1 to 64) are copied: three kernel calls each, one in a
    ///   direct map;
    /// - the large page is mapped: three kernel calls;
    /// - the round ends: one retype at the most, of frames that are held back for when large pages
    ///   are given up.
    ///
    /// A thread that touches one of the pages meanwhile has its fault resolved as usual, and goes
    /// on with the page that it had; that page is copied once more. A place that is touched so
    /// often that half of it was copied in vain is left alone until the next round. Requests find
    /// the pages as they are: what they change is what the large page will have, or there is none.
    ///
    /// The large frame is taken of memory that is free, and only if as much again stays free. A
    /// request that finds no memory has it back, as [`Vmm::trim`] has: the promotion is given up
    /// then, and the pages are small as before, but that some come with a touch of their own.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Backing, Geometry, PageSize, Pages, RegionOptions};
    ///
    /// let (space, large) = (vmm.create_space()?, Geometry::IA32.larger_frame(12).unwrap());
    /// let pages = 1 << (large - 12);
    /// let lazy = RegionOptions::new(pages).backed(Backing::OnDemand { around: 1 });
    /// let heap = vmm.reserve(space, &lazy.page_size(PageSize::Auto))?;
    /// for page in 0..pages {
    ///     vmm.populate(space, Pages::at(heap.start().bits() + page * 4096))?;
    /// }
    /// assert_eq!(vmm.large_pages_in(heap)?, 0);
    /// // As long as nobody asks for anything:
    /// while vmm.promote_further(64)? {}
    /// assert_eq!(vmm.large_pages_in(heap)?, pages);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] when the kernel refused a call. Nothing is lost: the promotion goes
    /// on with the next call, or was given up.
    pub fn promote_further(&mut self, most_pages: usize) -> Result<bool> {
        if self.promotions.under_way.is_some() {
            return self.advance_promotion(most_pages.clamp(1, COPIED_AT_ONCE));
        }
        let Some(bits) = self.geometry.larger_frame(self.geometry.page_bits) else {
            return Ok(false);
        };
        let (space, region, place) = match self.search_dense(bits) {
            Search::Found(space, region, place) => (space, region, place),
            Search::Further => return Ok(true),
            Search::End => {
                self.promotions.hand = Hand::default();
                self.hold_for_reclaim();
                return Ok(false);
            }
        };
        match self.begin_promotion(space, region, place, bits) {
            Ok(()) => Ok(true),
            // What is short is not there for the next one either.
            Err(error) if error.blame() == Blame::Resource => {
                self.promotions.hand = Hand::default();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a promotion is under way: [`Vmm::promote_further`] has begun to make a large page,
    /// and holds a frame for it. O(1).
    pub fn promotion_is_under_way(&self) -> bool {
        self.promotions.under_way.is_some()
    }

    /// Looks for a place of a large page of 2^`bits` bytes, from the hand on.
    fn search_dense(&mut self, bits: u8) -> Search<'p> {
        for _ in 0..LOOKED_AT {
            let Hand { space: number, address } = self.promotions.hand;
            let here = self.spaces.with_number(number).filter(|_| number != 0);
            let from = if here.is_some() { address } else { 0 };
            let Some(space) = here.or_else(|| self.spaces.after(number)) else {
                return Search::End;
            };
            let number = space.id.get().number;
            let at = self.geometry.address(from).ok();
            let region =
                at.filter(|_| !self.is_apart(space)).and_then(|at| space.regions().from(at));
            let Some(region) = region else {
                match self.spaces.after(number) {
                    Some(next) => {
                        self.promotions.hand = Hand { space: next.id.get().number, address: 0 }
                    }
                    None => return Search::End,
                }
                continue;
            };
            let end = region.start().bits() + (region.pages() << self.geometry.page_bits);
            let place = match self.may_be_promoted(space, region) {
                true => self.next_place(region, from, bits),
                false => None,
            };
            let Some(place) = place else {
                self.promotions.hand = Hand { space: number, address: end };
                continue;
            };
            self.promotions.hand = Hand { space: number, address: place.end() };
            if self.has_small_pages_only(space, place) {
                return Search::Found(space, region, place);
            }
        }
        Search::Further
    }

    /// Whether large pages of a space neither come nor go by themselves.
    pub(super) fn is_apart(&self, space: &Space<'p>) -> bool {
        core::ptr::eq(space, self.own) || space.store.get()
    }

    /// Whether large pages are made of those of a region in the background.
    pub(super) fn may_be_promoted(&self, space: &Space<'p>, region: &Region<'p>) -> bool {
        let spec = region.spec();
        spec.kind == Kind::Memory
            && spec.large_pages
            && matches!(spec.backing, Backing::OnDemand { .. })
            && spec.cache == CachePolicy::WriteBack
            && self.is_movable(space, region)
    }

    /// The first place of a large page in a region, from an address (bytes) on.
    fn next_place(&self, region: &Region<'p>, from: usize, bits: u8) -> Option<PageRange> {
        let usable = self.usable(region)?;
        let start = from.max(usable.start().bits()).checked_next_multiple_of(1 << bits)?;
        self.large_place_in(usable, start, bits)
    }

    /// Whether all pages of a place are there, and small. O(log n).
    fn has_small_pages_only(&self, space: &Space<'p>, place: PageRange) -> bool {
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, place.start());
        table.is_some_and(|table| {
            self.geometry.table_end(deepest, place.start()) == place.end()
                && table.used() == place.pages()
        })
    }
}
