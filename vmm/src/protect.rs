//! Changing the rights of mapped pages in place: at no moment is one absent. For the manager's own
//! space that takes [`Vmm::protect_in_place`].

use page_tables::PageRange;
use untyped_alloc::{CPtr, CachePolicy, Invocation, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::RunInfo;
use crate::state::space::Space;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::SpaceId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Gives `pages` pages from the address `start` (bytes) on, all of them mapped and in one
    /// region, new rights. One kernel call a page; in the manager's own space one more for each run of
    /// up to 256 (or for each page, without [`Vmm::protect_in_place`]). Pages that have these rights
    /// already cost none.
    ///
    /// # Errors
    /// [`Error::RightsExceedCeiling`], [`Error::NotMapped`], [`Error::OutsideRegion`],
    /// [`Error::Guard`]; [`Error::Kernel`] when a call was refused: the first `done` pages have the
    /// new rights, the others their old ones.
    pub fn protect(
        &mut self,
        space: SpaceId,
        start: usize,
        pages: usize,
        rights: Rights,
    ) -> Result {
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, start, pages)?;
        let ceiling = region.spec().ceiling;
        if !ceiling.contains(rights) {
            return Err(Error::RightsExceedCeiling { asked: rights, ceiling });
        }
        self.check_mapped(space, range)?;
        self.refill()?;
        self.cut_large(space, range)?;
        self.cut_run(space, range.start().bits())?;
        if let Err(error) = self.cut_run(space, range.end()) {
            self.join_run(space, range.start());
            return Err(error);
        }
        let outcome = self.protect_runs(space, range, rights);
        self.join_in(space, range);
        outcome
    }

    /// Makes a run begin at `address`, if one covers it and begins before. Takes a node.
    pub(crate) fn cut_run(&mut self, space: &'p Space<'p>, address: usize) -> Result {
        let Ok(address) = self.geometry.address(address) else {
            return Ok(());
        };
        let Some(run) = space.runs.borrow().across(address) else {
            return Ok(());
        };
        let first = run.index_of(address);
        let node = self.pools.runs.take().ok_or(Error::OutOfNodes(NodeKind::Run))?;
        let upper = run.part(first, run.frames.count - first);
        let mut runs = space.runs.borrow_mut();
        runs.carve(&run, first, upper.frames.count, &mut None);
        runs.insert(node, upper);
        Ok(())
    }

    /// Protects whole runs, one after the other.
    pub(crate) fn protect_runs(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        rights: Rights,
    ) -> Result {
        let (mut pages_done, mut rest) = (0, Some(range));
        while let Some(part) = rest {
            let Some(run) = space.runs.borrow().first_in(part) else {
                break;
            };
            let page_shift = run.frames.size_bits - self.geometry.page_bits;
            if run.rights != rights {
                let (done, outcome) = self.remap(space, &RunInfo { rights, ..run });
                pages_done += done << page_shift;
                if done != run.frames.count && done != 0 {
                    // There are nodes: the reserve was full when this began.
                    self.cut_run(space, run.address(done).bits())?;
                }
                if done != 0 {
                    space.runs.borrow_mut().set_rights(run.start, rights);
                }
                outcome.map_err(|error| error.after(pages_done))?;
            } else {
                pages_done += run.frames.count << page_shift;
            }
            let past = (run.end() - part.start().bits()) >> self.geometry.page_bits;
            rest = part.part(past, part.pages().saturating_sub(past));
        }
        Ok(())
    }

    /// Gives a run's frames the rights it says; returns how many were done.
    pub(crate) fn remap(&mut self, space: &Space<'p>, run: &RunInfo) -> (usize, Result) {
        let own = core::ptr::eq(space, self.own);
        if own && self.flusher.is_none() {
            return self.renew_all(run);
        }
        let (vspace, bits) = (space.root.get(), run.frames.size_bits);
        let (rights, mut done) = (run.mapped_rights(), 0);
        let mut outcome = Ok(());
        while done < run.frames.count {
            let address = run.start.bits() + (done << bits);
            outcome = self.kernel.page_remap(run.frame(done), vspace, address, rights, run.cache);
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        if own && done != 0 && !self.flush() {
            // There is no known reason to refuse it. If it is, this does it too; in the page table
            // they all have the new rights, so that is what is recorded.
            if let (_, Err(error)) = self.renew_all(&run.part(0, done)) {
                return (done, Err(error));
            }
        }
        (done, outcome.map_err(Error::kernel(Invocation::PageRemap)))
    }

    /// Gives a run's frames, in our own space, the rights it says, by unmapping and mapping each:
    /// between the two it is not there.
    pub(crate) fn renew_all(&mut self, run: &RunInfo) -> (usize, Result) {
        let rights = run.mapped_rights();
        for index in 0..run.frames.count {
            let address = run.address(index).bits();
            if let Err(error) = self.renew(run.frame(index), address, rights, run.cache) {
                return (index, Err(error));
            }
        }
        (run.frames.count, Ok(()))
    }

    pub(crate) fn renew(
        &mut self,
        frame: CPtr,
        address: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> Result {
        let vspace = self.own.root.get();
        self.kernel.page_unmap(frame).map_err(Error::kernel(Invocation::PageUnmap))?;
        // Its place is empty and has its page table, so this cannot be refused; what cannot be is
        // tried twice before the page is lost.
        self.kernel
            .page_map(frame, vspace, address, rights, cache)
            .or_else(|_| self.kernel.page_map(frame, vspace, address, rights, cache))
            .map_err(Error::kernel(Invocation::PageMap))
    }

    /// Joins the runs that begin in `range`, and the one after it, with those before them.
    pub(crate) fn join_in(&mut self, space: &'p Space<'p>, range: PageRange) {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(run) = space.runs.borrow().first_in(part) else {
                break;
            };
            self.join_run(space, run.start);
            let done = (run.end().min(part.end()) - part.start().bits()) >> self.geometry.page_bits;
            rest = part.part(done, part.pages() - done);
        }
        if let Ok(end) = self.geometry.address(range.end()) {
            self.join_run(space, end);
        }
    }
}
