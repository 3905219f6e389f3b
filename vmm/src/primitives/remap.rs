// SPDX-License-Identifier: BSD-2-Clause
//! New rights for pages where they are, and the TLB of the own space.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Kernel, KernelError, Memory, Refused, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extents::Extents;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, NodeKind, Result};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Has the processor forget what it knows of the space that runs; says whether it did.
    fn flush(&mut self) -> bool {
        self.flusher.is_some_and(|flusher| self.kernel.tcb_resume(flusher.slot()).is_ok())
    }

    /// Gives a page that is recorded as mapped its mapping or its rights again: the kernel refused
    /// them before, or they are there since another fault was answered.
    pub(crate) fn map_recorded(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let before = self.kernel.counts().total();
        let mapped = self.map_as_recorded(space, address);
        self.calls_to_map_recorded += self.kernel.counts().total() - before;
        mapped
    }

    fn map_as_recorded(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let extent = space.extents().at(address);
        let Some(extent) = extent else { return Ok(()) };
        let piece = extent.part(extent.index_of(address), 1);
        if piece.frames.size_bits != self.geometry.page_bits {
            // A table of small pages that were to replace it may not have gone.
            let pages = 1 << (piece.frames.size_bits - self.geometry.page_bits);
            let pages = Pages::at(piece.start.bits()).count(pages);
            self.free_empty_tables_in(space, self.geometry.range(pages)?)?;
        }
        // As a rule it is mapped by now: several threads touched it before the first was answered.
        self.remap_or_map(space, &piece)
    }

    /// Gives every page of a space that is recorded its mapping and its rights again. One kernel
    /// call a page: for a space in which the kernel refused to do so before.
    pub(crate) fn remap_recorded(&mut self, space: &'p Space<'p>) -> Result {
        let mut next = space.extents().iter().next();
        while let Some(extent) = next {
            for index in 0..extent.frames.count {
                self.map_recorded(space, extent.address(index))?;
            }
            next = space.extents().iter().find(|later| later.start.bits() >= extent.end());
        }
        if core::ptr::eq(space, self.own) {
            self.flush();
        }
        space.undone.pages.set(false);
        Ok(())
    }

    /// Protects whole extents, one after the other.
    pub(crate) fn protect_extents(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
        rights: Rights,
    ) -> Result {
        let (mut pages_done, mut cursor) = (0, ExtentCursor::over(range));
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let page_shift = extent.frames.size_bits - self.geometry.page_bits;
            if extent.rights != rights {
                let (done, outcome) = self.remap(space, &Extent { rights, ..extent });
                pages_done += done << page_shift;
                if done != extent.frames.count && done != 0 {
                    // Refused in the midst, which ends it: so this happens once.
                    self.split_extent(reserve, space, extent.address(done).bits())?;
                }
                if done != 0 {
                    space.extents_mut().set_rights(extent.start, rights);
                }
                outcome.map_err(|error| error.after(pages_done))?;
            } else {
                pages_done += extent.frames.count << page_shift;
            }
        }
        Ok(())
    }

    /// Protects one frame of an extent, number `index`, which gets a record of its own.
    pub(crate) fn protect_page(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: &Extent,
        index: usize,
        rights: Rights,
    ) -> Result {
        let page = Extent { rights, ..extent.part(index, 1) };
        // Taken now, so that recording cannot fail: one for the page, one for what is behind it.
        let mut nodes = [None; 2];
        let wanted = match extent.frames.count {
            1 => 0,
            _ => 1 + usize::from(Extents::needs_spare(extent, index, 1)),
        };
        for node in &mut nodes[..wanted] {
            *node = self.pools.extent(reserve).ok();
        }
        let [mut node, mut spare] = nodes;
        let (done, outcome) = match node.iter().chain(&spare).count() == wanted {
            true => self.remap(space, &page),
            false => (0, Err(Error::OutOfNodes(NodeKind::Extent))),
        };
        if done != 0 {
            match node.take() {
                None => space.extents_mut().set_rights(page.start, rights),
                Some(node) => {
                    let unlinked = space.extents_mut().remove_range(extent, index, 1, &mut spare);
                    self.spare_unlinked(reserve, space, unlinked);
                    self.enter_extent(reserve, space, node, page);
                }
            }
        }
        for unneeded in node.into_iter().chain(spare) {
            self.pools.spare_extent(reserve, unneeded);
        }
        outcome.map_err(|error| error.after(done))
    }

    /// Gives an extent's frames the rights it says; returns how many were done.
    pub(crate) fn remap(&mut self, space: &Space<'p>, extent: &Extent) -> (usize, Result) {
        let own = core::ptr::eq(space, self.own);
        if own && self.flusher.is_none() {
            return self.unmap_then_map_all(extent);
        }
        let bits = extent.frames.size_bits;
        let (rights, mut done) = (extent.mapped_rights(), 0);
        let mut outcome = Ok(());
        while done < extent.frames.count {
            let address = extent.start.bits() + (done << bits);
            outcome = self.page_remap(space, (extent.mapped(done), address), rights, extent.cache);
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        if own && done != 0 && !self.flush() {
            // There is no known reason to refuse it. If it is, this does it too; in the page table
            // they all have the new rights, so that is what is recorded.
            if let (_, Err(error)) = self.unmap_then_map_all(&extent.part(0, done)) {
                return (done, Err(error));
            }
        }
        (done, outcome.map_err(Error::from))
    }

    /// Gives a page, at which a write has just faulted, the right to that: one kernel call, in our
    /// own space too. The processor forgets with a fault what it knew of the page. Who has looked
    /// at it since may fault once more, which gives it the rights that are recorded again.
    pub(crate) fn remap_after_fault(&mut self, space: &Space<'p>, page: &Extent) -> Result {
        self.remap_or_map(space, page)
    }

    /// Gives a recorded page its rights, or its mapping where it has none.
    fn remap_or_map(&mut self, space: &Space<'p>, page: &Extent) -> Result {
        let to = (page.mapped(0), page.start.bits());
        let (rights, cache) = (page.mapped_rights(), page.cache);
        if !self.make_deferred(page)? {
            match self.page_remap(space, to, rights, cache) {
                // It was recorded, and is not mapped (any more).
                Err(Refused { error: KernelError::IllegalOperation, .. }) => {}
                remapped => return remapped.map_err(Error::from),
            }
        }
        self.page_map(space, to, rights, cache).map_err(Error::from)
    }

    /// Gives an extent's frames, in our own space, the rights it says, by unmapping and mapping
    /// each: between the two it is not there.
    fn unmap_then_map_all(&mut self, extent: &Extent) -> (usize, Result) {
        let rights = extent.mapped_rights();
        for index in 0..extent.frames.count {
            let address = extent.address(index).bits();
            if let Err(error) =
                self.unmap_then_map(extent.frame(index), address, rights, extent.cache)
            {
                self.own.undone.pages.set(true);
                return (index, Err(error));
            }
        }
        (extent.frames.count, Ok(()))
    }

    fn unmap_then_map(
        &mut self,
        frame: CPtr,
        address: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> Result {
        let vspace = self.own.root.get();
        self.kernel.page_unmap(frame)?;
        // Its place is empty and has its page table, so this cannot be refused; what cannot be is
        // tried twice before the page is lost.
        self.kernel
            .page_map(frame, vspace, address, rights, cache)
            .or_else(|_| self.kernel.page_map(frame, vspace, address, rights, cache))
            .map_err(Error::from)
    }
}
