// SPDX-License-Identifier: BSD-2-Clause
//! What becomes of a promotion in the background when something else is done with its pages.
//!
//! Nothing waits for it: its pages stay recorded as they are, and whoever maps one of them, shares
//! it or writes to it says so here. Then that page is copied once more (invariant I61).

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::cut_pages::CutPage;
use crate::state::extent::Extent;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::Result;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// A page at `address` (bytes) of a space in which a promotion is under way is to be mapped.
    #[cold]
    #[inline(never)]
    pub(super) fn comes_back(&mut self, space: &Space<'p>, address: usize) {
        let Some(promotion) = &mut self.promotions.under_way else { return };
        if promotion.space == space.id.get() {
            promotion.clear_copied(address..address + 1);
        }
    }

    /// Somebody else gets these pages, or writes to them by another way than their mapping.
    #[inline(always)]
    pub(crate) fn note_used(&mut self, pages: &Extent) {
        if let Some(promotion) = &mut self.promotions.under_way {
            // Whatever space they are of: a page that is copied once more is the worst of it.
            promotion.clear_copied(pages.start.bits()..pages.end());
        }
    }

    /// The same for the page at an address.
    #[inline(always)]
    pub(crate) fn note_used_at(&mut self, page: VirtAddr) {
        if let Some(promotion) = &mut self.promotions.under_way {
            promotion.clear_copied(page.bits()..page.bits() + 1);
        }
    }

    /// Gives up the promotion that is under way, if there is one, and its large frame with it. Its
    /// pages are recorded as before; those that are mapped nowhere come with a touch. One kernel
    /// call for the large frame's mapping. Says whether there was one.
    pub(crate) fn abandon_promotion(&mut self) -> bool {
        let Some(promotion) = self.promotions.under_way.take() else { return false };
        let own = self.own;
        self.free_region_or_quarantine(&mut Reserve::as_it_is(), own, promotion.view);
        if let Some(space) = self.spaces.find(promotion.space) {
            space.in_transit.set(false);
            if let Ok(place) = self.range_of(&promotion.page) {
                self.join_in(space, place);
            }
        }
        true
    }

    /// The place of a large page that was cut, or is to be made.
    pub(crate) fn range_of(&self, page: &CutPage) -> Result<PageRange> {
        let pages = 1 << (page.size_bits - self.geometry.page_bits);
        Ok(self.geometry.range(Pages::at(page.start.bits()).count(pages))?)
    }
}
