// SPDX-License-Identifier: BSD-2-Clause
//! Mapping the frames of extents that are recorded already.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps an extent that is recorded and not mapped yet. Where that fails it is unmapped, taken
    /// out of the record, and its frames are freed.
    pub(crate) fn map_or_free_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
    ) -> Result {
        self.map_extent(reserve, space, extent).map_err(|(error, mapped_end)| {
            let pages = (extent.end() - extent.start.bits()) >> self.geometry.page_bits;
            if let Ok(range) = self.geometry.range(Pages::at(extent.start.bits()).count(pages)) {
                self.roll_back(reserve, space, range, mapped_end);
            }
            error
        })
    }

    /// Maps one extent. Fails with the error and the address up to which pages are mapped.
    pub(crate) fn map_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
    ) -> Result<(), (Error, VirtAddr)> {
        let (bits, step_bits) = (extent.frames.size_bits, extent.step_bits());
        let level = self
            .geometry
            .level_of_frame(bits)
            .ok_or((Error::NoSuchFrameSize { bits }, extent.start))?;
        let left = self.leave_direct_map(extent.cache, extent.frames);
        left.map_err(|error| (error, extent.start))?;
        let rights = extent.mapped_rights();
        let own = extent.source != Source::Copy;
        let mut index = 0;
        // A table's span at a time: first its tables, then its pages, then the record of both.
        while index < extent.frames.count {
            let start = extent.address(index);
            self.ensure_tables(reserve, space, start, level).map_err(|error| (error, start))?;
            let count = match bits == self.geometry.page_bits {
                true => {
                    let end = self.geometry.table_end(level, start).min(extent.end());
                    (end - start.bits()).div_ceil(1 << step_bits)
                }
                // Each larger page may have an empty table in its place, which is in the way.
                false => 1,
            };
            // In a store there is nothing to do for any of them.
            let mut done = if space.store.get() { count } else { 0 };
            let mut outcome = Ok(());
            if own && done + 1 < count {
                // In a loop that has nothing else at hand, with fewer instructions a page.
                let run = (extent.frame(index), start.bits());
                outcome = self.pages_map_own(space, run, (&mut done, count, step_bits), &extent);
            }
            while done < count && outcome.is_ok() {
                let address = start.bits() + (done << step_bits);
                let frame = extent.frame(index + done);
                outcome = match own {
                    true => self.page_map_own(space, (frame, address), rights, extent.cache),
                    false => {
                        let page = (frame, extent.source);
                        self.page_map(space, (page, address), rights, extent.cache)
                    }
                };
                if outcome.is_err() {
                    break;
                }
                done += 1;
            }
            // Recorded for those that are mapped, also where one was refused: undoing goes by this.
            space.shadow.borrow_mut().use_entries(&self.geometry, level, start, done);
            space
                .mapped_pages
                .set(space.mapped_pages.get() + (done << (bits - self.geometry.page_bits)));
            outcome.map_err(Error::from).map_err(|error| (error, extent.address(index + done)))?;
            index += count;
        }
        Ok(())
    }

    /// Maps an extent again that is recorded and was unmapped a moment ago. What the kernel refuses
    /// to map now stays recorded, so that no frame is lost and no address used twice: a fault maps
    /// it, [`Vmm::trim`] does, and unmapping it, which succeeds for what is not mapped, gives it
    /// back.
    pub(crate) fn restore_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
    ) {
        let Err((_, mapped_end)) = self.map_extent(reserve, space, extent) else { return };
        space.undone.pages.set(true);
        let done = extent.index_of(mapped_end);
        self.record_mapped(space, &extent.part(done, extent.frames.count - done));
    }

    /// Brings the counts of page-table entries up to date for frames that count as mapped now.
    pub(crate) fn record_mapped(&self, space: &Space<'p>, extent: &Extent) {
        let Some(level) = self.geometry.level_of_frame(extent.frames.size_bits) else { return };
        let mut shadow = space.shadow.borrow_mut();
        for index in 0..extent.frames.count {
            shadow.use_entries(&self.geometry, level, extent.address(index), 1);
        }
        let pages = extent.frames.count << (extent.frames.size_bits - self.geometry.page_bits);
        space.mapped_pages.set(space.mapped_pages.get() + pages);
    }

    /// Undoes a mapping of `range` that got as far as `mapped_end`.
    pub(crate) fn roll_back(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
        mapped_end: VirtAddr,
    ) {
        let done = (mapped_end.bits() - range.start().bits()) >> self.geometry.page_bits;
        if let Some(unmapped) = range.part(done, range.pages() - done) {
            self.free_unused_from(space, unmapped);
        }
        if let Some(mapped) = range.part(0, done) {
            // What the kernel will not unmap stays recorded as mapped, and is given up.
            if self.unmap_range(reserve, space, mapped).is_err() {
                self.abandon(space, mapped);
            }
        }
        self.try_free_empty_tables_in(space, range);
    }

    /// Marks what is left in a range, which is all of an operation that failed, as given up.
    pub(crate) fn abandon(&mut self, space: &'p Space<'p>, range: PageRange) {
        space.undone.abandoned.set(true);
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            space.extents_mut().set_abandoned(extent.start);
        }
    }

    /// Unmaps what was given up in a space.
    pub(crate) fn unmap_abandoned(&mut self, space: &'p Space<'p>) -> Result {
        loop {
            let next = space.extents().iter().find(|extent| extent.abandoned);
            let Some(extent) = next else { break };
            let reserve = &mut Reserve::as_it_is();
            self.unmap_part(reserve, space, extent, 0, extent.frames.count)
                .map_err(|(error, _)| error)?;
        }
        space.undone.abandoned.set(false);
        Ok(())
    }
}
