//! Mapping one fresh page: the commonest request, and so the shortest way.
//!
//! `map.rs` maps a range in rounds (all frames, all tables, all maps) and looks every run up again in
//! each. One page needs no rounds: its frame is mapped first and recorded then, so that there is
//! nothing to take out of any map when the kernel refuses. A page that continues the run before it
//! (mapped one after the other, as a heap or a stack grows) makes that run longer and costs no node.

use page_tables::PageRange;
use untyped_alloc::{CachePolicy, Invocation, Kernel, Memory, Rights, Taken};

use crate::error::{Error, Result};
use crate::run::{Run, RunInfo, Source};
use crate::space::Space;
use crate::vmm::Vmm;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a clear frame at `page`, where nothing is mapped. Takes at the most one node for the run
    /// and those for a page table. A failure leaves everything as it was.
    pub(crate) fn commit_page(
        &mut self,
        space: &'p Space<'p>,
        page: PageRange,
        rights: Rights,
        cache: CachePolicy,
    ) -> Result {
        let clean = match self.alloc.take_frames(&mut self.kernel, self.geometry.page_bits, 1)? {
            Taken::Clean(clean) => clean,
            Taken::Dirty(dirty) => self.scrub(dirty)?,
        };
        let (start, frames, source) = (page.start(), clean.frames(), Source::Owned);
        let run = RunInfo { start, frames, rights, cow: false, cache, source };
        let mapped = self.install_page(space, &run);
        if mapped.is_err() {
            self.discard(&run);
            self.drop_empty_tables(space, page);
        }
        mapped
    }

    fn install_page(&mut self, space: &'p Space<'p>, run: &RunInfo) -> Result {
        let deepest = self.geometry.levels.len() as u8 - 1;
        self.make_way(space, run.start, deepest)?;
        let before = self.run_before(space, run);
        // Taken now, so that recording cannot fail.
        let node = if before.is_none() { Some(self.pools.run()?) } else { None };
        let (vspace, address) = (space.root.get(), run.start.bits());
        let mapped = self.kernel.page_map(run.frames.first, vspace, address, run.rights, run.cache);
        if let Err(error) = mapped {
            node.into_iter().for_each(|node| self.pools.runs.give(node));
            return Err(Error::kernel(Invocation::PageMap)(error));
        }
        space.shadow.borrow_mut().use_entries(&self.geometry, deepest, run.start, 1);
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        let mut runs = space.runs.borrow_mut();
        match (before, node) {
            (Some(before), _) => runs.extend(before, run),
            (None, Some(node)) => runs.insert(node, *run),
            (None, None) => {}
        }
        Ok(())
    }

    /// The run that the page makes longer: in its region, of its batch of frames.
    fn run_before(&self, space: &Space<'p>, run: &RunInfo) -> Option<&'p Run<'p>> {
        let region = space.regions.borrow().at(run.start)?;
        if self.usable(region)?.start() == run.start {
            return None;
        }
        let before = space.runs.borrow().before(run)?;
        self.alloc.came_together(run.frames.first, before.first()).then_some(before)
    }
}
