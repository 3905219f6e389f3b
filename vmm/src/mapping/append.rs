//! Mapping one fresh page: the commonest request, and so the shortest way.
//!
//! `map.rs` maps a range in rounds (all frames, all tables, all maps) and looks every run up again in
//! each. One page needs no rounds: its frame is mapped first and recorded then, so that there is
//! nothing to take out of any map when the kernel refuses. A page that continues the run before it
//! (mapped one after the other, as a heap grows) makes that run longer and costs no node.
//!
//! Pages mapped one behind the other are a *streak*. Whether a page may be mapped, and with what rights
//! in which table, is found out for its first page and holds for those that follow, up to where the
//! region, the page table, the run or the quota ends: as long as nobody else has looked up a space, or a
//! region of one. Looking one up ends the streak, so whatever is done to a space in between does.

use page_tables::VirtAddr;
use untyped_alloc::{CPtr, Frames, Invocation, Kernel, KernelError, Memory};

use crate::manager::vmm::Vmm;
use crate::state::append_cursor::{Streak, NO_STREAK};
use crate::state::extents::ExtentNode;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps the page at `start` if that makes the run used last longer: it is behind it, in the same
    /// region, its frame is the next of the same batch, and it has its page table. It takes no node,
    /// so the reserve is not looked at. `None` if it is not such a page, or if it is not to be mapped
    /// at all: nothing was done then.
    #[inline(always)]
    pub(crate) fn follow(&mut self, id: SpaceId, start: usize) -> Option<Result> {
        if !self.is_streak(id, start) {
            self.begin_streak(id, start)?;
        }
        self.go_on()
    }

    /// Whether the page at `start` of a space is the one that goes on where the last one ended.
    #[inline(always)]
    pub(crate) fn is_streak(&self, id: SpaceId, start: usize) -> bool {
        self.streak_at.get() == start
            && start != NO_STREAK
            && self.streak.as_ref().is_some_and(|it| it.space.id.get() == id)
    }

    /// The region the streak is in, if there is one.
    #[inline(always)]
    pub(crate) fn streak_region(&self) -> Option<&'p Region<'p>> {
        self.streak.as_ref().map(|streak| streak.region)
    }

    /// The run that the streak makes longer, if there is one.
    #[inline(always)]
    pub(crate) fn append_extent(&self) -> Option<&'p ExtentNode<'p>> {
        self.streak.as_ref().map(|streak| streak.extent)
    }

    /// Finds out once what holds for all pages that go on from `start`.
    #[inline(never)]
    pub(crate) fn begin_streak(&mut self, id: SpaceId, start: usize) -> Option<()> {
        let space = self.space(id).ok()?;
        let address = self.geometry.address(start).ok()?;
        let (extent, clear_to) = space.extents.borrow().last_ending_at(address)?;
        let region = space.regions.borrow().at(address)?;
        let (low, high) = self.between_guards(region);
        if !region.is_callers() || start <= low {
            return None;
        }
        self.go_on_from(space, region, extent, address, high.min(clear_to))
    }

    /// Begins a streak of pages from `address` on, which make a run of the region longer; nothing is
    /// mapped before `clear_to`. Where pages lie apart, so do those of the streak.
    pub(crate) fn go_on_from(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: &'p ExtentNode<'p>,
        address: VirtAddr,
        clear_to: usize,
    ) -> Option<()> {
        let (start, bits) = (address.bits(), self.geometry.page_bits);
        let strided = region.arena.get().is_some();
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, address)?;
        // A table that is kept empty is on the list of empty ones: only the long way takes it off.
        if table.is_listed_empty() {
            return None;
        }
        let RegionSpec { rights, cache, .. } = region.spec();
        let batch = self.alloc.batch_of(extent.frames())?;
        let room = extent.room_for_more(rights, cache, bits, strided)?;
        let room = room.min(self.quota_left(space, Resource::Frames));
        let step = self.geometry.page_bytes() << u8::from(strided);
        let end = clear_to.min(self.geometry.table_end(deepest, address));
        let end = end.min(start.saturating_add(room.saturating_mul(step)));
        if start >= end {
            return None;
        }
        self.streak =
            Some(Streak { space, region, extent, batch, table, step, end, rights, cache });
        self.streak_at.set(start);
        Some(())
    }

    /// Maps the next page of the streak, which there is; `None` if its frame is not at hand.
    #[inline(always)]
    pub(crate) fn go_on(&mut self) -> Option<Result> {
        let Streak { space, extent, batch, table, step, end, rights, cache, .. } = self.streak?;
        let frame = self.alloc.take_of_batch(batch, extent.count())?.frames().first;
        let start = self.streak_at.get();
        let mapped = self.kernel.page_map(frame, space.root.get(), start, rights, cache);
        if let Err(error) = mapped {
            return Some(Err(self.end_streak(frame, error)));
        }
        let next = start + step;
        self.streak_at.set(if next < end { next } else { NO_STREAK });
        table.use_one_more();
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        space.extents.borrow().extend(extent, self.geometry.page_bytes());
        Some(Ok(()))
    }

    /// The kernel refused to map a frame that was to go on the streak.
    #[cold]
    fn end_streak(&mut self, first: CPtr, refusal: KernelError) -> Error {
        self.streak_at.set(NO_STREAK);
        let frame = Frames { first, count: 1, size_bits: self.geometry.page_bits };
        // It was taken, so it can be given back.
        let _ = self.alloc.give_unused_frames(frame);
        Error::kernel(Invocation::PageMap)(refusal)
    }
}
