//! Mapping fresh memory.
//!
//! ```text
//!   alloc_extents   frames in runs, entered in the map of runs;   fails cleanly: given back
//!             dirty ones are scrubbed
//!   tables    the page tables that are missing              fails cleanly: given back
//!   map       one kernel call a page                        fails: what was mapped is unmapped
//! ```

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CachePolicy, Invocation, Kernel, Memory, Rights, Taken};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, Extent};
use crate::state::extents::ExtentNode;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::{PageSize, RegionOptions};
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

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
            Taken::Dirty(dirty) => self.zero_frames(dirty)?,
        };
        let RegionSpec { rights, cache, .. } = region.spec();
        let fresh = Extent::fresh(page.start(), clean.frames(), rights, cache);
        let extent = Extent { strided: region.arena.get().is_some(), ..fresh };
        let mapped = self.map_page(space, region, &extent);
        if mapped.is_err() {
            self.free_unused(&extent);
            self.try_free_empty_tables_in(space, page);
        }
        mapped
    }

    fn map_page(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        extent: &Extent,
    ) -> Result {
        let table = self.table_at(space, extent.start)?;
        let before = self.extent_before(space, region, extent);
        // Taken now, so that recording cannot fail.
        let node = if before.is_none() { Some(self.pools.extent()?) } else { None };
        let (vspace, address) = (space.root.get(), extent.start.bits());
        let mapped =
            self.kernel.page_map(extent.frames.first, vspace, address, extent.rights, extent.cache);
        if let Err(error) = mapped {
            node.into_iter().for_each(|node| self.pools.extents.give(node));
            return Err(Error::kernel(Invocation::PageMap)(error));
        }
        space.shadow.borrow_mut().use_table(table, 1);
        space.mapped_pages.set(space.mapped_pages.get() + 1);
        match (before, node) {
            (Some(before), _) => space.extents.borrow().extend(before, self.geometry.page_bytes()),
            (None, Some(node)) => space.extents.borrow_mut().insert(node, *extent),
            (None, None) => {}
        }
        Ok(())
    }

    /// The run that the page makes longer: in its region, of its batch of frames.
    fn extent_before(
        &self,
        space: &Space<'p>,
        region: &Region<'p>,
        extent: &Extent,
    ) -> Option<&'p ExtentNode<'p>> {
        if self.between_guards(region).0 == extent.start.bits() {
            return None;
        }
        let before = space.extents.borrow().before(extent)?;
        self.alloc.came_together(extent.frames.first, before.frames().first).then_some(before)
    }

    /// Reserves a region and maps fresh, clear memory in all of it.
    ///
    /// Costs one kernel call a page, one for each page table that is missing, and one retype for up
    /// to 256 frames.
    ///
    /// # Errors
    /// Those of [`Vmm::reserve`]; [`Error::Allocator`] when memory or slots are out. Nothing is
    /// left behind.
    pub fn map(&mut self, space: SpaceId, options: &RegionOptions) -> Result<RegionId> {
        self.refill()?;
        let space = self.space(space)?;
        let region = self.place_region(space, options)?;
        let mapped = match self.usable(region) {
            Some(range) => self.commit_in_parts(space, region, range, options.page_size),
            None => Ok(()),
        };
        match mapped {
            Ok(()) => Ok(self.id_of(space, region)),
            Err(error) => {
                // Nothing is mapped, so there is nothing to unmap, unless undoing was refused too:
                // then the region stays, and holds what the kernel would not let go.
                self.free_region_or_quarantine(space, region);
                Err(error)
            }
        }
    }

    /// Maps fresh, clear memory in `pages` pages from the address `start` (bytes) on, which lie in
    /// one region and have nothing mapped. Rights and cache policy are the region's.
    ///
    /// # Errors
    /// [`Error::OutsideRegion`], [`Error::Guard`], [`Error::AlreadyMapped`], and what
    /// [`Vmm::map`] can meet.
    pub fn populate(&mut self, space: SpaceId, start: usize, pages: usize) -> Result {
        if pages == 1 {
            if let Some(done) = self.follow(space, start) {
                return done;
            }
        }
        self.refill()?;
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, start, pages)?;
        if let Some(extent) = space.extents.borrow().first_in(range) {
            return Err(Error::AlreadyMapped { address: extent.start.bits().max(start) });
        }
        self.commit_in_parts(space, region, range, PageSize::Small)
    }

    fn commit_in_parts(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        range: PageRange,
        size: PageSize,
    ) -> Result {
        if let PageSize::Large { bits } = size {
            self.check_large(range, bits)?;
        }
        self.check_quota(space, Resource::Frames, range.pages())?;
        if range.pages() == 1 {
            return self.commit_page(space, region, range);
        }
        let RegionSpec { rights, cache, .. } = region.spec();
        self.alloc_extents(space, range, rights, cache, size, true)?;
        self.map_extents(space, range)
    }

    /// Maps fresh memory in `range`, where nothing is mapped, with nodes from the reserve only.
    pub(crate) fn commit(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        range: PageRange,
    ) -> Result {
        if range.pages() == 1 {
            return self.commit_page(space, region, range);
        }
        let RegionSpec { rights, cache, .. } = region.spec();
        self.alloc_extents(space, range, rights, cache, PageSize::Small, false)?;
        self.map_extents(space, range)
    }

    fn check_large(&self, range: PageRange, bits: u8) -> Result {
        if self.geometry.level_of_frame(bits).is_none() {
            return Err(Error::NoSuchFrameSize { bits });
        }
        let misaligned = [range.start().bits(), range.end()]
            .into_iter()
            .find(|address| address & ((1 << bits) - 1) != 0);
        match misaligned {
            Some(address) => Err(page_tables::AddressError::Misaligned { address, bits }.into()),
            None => Ok(()),
        }
    }

    /// Enters runs of clean frames for all of `range`, or for nothing. They are mapped by
    /// [`Vmm::map_extents`].
    fn alloc_extents(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        rights: Rights,
        cache: CachePolicy,
        size: PageSize,
        refill: bool,
    ) -> Result {
        let mut at = range.start();
        while at.bits() < range.end() {
            let acquired = if refill { self.refill() } else { Ok(()) }
                .and_then(|()| self.alloc_extent(space, at, range.end(), rights, cache, size));
            match acquired {
                Ok(end) => at = offset(at, end - at.bits()),
                Err(error) => {
                    self.free_unused_in(space, range);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Enters one run of clean frames at `at`; returns where it ends.
    fn alloc_extent(
        &mut self,
        space: &'p Space<'p>,
        at: VirtAddr,
        end: usize,
        rights: Rights,
        cache: CachePolicy,
        size: PageSize,
    ) -> Result<usize> {
        let bits = self.frame_size_at(space, at, end, size);
        // Where the next larger page could begin, it is asked again.
        let end = match self.geometry.larger_frame(bits).filter(|_| size == PageSize::Auto) {
            Some(larger) => end.min((at.bits() | ((1 << larger) - 1)).saturating_add(1)),
            None => end,
        };
        let want = (end - at.bits()) >> bits;
        let taken = match self.alloc.take_frames(&mut self.kernel, bits, want) {
            // The large page was a wish: its place can be filled with small ones.
            Err(_) if bits != self.geometry.page_bits && size == PageSize::Auto => {
                let small_end = end.min(at.bits() + (1 << bits));
                return self.alloc_extent(space, at, small_end, rights, cache, PageSize::Small);
            }
            taken => taken?,
        };
        let clean = match taken {
            Taken::Clean(clean) => clean,
            Taken::Dirty(dirty) => self.zero_frames(dirty)?,
        };
        self.record_zeroed(space, at, clean, rights, cache)
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
                    if fits && self.alloc.has_frames(larger) && self.is_vacant(space, at, larger) {
                        best = larger;
                    }
                    bits = larger;
                }
                best
            }
        }
    }
}
