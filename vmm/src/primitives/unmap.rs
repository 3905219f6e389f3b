// SPDX-License-Identifier: BSD-2-Clause
//! Unmapping frames, and recording that.

use page_tables::PageRange;
use untyped_alloc::{CPtr, Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Piece, Visited};
use crate::state::extent_node::ExtentNode;
use crate::state::extents::Extents;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::window::{numbers, BLOCK_PAGES};
use crate::types::error::{Error, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Refuses what [`Vmm::check_shareable`] refuses, and pages whose contents are not the manager's
    /// to give: such as were asked for by physical address.
    pub(crate) fn check_managed(&self, space: &Space<'p>, range: PageRange) -> Result<bool> {
        let any_cow = self.check_shareable(space, range)?;
        match self.first_physical(space, range) {
            Some(address) => Err(Error::NotManaged { address }),
            None => Ok(any_cow),
        }
    }

    /// The first page in a range that was asked for by its physical address, or is shared of such.
    pub(crate) fn first_physical(&self, space: &Space<'p>, range: PageRange) -> Option<usize> {
        if !self.any_physical() {
            return None;
        }
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, first, count }) = cursor.next(space) {
            let mut indices = first..first + count;
            let found = indices.find(|&it| self.is_physical(extent.frame(it), extent.source));
            if let Some(index) = found {
                return Some(extent.address(index).bits());
            }
        }
        None
    }

    /// Refuses a range with holes, cut large pages, or frames that the caller brought: by what is
    /// met first. Returns whether a page of it is under copy-on-write.
    pub(crate) fn check_shareable(&self, space: &Space<'p>, range: PageRange) -> Result<bool> {
        let (mut at, mut any_cow) = (range.start().bits(), false);
        let mut cursor = ExtentCursor::over(range);
        while let Some(visited) = cursor.next(space) {
            let part = visited.part();
            if part.start.bits() > at {
                return Err(space.not_mapped(at));
            }
            if part.frames.size_bits > self.geometry.page_bits {
                let last = part.address(part.frames.count - 1);
                let cut_after = (part.end() > range.end()).then_some(last);
                let cut = if part.start.bits() < at { Some(part.start) } else { cut_after };
                if let Some(page) = cut {
                    return Err(Error::LargePage { address: page.bits() });
                }
            }
            if part.source == Source::Borrowed {
                return Err(Error::NotManaged { address: visited.extent.start.bits() });
            }
            any_cow |= part.cow;
            at = visited.extent.end();
        }
        if at < range.end() {
            return Err(space.not_mapped(at));
        }
        Ok(any_cow)
    }

    /// Refuses a range in which a page is not mapped.
    pub(crate) fn check_mapped(&self, space: &Space<'p>, range: PageRange) -> Result {
        let (extents, mut rest) = (space.extents(), Some(range));
        while let Some(part) = rest {
            let address = part.start().bits();
            let extent = extents.at(part.start()).ok_or_else(|| space.not_mapped(address))?;
            rest = part.from(extent.end());
        }
        Ok(())
    }

    /// Refuses a range that cuts a large page.
    pub(crate) fn check_uncut(&self, space: &Space<'p>, range: PageRange) -> Result {
        let cut = [range.start().bits(), range.end()].into_iter().find_map(|edge| {
            let edge = self.geometry.address(edge).ok()?;
            let extent = space.extents().across(edge)?;
            let page = extent.address(extent.index_of(edge));
            (page != edge && edge.is_aligned(self.geometry.page_bits)).then_some(page)
        });
        cut.map_or(Ok(()), |page| Err(Error::LargePage { address: page.bits() }))
    }

    /// Unmaps whatever is mapped in `range`.
    pub(crate) fn unmap_range(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        range: PageRange,
    ) -> Result {
        let (mut done, mut cursor) = (0, ExtentCursor::over(range));
        while let Some(piece) = cursor.next_piece(space) {
            let unmapped = match piece {
                Piece::Window(window) => {
                    let pages = window.pages_in(range.start().bits()..range.end());
                    self.unmap_in_window(space, window, pages)
                }
                Piece::Extent(Visited { extent, first, count }) => {
                    self.unmap_part(reserve, space, extent, first, count)
                }
            };
            done += unmapped.map_err(|(error, pages)| error.after(done + pages))?;
        }
        self.prune_tables(space);
        Ok(())
    }

    /// As [`Vmm::unmap_range`], for one page, which is likely to be an extent of its own.
    pub(crate) fn unmap_only(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        page: PageRange,
    ) -> Result {
        match self.unmap_single(space, page) {
            Ok(unmapped) => unmapped,
            Err(false) => Ok(()),
            Err(true) => self.unmap_range(reserve, space, page),
        }
    }

    /// Unmaps a page that is an extent of its own, of the space's own frames: it is found and taken
    /// out with one search, and needs no node. `Err` if it is none, and nothing was done: whether
    /// something else is mapped there.
    #[inline(never)]
    pub(crate) fn unmap_single(
        &mut self,
        space: &'p Space<'p>,
        page: PageRange,
    ) -> Result<Result, bool> {
        let (start, size_bits) = (page.start(), self.geometry.page_bits);
        let mut extents = space.extents_mut();
        let single = extents.single_at(start, size_bits)?;
        let frames = Frames { first: single.frame, count: 1, size_bits };
        if let Err(refusal) = self.page_unmap(space, (frames.first, Source::Owned)) {
            return Ok(Err(Error::from(refusal)));
        }
        let unlinked = single.take_out(self.geometry.page_bytes());
        drop(extents);
        self.free_unlinked(space, unlinked);
        let deepest = self.geometry.levels.len() as u8 - 1;
        space.shadow.borrow_mut().release_entries(&self.geometry, deepest, start, 1);
        space.mapped_pages.set(space.mapped_pages.get() - 1);
        self.owner_gone(frames);
        self.prune_tables(space);
        Ok(Ok(()))
    }

    /// Unmaps pages of a window, number n of its block where bit n is set; returns how many of the
    /// smallest pages that were. Fails with the error and how many were unmapped before it.
    #[inline(never)]
    pub(crate) fn unmap_in_window(
        &mut self,
        space: &'p Space<'p>,
        node: &'p ExtentNode<'p>,
        pages: u16,
    ) -> Result<usize, (Error, usize)> {
        let (mut unmapped, mut outcome) = (0u16, Ok(()));
        // What must be known to free them, as the window may be gone by then.
        let mut freed = [(CPtr::NULL, Source::Copy); BLOCK_PAGES];
        let Some(first) = numbers(pages).find_map(|number| node.page(number)) else { return Ok(0) };
        for number in numbers(pages) {
            let Some((frame, source)) = node.frame_of_page(number) else { continue };
            outcome = match (source, node.page(number)) {
                (Source::Copy, Some(page)) => self.unmap_copy(space, &page),
                _ => self.page_unmap(space, (frame, source)).map_err(Error::from),
            };
            if outcome.is_err() {
                break;
            }
            freed[number] = (frame, source);
            unmapped |= 1 << number;
        }
        let entries = unmapped.count_ones() as usize;
        let done = entries << (first.frames.size_bits - self.geometry.page_bits);
        if entries != 0 {
            // A block lies below one table.
            self.release_entries(space, &first, entries);
            let unlinked = space.extents_mut().remove_pages(node, unmapped);
            self.free_unlinked(space, unlinked);
        }
        for number in numbers(unmapped) {
            let (frame, source) = freed[number];
            let frames = Frames { first: frame, ..first.frames };
            self.free_unmapped(&Extent { frames, source, ..first });
        }
        outcome.map(|()| done).map_err(|error| (error, done))
    }

    /// Unmaps `count` frames of an extent from number `first` on; returns how many of the smallest
    /// pages that were. Fails with the error and how many were unmapped before it.
    pub(crate) fn unmap_part(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
        first: usize,
        count: usize,
    ) -> Result<usize, (Error, usize)> {
        // The node may be needed only after a refused call in the middle, but must be there then.
        let mut spare = match first != 0 || first + count != extent.frames.count || count > 1 {
            true => self.pools.extent(reserve).ok(),
            false => None,
        };
        if spare.is_none() && Extents::needs_spare(&extent, first, count) {
            return Err((Error::OutOfNodes(crate::NodeKind::Extent), 0));
        }
        let mut done = 0;
        let mut outcome = Ok(());
        while done < count {
            let next = extent.frame(first + done);
            let deleted = self.delete_deferred(extent.source, next, count - done);
            if deleted != 0 {
                done += deleted;
                continue;
            }
            outcome = self.unmap_frame(space, &extent, first + done);
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        if done != 0 {
            let unmapped = extent.part(first, done);
            self.leave_temp_slots(unmapped.frames.first, done);
            self.record_unmapped(space, &unmapped);
            let unlinked = space.extents_mut().remove_range(&extent, first, done, &mut spare);
            self.free_unlinked(space, unlinked);
            self.free_unmapped(&unmapped);
        }
        spare.into_iter().for_each(|node| self.pools.spare_extent(reserve, node));
        let pages = done << (extent.frames.size_bits - self.geometry.page_bits);
        outcome.map(|()| pages).map_err(|error| (error, pages))
    }

    #[inline]
    fn unmap_frame(&mut self, space: &Space<'p>, extent: &Extent, index: usize) -> Result {
        match extent.source {
            Source::Copy => self.unmap_copy(space, &extent.part(index, 1)),
            _ => Ok(self.page_unmap_of_run(space, extent.mapped(index))?),
        }
    }

    /// Unmaps a page and deletes its capability, a copy; where that is refused it is mapped again.
    fn unmap_copy(&mut self, space: &Space<'p>, piece: &Extent) -> Result {
        self.page_unmap(space, piece.mapped(0))?;
        let deleted = self.delete_copy(piece.frames.first);
        if deleted.is_err() {
            self.restore_copy(space, piece);
        }
        deleted
    }

    /// Maps a page again whose capability, a copy, the kernel would not delete. If that is refused
    /// as well, it stays recorded: a fault maps it, another try deletes it.
    #[cold]
    pub(crate) fn restore_copy(&mut self, space: &Space<'p>, piece: &Extent) {
        let to = (piece.mapped(0), piece.start.bits());
        if self.page_map(space, to, piece.mapped_rights(), piece.cache).is_err() {
            space.undone.pages.set(true);
        }
    }
}
