//! Unmapping frames, and recording that.

use page_tables::PageRange;
use untyped_alloc::{CPtr, Invocation, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::{RunInfo, Runs};
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Refuses a range with holes, cut large pages, or frames that are not the manager's.
    pub(crate) fn check_shareable(&self, space: &Space<'p>, range: PageRange) -> Result {
        self.check_mapped(space, range)?;
        self.check_uncut(space, range)?;
        let (runs, mut rest) = (space.runs.borrow(), Some(range));
        while let Some(part) = rest {
            let Some(run) = runs.first_in(part) else { break };
            if !matches!(run.source, Source::Owned | Source::Copy) {
                return Err(Error::NotOurs { address: run.start.bits() });
            }
            rest = self.past(part, &run);
        }
        Ok(())
    }

    /// Refuses a range in which a page is not mapped.
    pub(crate) fn check_mapped(&self, space: &Space<'p>, range: PageRange) -> Result {
        let runs = space.runs.borrow();
        let mut rest = Some(range);
        while let Some(part) = rest {
            let address = part.start().bits();
            let run = runs.at(part.start()).ok_or(Error::NotMapped { address })?;
            rest = self.past(part, &run);
        }
        Ok(())
    }

    /// Refuses a range that cuts a large page.
    pub(crate) fn check_uncut(&self, space: &Space<'p>, range: PageRange) -> Result {
        let cut = [range.start().bits(), range.end()].into_iter().find_map(|edge| {
            let edge = self.geometry.address(edge).ok()?;
            let run = space.runs.borrow().across(edge)?;
            let page = run.address(run.index_of(edge));
            (page != edge && edge.is_aligned(self.geometry.page_bits)).then_some(page)
        });
        cut.map_or(Ok(()), |page| Err(Error::LargePage { address: page.bits() }))
    }

    /// Unmaps whatever is mapped in `range`.
    pub(crate) fn unmap_range(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let (mut done, mut rest) = (0, Some(range));
        while let Some(part) = rest {
            let Some(run) = space.runs.borrow().first_in(part) else {
                break;
            };
            let (first, count) = run.indices_in(part);
            self.unmap_part(space, run, first, count)
                .map_err(|(error, pages)| error.after(done + pages))?;
            done += count << (run.frames.size_bits - self.geometry.page_bits);
            rest = self.past(part, &run);
        }
        self.prune_tables(space);
        Ok(())
    }

    /// Unmaps `count` frames of a run from number `first` on. Fails with the error and how many
    /// pages were unmapped before it.
    pub(crate) fn unmap_part(
        &mut self,
        space: &'p Space<'p>,
        run: RunInfo,
        first: usize,
        count: usize,
    ) -> Result<(), (Error, usize)> {
        // The node may be needed only after a refused call in the middle, but must be there then.
        let mut spare = match first != 0 || first + count != run.frames.count || count > 1 {
            true => self.pools.runs.take(),
            false => None,
        };
        if spare.is_none() && Runs::needs_spare(&run, first, count) {
            return Err((Error::OutOfNodes(crate::NodeKind::Run), 0));
        }
        let mut done = 0;
        let mut outcome = Ok(());
        while done < count {
            outcome = self.unmap_frame(space, &run, first + done);
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        if done != 0 {
            self.record_unmapped(space, &run.part(first, done));
            let freed = space.runs.borrow_mut().carve(&run, first, done, &mut spare);
            freed.into_iter().for_each(|node| self.pools.runs.give(node));
            self.give_back(&run.part(first, done));
        }
        spare.into_iter().for_each(|node| self.pools.runs.give(node));
        let pages = done << (run.frames.size_bits - self.geometry.page_bits);
        outcome.map_err(|error| (error, pages))
    }

    #[inline]
    fn unmap_frame(&mut self, space: &Space<'p>, run: &RunInfo, index: usize) -> Result {
        match run.source {
            Source::Copy => self.unmap_copy(space, &run.part(index, 1)),
            _ => self.unmap_page(run.frame(index)),
        }
    }

    #[inline]
    fn unmap_page(&mut self, frame: CPtr) -> Result {
        self.kernel.page_unmap(frame).map_err(Error::kernel(Invocation::PageUnmap))
    }

    /// Unmaps a page and deletes its capability, a copy; where that is refused it is mapped again.
    fn unmap_copy(&mut self, space: &Space<'p>, piece: &RunInfo) -> Result {
        let frame = piece.frames.first;
        self.unmap_page(frame)?;
        let deleted = self.delete_copy(frame);
        if deleted.is_err() {
            let (root, at) = (space.root.get(), piece.start.bits());
            // If that is refused as well, it stays recorded: a fault maps it, another try deletes it.
            let _ = self.kernel.page_map(frame, root, at, piece.mapped_rights(), piece.cache);
        }
        deleted
    }
}
