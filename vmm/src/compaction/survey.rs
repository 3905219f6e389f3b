// SPDX-License-Identifier: BSD-2-Clause
//! The survey: which pages may move.

use page_tables::{PageRange, Pages};
use untyped_alloc::{Kernel, Memory, Obtainable};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::space::Space;
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// How much can be had in pieces of 2^`bits` bytes: for the size of a page, as pages; for 2^10,
    /// say, as objects of that size. Page tables that are held back, or will be, are taken off:
    /// with them, no page that is ready is out of reach for want of a table. Page tables that are
    /// made while there is memory, slots and book-keeping are not taken off. No kernel call;
    /// O(extents of all spaces), and O(untypeds) for each piece that compaction would give.
    pub fn obtainable(&self, bits: u8) -> Obtainable {
        self.survey();
        let all = self.alloc.obtainable(bits);
        let to_hold = self.tables_to_hold() << self.geometry.page_bits;
        let crumbs = self.alloc.free_block_bytes().saturating_sub(all.now << bits);
        let less = match bits <= self.geometry.page_bits {
            true => to_hold >> bits,
            false => usize::from(to_hold > crumbs),
        };
        Obtainable {
            now: all.now.saturating_sub(less),
            coalesced: all.coalesced.saturating_sub(less),
            compacted: all.compacted.saturating_sub(less),
        }
    }

    /// Tells the allocator of every frame that can be moved. O(extents of all spaces).
    pub(crate) fn survey(&self) {
        self.alloc.begin_survey();
        let mut next = self.spaces.after(0);
        while let Some(space) = next {
            let mut cursor = ExtentCursor::over(self.all_of_user_space());
            while let Some(Visited { extent, .. }) = cursor.next(space) {
                if self.may_move(space, &extent) {
                    self.alloc.count_movable(extent.frames);
                }
            }
            next = self.spaces.after(space.id.get().number());
        }
    }

    /// Whether the frames of an extent can be replaced by others: small ones of the space's own
    /// that nobody shares, in a region that allows it.
    pub(super) fn may_move(&self, space: &Space<'p>, extent: &Extent) -> bool {
        let region = space.regions().at(extent.start);
        extent.source == Source::Owned
            && extent.frames.size_bits == self.geometry.page_bits
            && region.is_some_and(|region| self.is_movable(space, region))
            && !self.refcounts.any_in(&extent.frames)
    }

    pub(super) fn all_of_user_space(&self) -> PageRange {
        let geometry = &self.geometry;
        let all = geometry.range(Pages::at(0).count(geometry.user_end >> geometry.page_bits));
        all.unwrap_or_else(|_| unreachable!("user space begins at 0 and is not empty"))
    }
}
