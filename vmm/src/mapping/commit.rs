// SPDX-License-Identifier: BSD-2-Clause
//! Committing memory: frames allocated, recorded and mapped.
//!
//! ```text
//!   alloc_extents   frames in extents, recorded; dirty ones are zeroed    fails: freed
//!   map_extents     the page tables that are missing, and the pages       fails: unmapped, freed
//! ```
//!
//! One page takes a shorter way, `commit_page`, and a page behind the last one a still shorter one:
//! see `append.rs`.

use core::ops::Range;

use page_tables::{PageRange, Table, VirtAddr};
use untyped_alloc::Error as AllocatorError;
use untyped_alloc::{AllocatedFrames, CachePolicy, Frames, Kernel, Memory, Mobility, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extent_node::ExtentNode;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::site::Site;
use crate::state::space::Space;
use crate::state::window::Window;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::options::PageSize;
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

/// Where a page that is about to be mapped will be recorded.
enum Record<'p> {
    /// At the end of this extent.
    Extent(&'p ExtentNode<'p>),
    /// In the window of this node, which is an extent of one page until it is in this one.
    Window(&'p ExtentNode<'p>, Option<&'p Window<'p>>),
    /// In a node of its own, with what is known of the room around it.
    Node(&'p ExtentNode<'p>, Option<Range<usize>>),
}

/// Where a page is recorded by itself.
pub(crate) struct Single<'p> {
    pub node: &'p ExtentNode<'p>,
    /// The page table that it is in.
    pub table: &'p Table<'p>,
    /// The addresses around the node up to where others are, in bytes, if they were looked for.
    pub room: Option<Range<usize>>,
}

/// What pages are to be, and what batches their frames come from.
#[derive(Clone, Copy)]
struct Pages {
    rights: Rights,
    cache: CachePolicy,
    size: PageSize,
    mobility: Mobility,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps fresh memory in `range` of `region`, where nothing is mapped, in pages of `size`. A
    /// failure leaves everything as it was.
    pub(crate) fn commit(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        range: PageRange,
        size: PageSize,
    ) -> Result {
        if range.pages() == 1 {
            let site = self.site(space, region);
            return self.commit_one(&site, range);
        }
        self.check_quota(space, Resource::Frames, range.pages())?;
        self.check_memory(range)?;
        let RegionSpec { rights, cache, .. } = region.spec();
        let pages = Pages { rights, cache, size, mobility: self.mobility(space, region) };
        let allocated = self.alloc_extents(space, range, pages);
        allocated.map_err(|error| self.with_amounts(range, error))?;
        self.map_extents(space, range)
    }

    /// The error of a request for all of `range`, of which one block was missing.
    #[cold]
    pub(super) fn with_amounts(&self, range: PageRange, error: Error) -> Error {
        match error {
            Error::Allocator(AllocatorError::OutOfMemory { size_bits, .. }) => {
                self.out_of_memory(range, size_bits)
            }
            other => other,
        }
    }

    /// The error of a request for all of `range`, with what is free now.
    #[cold]
    fn out_of_memory(&self, range: PageRange, size_bits: u8) -> Error {
        let bytes = range.end() - range.start().bits();
        let free_bytes = self.alloc.stats().free_bytes();
        AllocatorError::OutOfMemory { size_bits, bytes, free_bytes }.into()
    }

    /// Refuses more memory than there can be, before anything is done for it. O(1) where it does
    /// not.
    pub(super) fn check_memory(&self, range: PageRange) -> Result {
        let size_bits = self.geometry.page_bits;
        match range.pages() > self.alloc.most_frame_bytes() >> size_bits {
            true => Err(self.out_of_memory(range, size_bits)),
            false => Ok(()),
        }
    }

    /// As [`Vmm::commit`], for one page.
    #[inline]
    pub(crate) fn commit_one(&mut self, site: &Site<'p>, page: PageRange) -> Result {
        self.check_quota(site.space, Resource::Frames, 1)?;
        let reserve = &mut self.refill_to_take()?;
        self.commit_page(reserve, site, page)
    }

