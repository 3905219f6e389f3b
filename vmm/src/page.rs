//! Mapping one fresh page: the commonest request, and so the shortest way.
//!
//! `map.rs` maps a range in rounds (all frames, all tables, all maps) and looks every run up again in
//! each. One page needs no rounds: its frame is mapped first and recorded then, so that there is
//! nothing to take out of any map when the kernel refuses. A page that continues the run before it
//! (mapped one after the other, as a heap grows) makes that run longer and costs no node; if it is the
//! very page behind the one used last, all it wants is at hand and nothing is searched.

use page_tables::{PageRange, Table, VirtAddr};
use untyped_alloc::{Invocation, Kernel, Memory, Taken};

use crate::error::{Error, Result};
use crate::ids::SpaceId;
use crate::quota::Resource;
use crate::region::{Region, RegionSpec};
use crate::run::{Run, RunInfo, Source};
use crate::space::Space;
use crate::vmm::Vmm;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a clear frame at `page` of `region`, where nothing is mapped. Takes at the most one node for the run
    /// and those for a page table. A failure leaves everything as it was.
    pub(crate) fn commit_page(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        page: PageRange,
    ) -> Result {
        let clean = match self.alloc.take_frames(&mut self.kernel, self.geometry.page_bits, 1)? {
            Taken::Clean(clean) => clean,
            Taken::Dirty(dirty) => self.scrub(dirty)?,
        };
        let RegionSpec { rights, cache, .. } = region.spec();
        let (start, frames, source) = (page.start(), clean.frames(), Source::Owned);
        let run = RunInfo { start, frames, rights, cow: false, cache, source };
        let mapped = self.install_page(space, region, &run);
        if mapped.is_err() {
            self.discard(&run);
            self.drop_empty_tables(space, page);
        }
        mapped
    }

    /// Maps the page at `start` if it is the one behind the run used last and belongs to it: in the
    /// same region, with the next frame of the same batch, through a page table that is there. It
    /// takes no node, so the reserve is not looked at. `None` if it is not such a page, or if it is
    /// not to be mapped at all: nothing was done then.
    #[inline]
    pub(crate) fn follow(&mut self, space: SpaceId, start: usize) -> Option<Result> {
        let space = self.space(space).ok()?;
        let address = self.geometry.address(start).ok()?;
        let small = self.geometry.page_bits;
        let before = space.runs.borrow().last_ending_at(address, small)?;
        let region = space.regions.borrow().at(address)?;
        let (low, high) = self.between_guards(region);
        if !region.is_callers() || start <= low || start >= high {
            return None;
        }
        self.lengthen(space, region, before, address)
    }

    /// Maps the page at `address`, which is behind the run `before` and in the same region, if the
    /// rest of what [`Vmm::follow`] wants is so.
    #[inline(always)]
    pub(crate) fn lengthen(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        before: &'p Run<'p>,
        address: VirtAddr,
    ) -> Option<Result> {
        let (start, small) = (address.bits(), self.geometry.page_bits);
        self.check_quota(space, Resource::Frames, 1).ok()?;
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, address)?;
        let RegionSpec { rights, cache, .. } = region.spec();
        if !before.takes_one_more(rights, cache, small) {
            return None;
        }
        let frames = self.alloc.take_frame_behind(before.frames())?.frames();
        let mapped = self.kernel.page_map(frames.first, space.root.get(), start, rights, cache);
        if let Err(error) = mapped {
            let _ = self.alloc.give_unused_frames(frames);
            return Some(Err(Error::kernel(Invocation::PageMap)(error)));
        }
        space.shadow.borrow_mut().use_table(table, 1);
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        space.runs.borrow_mut().extend(before, &frames);
        Some(Ok(()))
    }

    fn install_page(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        run: &RunInfo,
    ) -> Result {
        let table = self.table_at(space, run.start)?;
        let before = self.run_before(space, region, run);
        // Taken now, so that recording cannot fail.
        let node = if before.is_none() { Some(self.pools.run()?) } else { None };
        let (vspace, address) = (space.root.get(), run.start.bits());
        let mapped = self.kernel.page_map(run.frames.first, vspace, address, run.rights, run.cache);
        if let Err(error) = mapped {
            node.into_iter().for_each(|node| self.pools.runs.give(node));
            return Err(Error::kernel(Invocation::PageMap)(error));
        }
        space.shadow.borrow_mut().use_table(table, 1);
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        let mut runs = space.runs.borrow_mut();
        match (before, node) {
            (Some(before), _) => runs.extend(before, &run.frames),
            (None, Some(node)) => runs.insert(node, *run),
            (None, None) => {}
        }
        Ok(())
    }

    /// The deepest page table over an address, made if it is missing.
    fn table_at(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result<&'p Table<'p>> {
        let deepest = self.geometry.levels.len() as u8 - 1;
        loop {
            if let Some(table) = space.shadow.borrow().find(&self.geometry, deepest, address) {
                return Ok(table);
            }
            self.make_way(space, address, deepest)?;
        }
    }

    /// The run that the page makes longer: in its region, of its batch of frames.
    fn run_before(
        &self,
        space: &Space<'p>,
        region: &Region<'p>,
        run: &RunInfo,
    ) -> Option<&'p Run<'p>> {
        if self.between_guards(region).0 == run.start.bits() {
            return None;
        }
        let before = space.runs.borrow().before(run)?;
        self.alloc.came_together(run.frames.first, before.frames().first).then_some(before)
    }
}
