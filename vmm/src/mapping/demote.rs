// SPDX-License-Identifier: BSD-2-Clause
//! Demoting large pages: they are replaced by small ones with the same contents.
//!
//! ```text
//!   own space, for a moment            the space of the large page
//!
//!   ┊ large, by a copied capability    ┊ large           ──►  ┊ 1024 small ones
//!   ┊ temporary slot: each small frame                         ┊ behind a new page table
//! ```
//!
//! Everything that can run out (small frames, the page table, slots, addresses) is taken before the
//! large page is unmapped; so what can fail then is a refused call, and then the large page is
//! mapped again. It is unmapped before it is copied: no write of another thread may come between
//! the two. A touch meanwhile faults, and waits for whoever answers faults.

use core::ops::Range;

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{AllocatedFrames, CPtr, Frames, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extents::Extents;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Replaces the large pages that `range` cuts (at most two) by small ones. Three kernel calls
    /// for each small page.
    ///
    /// # Errors
    /// [`Error::Shared`], [`Error::NotManaged`] when a page cannot be replaced;
    /// [`Error::Allocator`], [`Error::Kernel`]: the page is as it was.
    pub(crate) fn cut_large(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        // As a rule: so it is asked first, and what follows is for large pages alone.
        if self.check_uncut(space, range).is_ok() {
            return Ok(());
        }
        // Both edges before either is cut.
        for edge in [range.start().bits(), range.end()] {
            let at = self.geometry.address(edge).ok();
            let extent = at.and_then(|at| space.extents().across(at));
            if let Some(extent) = extent {
                let index = (edge - extent.start.bits()) >> extent.frames.size_bits;
                if extent.address(index).bits() != edge {
                    self.check_divisible(&extent.part(index, 1))?;
                }
            }
        }
        loop {
            match self.check_uncut(space, range) {
                Err(Error::LargePage { address }) => {
                    self.demote(space, self.geometry.address(address)?)?;
                }
                checked => return checked,
            }
        }
    }

    /// Replaces the large page at `address` by pages of the smallest size.
    pub(crate) fn demote(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let extent = space.extents().at(address);
        let extent = extent.ok_or_else(|| space.not_mapped(address.bits()))?;
        let large = extent.part(extent.index_of(address), 1);
        self.check_divisible(&large)?;
        let bytes = self.bytes_to_cut(&large);
        if bytes > self.alloc.most_frame_bytes() {
            return Err(self.out_of_memory_to_cut(&large, bytes));
        }
        let out = |error: &Error| {
            use untyped_alloc::Error::OutOfMemory;
            let memory = matches!(error, Error::Allocator(OutOfMemory { .. }));
            memory || matches!(error, Error::OutOfNodes(_))
        };
        let demoted = self.under_pressure(|vmm| vmm.try_demote(space, large.start));
        demoted.map_err(|error| match out(&error) {
            true => self.out_of_memory_to_cut(&large, bytes),
            false => error,
        })
    }

    #[cold]
    fn out_of_memory_to_cut(&self, large: &Extent, bytes: usize) -> Error {
        let free_bytes = self.alloc.stats().free_bytes();
        Error::OutOfMemoryToCut { address: large.start.bits(), bytes, free_bytes }
    }

    fn try_demote(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        // Looked up again: pages may have been moved since.
        let extent = space.extents().at(address);
        let extent = extent.ok_or_else(|| space.not_mapped(address.bits()))?;
        let index = extent.index_of(address);
        let large = extent.part(index, 1);
        let mut small = Extents::new();
        let filled = self
            .take_small(space, &large, large.start.bits()..large.end(), &mut small)
            .and_then(|()| {
                self.with_view(&large, |vmm, view| {
                    vmm.swap(space, (extent, index), &mut small, |vmm, reserve, small| {
                        vmm.copy_contents(reserve, &large, small, view)
                    })
                })
            });
        self.free_small(small);
        filled
    }

    /// Gives back small frames that were not put in the place of a large page.
    pub(super) fn free_small(&mut self, mut small: Extents<'p>) {
        while let Some((node, extent)) = small.pop() {
            // In the tree of no space, so that its block is not open.
            node.into_iter().for_each(|node| self.pools.free_extent(node.of_closed_block()));
            self.free_or_defer(extent.frames);
        }
    }

    /// The least memory that small pages in the place of a large one take, with the tables that map
    /// them.
    fn bytes_to_cut(&self, large: &Extent) -> usize {
        let page_bits = self.geometry.page_bits;
        let levels = self.geometry.level_of_frame(large.frames.size_bits);
        let below = self.geometry.levels.iter().skip(levels.map_or(0, |level| level.into()));
        let entries = below.take_while(|level| level.entry_bits != page_bits);
        let tables = entries.map(|level| 1 << (large.frames.size_bits - level.entry_bits));
        (1 << large.frames.size_bits) + (tables.sum::<usize>() << page_bits)
    }

    /// How much memory, in bytes, that is not in use now a request takes which unmaps, decommits,
    /// protects or splits off these pages: as much as small
    /// pages in the place of those large ones that it cuts. 0 where it cuts none. No kernel call.
    ///
    /// # Errors
    /// Those of [`Vmm::region_of_range`]; [`Error::Shared`], [`Error::NotManaged`] when a page
    /// cannot be cut.
    pub fn memory_to_cut(&self, space: crate::SpaceId, pages: impl Into<Pages>) -> Result<usize> {
        let space = self.space(space)?;
        let (_, range) = self.caller_range(space, pages.into())?;
        let (mut bytes, mut last) = (0, None);
        for edge in [range.start().bits(), range.end()] {
            let at = self.geometry.address(edge).ok();
            let Some(extent) = at.and_then(|at| space.extents().across(at)) else { continue };
            let large = extent.part((edge - extent.start.bits()) >> extent.frames.size_bits, 1);
            if large.start.bits() != edge && last != Some(large.start) {
                self.check_divisible(&large)?;
                bytes += self.bytes_to_cut(&large);
                last = Some(large.start);
            }
        }
        Ok(bytes)
    }

    /// Refuses a large page that is not one owner's alone.
    pub(crate) fn check_divisible(&self, large: &Extent) -> Result {
        let address = large.start.bits();
        match large.source {
            Source::Owned if self.refcounts.any_in(&large.frames) => Err(Error::Shared { address }),
            Source::Owned => Ok(()),
            Source::Copy => Err(Error::Shared { address }),
            Source::Borrowed | Source::Physical => Err(Error::NotManaged { address }),
        }
    }

    /// Takes the small frames that are to replace `large` at these addresses of it (bytes). They
    /// will be overwritten as a whole, so dirty ones serve as they are.
    pub(super) fn take_small(
        &mut self,
        space: &Space<'p>,
        large: &Extent,
        addresses: Range<usize>,
        small: &mut Extents<'p>,
    ) -> Result {
        let size_bits = self.geometry.page_bits;
        let mobility = self.mobility_at(space, large.start);
        let end = addresses.end;
        let mut at = offset(large.start, addresses.start - large.start.bits());
        while at.bits() < end {
            let reserve = &mut self.refill_to_take()?;
            let want = (end - at.bits()) >> size_bits;
            let taken = self.alloc_or_prune(|alloc, kernel| {
                alloc.alloc_frames(kernel, size_bits, want, mobility)
            })?;
            let frames = match taken {
                AllocatedFrames::Zeroed(clean) => clean.frames(),
                AllocatedFrames::Dirty(dirty) => dirty.frames(),
            };
            let info = Extent { start: at, frames, ..*large };
            match self.pools.extent(reserve) {
                Ok(node) => {
                    let unneeded = small.insert(node, info);
                    unneeded.into_iter().for_each(|node| self.pools.spare_extent(reserve, node));
                }
                Err(error) => {
                    self.alloc.free_frames(frames)?;
                    return Err(error);
                }
            }
            at = offset(at, info.end() - at.bits());
        }
        Ok(())
    }

    /// Does what takes an address where a large page can be read: it is shared into our own space
    /// for as long as that takes.
    pub(super) fn with_view<T>(
        &mut self,
        large: &Extent,
        work: impl FnOnce(&mut Self, VirtAddr) -> Result<T>,
    ) -> Result<T> {
        let bits = large.frames.size_bits;
        let pages = 1 << (bits - self.geometry.page_bits);
        let options =
            RegionOptions::new(pages).named("view of large").aligned(bits).kind(Kind::Bookkeeping);
        let reserve = &mut self.refill()?;
        let region = self.place_region(reserve, self.own, &options)?;
        let view = self.view(reserve, large, region);
        let done = view.and_then(|view| work(self, view));
        let reserve = &mut Reserve::as_it_is();
        self.free_region_or_quarantine(reserve, self.own, region);
        done
    }

    /// Copies what is in a large page, which is mapped at `view`, to small frames.
    pub(super) fn copy_contents(
        &mut self,
        reserve: &mut Reserve,
        large: &Extent,
        small: &Extents<'p>,
        view: VirtAddr,
    ) -> Result {
        for extent in small.iter() {
            for index in 0..extent.frames.count {
                let from = view.bits() + (extent.address(index).bits() - large.start.bits());
                self.copy_frame(reserve, extent.frame(index), from)?;
            }
        }
        Ok(())
    }

    /// Maps a large page in a region of our own as well; returns where.
    fn view(
        &mut self,
        reserve: &mut Reserve,
        large: &Extent,
        region: &'p Region<'p>,
    ) -> Result<VirtAddr> {
        let frames = self.copy_frames(reserve, large)?;
        let (start, source) = (region.start(), Source::Copy);
        let view = Extent { start, frames, rights: Rights::READ, cow: false, source, ..*large };
        self.record_extent(reserve, self.own, view)?;
        self.map_or_free_extent(reserve, self.own, view)?;
        Ok(start)
    }

    /// Fills one small frame, at a temporary slot, with what is mapped at `from`.
    fn copy_frame(&mut self, reserve: &mut Reserve, frame: CPtr, from: usize) -> Result {
        let at = self.map_temporarily(reserve, TempSlot::Target, frame)?;
        self.kernel.copy(at, from, self.geometry.page_bytes());
        self.unmap_temporary(TempSlot::Target)
    }

    /// Unmaps the large page that an extent has there, fills small ones with what is in it, and maps
    /// those in its place. Where filling them fails, all is as it was.
    pub(super) fn swap(
        &mut self,
        space: &'p Space<'p>,
        (extent, index): (Extent, usize),
        small: &mut Extents<'p>,
        fill: impl FnOnce(&mut Self, &mut Reserve, &Extents<'p>) -> Result,
    ) -> Result {
        let large = extent.part(index, 1);
        // 1. All that can run out: a table, a node for what is left of the extent, and one to
        //    remember the large page by.
        let reserve = &mut self.refill()?;
        // The table that the small pages need cannot be mapped yet, but is made ready.
        if small.iter().next().is_some() {
            let level = self.geometry.levels.len() as u8 - 1;
            let table = self.take_table(None, level)?;
            self.alloc.free_table(table, level)?;
        }
        let (spare, record) = (self.pools.extent(reserve).ok(), self.pools.extent(reserve).ok());
        let nodes = spare.zip(record).ok_or(Error::OutOfNodes(NodeKind::Extent));
        // 2. The large page goes, and is copied. Until it is back, or the small ones are there, a
        //    touch faults.
        let copied = nodes.and_then(|(_, record)| {
            self.page_unmap(space, large.mapped(0))?;
            let copied = fill(self, reserve, small);
            if copied.is_err() {
                // It is recorded still. Where this is refused too, a fault maps it, or `trim` does.
                let (page, at) = (large.mapped(0), large.start.bits());
                let mapped = self.page_map(space, (page, at), large.mapped_rights(), large.cache);
                space.undone.pages.set(space.undone.pages.get() || mapped.is_err());
            }
            copied.map(|()| record)
        });
        let mut spare = spare;
        let record = match copied {
            Ok(record) => record,
            Err(error) => {
                for node in [spare, record].into_iter().flatten() {
                    self.pools.spare_extent(reserve, node);
                }
                return Err(error);
            }
        };
        self.record_unmapped(space, &large);
        let unlinked = space.extents_mut().remove_range(&extent, index, 1, &mut spare);
        self.spare_unlinked(reserve, space, unlinked);
        spare.into_iter().for_each(|node| self.pools.spare_extent(reserve, node));
        // 3. The small ones are recorded where the large one was, and mapped nowhere yet.
        while let Some((node, piece)) = small.pop() {
            if let Some(node) = node {
                self.enter_extent(reserve, space, node.of_closed_block(), piece);
            }
        }
        let range = self.geometry.range(
            Pages::at(large.start.bits())
                .count(1 << (large.frames.size_bits - self.geometry.page_bits)),
        )?;
        // 4. They are mapped. Only then is the large frame freed: it still has the contents.
        let mapped = self.map_small(space, range);
        let back = match mapped {
            Ok(()) => false,
            Err((_, mapped_end)) => self.unmap_small(space, range, mapped_end),
        };
        match back {
            // The small ones are gone; the large one still has the contents.
            true => {
                self.pools.free_extent(record);
                self.remap_large(space, large);
            }
            false => {
                self.record_cut(space, record, &large);
                self.owner_gone(large.frames);
            }
        }
        mapped.map_err(|(error, _)| error)
    }

    /// Maps the small pages of a range. Fails with the error and up to where they are mapped.
    fn map_small(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
    ) -> Result<(), (Error, VirtAddr)> {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let mut reserve = self.refill().map_err(|error| (error, extent.start))?;
            self.map_extent(&mut reserve, space, extent)?;
        }
        self.join_in(space, range);
        Ok(())
    }

    /// Undoes [`Vmm::map_small`], and frees the small frames; says whether it could. Where the
    /// kernel refuses that, the small ones stay, which have the contents too: a fault maps those
    /// that are not mapped, or `trim` does.
    fn unmap_small(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        mapped_end: VirtAddr,
    ) -> bool {
        let done = (mapped_end.bits() - range.start().bits()) >> self.geometry.page_bits;
        let mut cursor = range.part(0, done).map(ExtentCursor::over);
        let mut pieces = core::iter::from_fn(|| cursor.as_mut()?.next(space)).map(|one| one.part());
        let refused = pieces.any(|piece| {
            (0..piece.frames.count).any(|at| self.page_unmap(space, piece.mapped(at)).is_err())
        });
        let reserve = &mut Reserve::as_it_is();
        if refused {
            space.undone.pages.set(true);
            let rest = range.part(done, range.pages() - done);
            let mut cursor = rest.map(ExtentCursor::over);
            while let Some(visited) = cursor.as_mut().and_then(|cursor| cursor.next(space)) {
                self.restore_extent(reserve, space, visited.part());
            }
            return false;
        }
        let mut cursor = range.part(0, done).map(ExtentCursor::over);
        while let Some(visited) = cursor.as_mut().and_then(|cursor| cursor.next(space)) {
            self.record_unmapped(space, &visited.part());
        }
        self.free_unused_in(space, range);
        self.try_free_empty_tables_in(space, range);
        true
    }

    /// Maps a large page again that was unmapped a moment ago.
    fn remap_large(&mut self, space: &'p Space<'p>, large: Extent) {
        let reserve = &mut Reserve::as_it_is();
        let Ok(node) = self.pools.extent(reserve) else { return };
        self.enter_extent(reserve, space, node, large);
        self.restore_extent(reserve, space, large);
    }

    /// What frames a region got: how many of its pages lie in pages larger than the smallest.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`].
    pub fn large_pages_in(&self, region: crate::RegionId) -> Result<usize> {
        let (space, node) = self.region(region)?;
        let Some(range) = self.usable(node) else { return Ok(0) };
        let (mut pages, mut cursor) = (0, ExtentCursor::over(range));
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            let Frames { count, size_bits, .. } = extent.frames;
            if size_bits != self.geometry.page_bits {
                pages += count << (size_bits - self.geometry.page_bits);
            }
        }
        Ok(pages)
    }
}