    /// What must be known of a region to commit pages in it.
    pub(crate) fn site(&self, space: &'p Space<'p>, region: &'p Region<'p>) -> Site<'p> {
        let spec = region.spec();
        let RegionSpec { rights, cache, .. } = spec;
        let (low, high) = self.between_guards_as(region, &spec);
        let mobility = self.mobility_as(space, region, &spec);
        let (callers, strided) = (spec.is_callers(), region.arena.get().is_some());
        let changes = space.changes();
        Site { space, region, low, high, rights, cache, mobility, callers, strided, changes }
    }

    /// The site of a region; it is kept if a caller may map its pages one by one.
    #[inline]
    pub(crate) fn keep_site(&mut self, space: &'p Space<'p>, region: &'p Region<'p>) -> Site<'p> {
        let site = self.site(space, region);
        if self.short_cuts && site.callers {
            self.site = Some(site);
        }
        site
    }

    /// The site that is kept, if it is the one of the page at `start` (bytes) of a space.
    #[inline(always)]
    pub(crate) fn kept_site(&self, space: SpaceId, start: usize) -> Option<&Site<'p>> {
        self.site.as_ref().filter(|site| site.has(space, start) && site.is_valid())
    }

    /// Maps a clear frame at `page` of `region`, where nothing is mapped: the commonest request,
    /// and so the shortest way. Its frame is mapped first and recorded then, so nothing is to be
    /// taken out of any record where the kernel refuses. A page that goes on where an extent ends
    /// makes that one longer and costs no node. A failure leaves everything as it was.
    pub(crate) fn commit_page(
        &mut self,
        reserve: &mut Reserve,
        site: &Site<'p>,
        page: PageRange,
    ) -> Result {
        let (size_bits, mobility) = (self.geometry.page_bits, site.mobility);
        let taken = self
            .alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, size_bits, 1, mobility))?;
        let (clean, came_clean) = match taken {
            AllocatedFrames::Zeroed(clean) => (clean, true),
            AllocatedFrames::Dirty(dirty) => (self.zero_frames(reserve, dirty)?, false),
        };
        self.commit_frame(reserve, site, page, (clean.frames(), came_clean))
    }

    /// Maps one frame, which holds what the page is to begin with, at `page` of `region`. `more`
    /// says whether clean frames for other pages may be at hand. A failure frees it.
    #[inline]
    pub(super) fn commit_frame(
        &mut self,
        reserve: &mut Reserve,
        site: &Site<'p>,
        page: PageRange,
        (frames, more): (Frames, bool),
    ) -> Result {
        let extent = site.page(page.start(), frames);
        match self.map_page(reserve, site, &extent) {
            Ok(None) => {}
            Ok(Some(single)) => {
                let more = more || single.node.is_window();
                self.open_block(site, single, page.start(), more);
            }
            Err(error) => {
                self.free_unused(&extent);
                self.try_free_empty_tables_in(site.space, page);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns where the page is recorded by itself, unless it made an extent longer.
    #[inline]
    fn map_page(
        &mut self,
        reserve: &mut Reserve,
        site: &Site<'p>,
        extent: &Extent,
    ) -> Result<Option<Single<'p>>> {
        let space = site.space;
        self.leave_direct_map(extent.cache, extent.frames)?;
        let table = self.table_at(reserve, space, extent.start)?;
        // Found and taken now, so that recording cannot fail.
        let record = self.record_for(reserve, site, extent)?;
        let to = (extent.mapped(0), extent.start.bits());
        let mapped = self.page_map(space, to, extent.rights, extent.cache);
        if let Err(error) = mapped {
            match record {
                Record::Node(node, _) => self.pools.spare_extent(reserve, node),
                Record::Window(_, Some(window)) => self.pools.free_window(window),
                Record::Extent(_) | Record::Window(_, None) => {}
            }
            return Err(Error::from(error));
        }
        space.shadow.borrow_mut().use_table(table, 1);
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        Ok(match record {
            Record::Extent(before) => {
                self.close_block(space, before.start().bits());
                self.close_block(space, extent.start.bits());
                space.extents_mut().extend(before, (1, self.geometry.page_bytes()));
                None
            }
            Record::Window(node, window) => {
                space.extents_mut().enter_page(node, window, extent);
                Some(Single { node, table, room: None })
            }
            Record::Node(node, room) => {
                let entered = self.enter_extent(reserve, space, node, *extent);
                entered.then_some(Single { node, table, room })
            }
        })
    }

    /// Where a page is to be recorded: where an extent of its region and of its batch ends, that
    /// becomes longer; beside pages of its region that are recorded one by one, it is with them.
    fn record_for(
        &mut self,
        reserve: &mut Reserve,
        site: &Site<'p>,
        extent: &Extent,
    ) -> Result<Record<'p>> {
        let (low, high, mut room) = (site.low, site.high, None);
        // The only page of its region has no neighbours.
        if high - low != extent.bytes() {
            let beside = site.space.extents().beside(extent.start);
            let before = beside.continued_by(extent).filter(|_| low != extent.start.bits());
            let one_batch = |before: &&ExtentNode<'p>| {
                self.alloc.same_batch(extent.frames.first, before.frames().first)
            };
            if let Some(before) = before.filter(one_batch) {
                return Ok(Record::Extent(before));
            }
            let taking = if extent.strided { None } else { beside.taking(extent, low, high) };
            if let Some(node) = taking {
                if node.is_window() {
                    return Ok(Record::Window(node, None));
                }
                if let Some(window) = self.pools.window() {
                    return Ok(Record::Window(node, Some(window)));
                }
            }
            room = Some(beside.room());
        }
        Ok(Record::Node(self.pools.extent(reserve)?, room))
    }

    /// Records extents of clear frames for all of `range`, or for nothing. They are mapped by
    /// [`Vmm::map_extents`].
    fn alloc_extents(&mut self, space: &'p Space<'p>, range: PageRange, pages: Pages) -> Result {
        let mut at = range.start();
        while at.bits() < range.end() {
            let allocated = self.refill_to_take().and_then(|mut reserve| {
                self.alloc_extent(&mut reserve, space, at, range.end(), pages)
            });
            match allocated {
                Ok(end) => at = offset(at, end - at.bits()),
                Err(error) => {
                    self.free_zeroed_in(space, range);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Frees the frames of extents in `range`, which are as clear as they came.
    fn free_zeroed_in(&mut self, space: &'p Space<'p>, range: PageRange) {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            self.remove_extent(space, extent, 0, extent.frames.count);
            // They were allocated, so freeing them cannot be refused.
            let _ = self.alloc.free_unused_frames(extent.frames);
        }
    }

    /// Records one extent of clear frames at `at`; returns where it ends.
    fn alloc_extent(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        at: VirtAddr,
        end: usize,
        pages: Pages,
    ) -> Result<usize> {
        let Pages { rights, cache, size, mobility } = pages;
        let bits = self.frame_size_at(space, at, end, size);
        // Where the next larger page could begin, it is asked again.
        let end = match self.geometry.larger_frame(bits).filter(|_| size == PageSize::Auto) {
            Some(larger) => end.min((at.bits() | ((1 << larger) - 1)).saturating_add(1)),
            None => end,
        };
        let want = (end - at.bits()) >> bits;
        let taken = match self
            .alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, bits, want, mobility))
        {
            // A large page was preferred, not asked for: small ones do as well.
            Err(_) if bits != self.geometry.page_bits && size == PageSize::Auto => {
                let small_end = end.min(at.bits() + (1 << bits));
                let small = Pages { size: PageSize::Small, ..pages };
                return self.alloc_extent(reserve, space, at, small_end, small);
            }
            taken => taken?,
        };
        let clean = match taken {
            AllocatedFrames::Zeroed(clean) => clean,
            AllocatedFrames::Dirty(dirty) => self.zero_frames(reserve, dirty)?,
        };
        self.record_zeroed(reserve, space, at, clean, rights, cache)
    }

    /// The size of the frames to be mapped at `at`, in bits.
    fn frame_size_at(&self, space: &Space<'p>, at: VirtAddr, end: usize, size: PageSize) -> u8 {
        let small = self.geometry.page_bits;
        match size {
            PageSize::Small => small,
            PageSize::Large { bits } => bits,
            PageSize::Auto => {
                let (mut best, mut bits) = (small, small);
                while let Some(larger) = self.geometry.larger_frame(bits) {
                    let fits = at.is_aligned(larger) && end - at.bits() >= 1 << larger;
                    if fits
                        && self.is_vacant(space, at, larger)
                        && self.alloc.may_have_frames(larger)
                    {
                        best = larger;
                    }
                    bits = larger;
                }
                best
            }
        }
    }

    /// Maps all extents in `range`, none of which is mapped yet, and all of which lie inside it.
    /// Where that fails, they are unmapped and their frames freed.
    pub(crate) fn map_extents(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut cursor = ExtentCursor::over(range);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            // Each extent may need tables of its own, and these chunks: a reserve for each.
            let mapped = match self.refill() {
                Ok(mut reserve) => self.map_extent(&mut reserve, space, extent),
                Err(error) => Err((error, extent.start)),
            };
            if let Err((error, mapped_end)) = mapped {
                let mut reserve = self.refill_to_free();
                self.roll_back(&mut reserve, space, range, mapped_end);
                return Err(error);
            }
            // Each larger frame is a batch of its own, and joined with none.
            if extent.frames.size_bits == self.geometry.page_bits {
                self.join_extent(space, extent.start);
            }
        }
        Ok(())
    }
}
