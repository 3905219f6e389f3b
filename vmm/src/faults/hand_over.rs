// SPDX-License-Identifier: BSD-2-Clause
//! A page handed over with its view: who has it mapped has it no more, and who waits for it does.
//!
//! ```text
//!   giver's region      view, a copy         page ──► receiver's region      view, the same copy
//! ```
//!
//! The copied capability by which the giver had the page mapped is mapped for the receiver, where
//! otherwise one is deleted and another made.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory, Rights};

use super::supply::Transfer;
use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Moves the page `page` as [`Vmm::transfer_into`] does, and with it its view: the one copy of
    /// it that there is, which is mapped at the address `seen` (a space, and bytes, page-aligned).
    /// That is mapped as page number `place` of another region then, with those of its rights that
    /// are among `rights`, as [`Vmm::share_into_with`] maps one. Returns whether it is: where the
    /// kernel refuses that, the page is moved, and has no view.
    ///
    /// Two kernel calls, besides those for the page, of which there are none between stores, and a
    /// page table where it is missing.
    ///
    /// # Errors
    /// Of the page those of [`Vmm::transfer_into`], and [`Error::Shared`] if it is not the space's
    /// own, or others have it than that view; of the view those of [`Vmm::share_into`] for where it
    /// is to be, and of [`Vmm::unmap`] for where it is; [`Error::WrongKind`] for one that is, or is
    /// to be, where the page is or is to be. All is as it was then.
    pub fn hand_over(
        &mut self,
        page: (SpaceId, usize),
        into: (RegionId, usize),
        seen: (SpaceId, usize),
        place: (RegionId, usize),
        rights: Rights,
    ) -> Result<bool> {
        self.under_pressure(|vmm| vmm.try_hand_over(page, into, (seen, place), rights))
    }

    fn try_hand_over(
        &mut self,
        page: (SpaceId, usize),
        into: (RegionId, usize),
        (seen, place): ((SpaceId, usize), (RegionId, usize)),
        rights: Rights,
    ) -> Result<bool> {
        let reserve = &mut self.refill()?;
        let transfer = self.checked_transfer(page, into)?;
        let Transfer { from, piece, space, region, .. } = transfer;
        let (giver, seen) = (self.space(seen.0)?, Pages::at(seen.1));
        let (view_region, seen) = self.caller_range(giver, seen)?;
        self.check_unpinned(giver, view_region)?;
        let (run, view) = self.page_at(giver, seen.start())?;
        let alone = piece.source == Source::Owned
            && view.source == Source::Copy
            && self.refcounts.is_only_copy(view.frames.first, piece.frames.first);
        if !alone || view.cow || piece.cow {
            return Err(Error::Shared { address: page.1 });
        }
        let (taker, target) = self.region(place.0)?;
        let apart = |view: &Space<'p>| ![from, space].iter().any(|it| core::ptr::eq(*it, view));
        if !apart(giver) || !apart(taker) {
            return Err(self.wrong_kind(taker, target));
        }
        let at = self.place_for((taker, target), place, region)?;
        self.check_quota(space, Resource::Frames, 1)?;
        // What it leaves counts until then.
        if !core::ptr::eq(giver, taker) {
            self.check_quota(taker, Resource::Slots, 1)?;
            self.check_quota(taker, Resource::Frames, 1)?;
        }
        let (node, mut spare) = (self.pools.extent(reserve).ok(), self.pools.extent(reserve).ok());
        let outcome = match node.zip(spare) {
            Some(_) => self.move_below(reserve, &transfer, (giver, &view)),
            None => Err(Error::OutOfNodes(NodeKind::Extent)),
        };
        let (mut node, mut is_seen) = (node, false);
        if outcome.is_ok() {
            let index = run.index_of(view.start);
            let unlinked = giver.extents_mut().remove_range(&run, index, 1, &mut spare);
            self.spare_unlinked(reserve, giver, unlinked);
            let spec = target.spec();
            let (rights, cache) = (spec.rights & rights, spec.cache);
            let source = Source::Copy;
            let moved = Extent { source, ..Extent::fresh(at.start(), view.frames, rights, cache) };
            match self.map_extent(reserve, taker, moved) {
                Ok(()) => {
                    if let Some(node) = node.take() {
                        self.enter_extent(reserve, taker, node, moved);
                    }
                    is_seen = true;
                }
                Err(_) => {
                    // It is mapped nowhere, and nobody's.
                    self.delete_copies(view.frames.first, 1);
                    self.try_free_empty_tables_in(taker, at);
                }
            }
            self.prune_tables(giver);
        }
        for node in [node, spare].into_iter().flatten() {
            self.pools.spare_extent(reserve, node);
        }
        outcome.map(|()| is_seen)
    }

    /// Unmaps a view, and moves the page below it. Where either is refused, both are as they were.
    fn move_below(
        &mut self,
        reserve: &mut Reserve,
        page: &Transfer<'p>,
        (giver, view): (&'p Space<'p>, &Extent),
    ) -> Result {
        self.page_unmap(giver, view.mapped(0))?;
        self.record_unmapped(giver, view);
        let moved = self.transfer_piece(reserve, page);
        if moved.is_err() {
            self.restore_extent(reserve, giver, *view);
        }
        moved
    }
}
