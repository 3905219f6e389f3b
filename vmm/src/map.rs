//! Mapping fresh memory.
//!
//! ```text
//!   acquire   frames in runs, entered in the map of runs;   fails cleanly: given back
//!             dirty ones are scrubbed
//!   tables    the page tables that are missing              fails cleanly: given back
//!   map       one kernel call a page                        fails: what was mapped is unmapped
//! ```

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CachePolicy, Clean, Frames, Invocation, Kernel, Memory, Rights, Taken};

use crate::manager::vmm::Vmm;
use crate::state::extent::{offset, RunInfo};
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::{PageSize, RegionOptions};
use crate::types::quota::Resource;
use crate::types::region::RegionSpec;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
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
                self.abandon_region(space, region);
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
        if let Some(run) = space.runs.borrow().first_in(range) {
            return Err(Error::AlreadyMapped { address: run.start.bits().max(start) });
        }
        self.commit_in_parts(space, region, range, PageSize::Small)
    }

    pub(crate) fn commit_in_parts(
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
        self.acquire(space, range, rights, cache, size, true)?;
        self.install(space, range)
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
        self.acquire(space, range, rights, cache, PageSize::Small, false)?;
        self.install(space, range)
    }

    pub(crate) fn check_large(&self, range: PageRange, bits: u8) -> Result {
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
    /// [`Vmm::install`].
    pub(crate) fn acquire(
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
                .and_then(|()| self.acquire_run(space, at, range.end(), rights, cache, size));
            match acquired {
                Ok(end) => at = offset(at, end - at.bits()),
                Err(error) => {
                    self.give_up(space, range);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Enters one run of clean frames at `at`; returns where it ends.
    pub(crate) fn acquire_run(
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
                return self.acquire_run(space, at, small_end, rights, cache, PageSize::Small);
            }
            taken => taken?,
        };
        let clean = match taken {
            Taken::Clean(clean) => clean,
            Taken::Dirty(dirty) => self.scrub(dirty)?,
        };
        self.enter_run(space, at, clean, rights, cache)
    }

    pub(crate) fn enter_run(
        &mut self,
        space: &'p Space<'p>,
        at: VirtAddr,
        clean: Clean,
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<usize> {
        let node = match self.pools.run() {
            Ok(node) => node,
            Err(error) => {
                self.alloc.give_unused_frames(clean.frames())?;
                return Err(error);
            }
        };
        let frames = clean.frames();
        let info = RunInfo::fresh(at, frames, rights, cache);
        space.runs.borrow_mut().insert(node, info);
        Ok(info.end())
    }

    /// The size of the frames to be mapped at `at`, in bits.
    pub(crate) fn frame_size_at(
        &self,
        space: &Space<'p>,
        at: VirtAddr,
        end: usize,
        size: PageSize,
    ) -> u8 {
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

    /// Gives back the frames of runs in `range` that were entered but never mapped.
    pub(crate) fn give_up(&mut self, space: &'p Space<'p>, range: PageRange) {
        loop {
            let Some(run) = space.runs.borrow().first_in(range) else {
                return;
            };
            self.forget_run(space, run, 0, run.frames.count);
            self.discard(&run);
        }
    }

    /// Takes frames out of the map of runs; at the most one end of the run stays.
    pub(crate) fn forget_run(
        &mut self,
        space: &'p Space<'p>,
        run: RunInfo,
        first: usize,
        count: usize,
    ) {
        let freed = space.runs.borrow_mut().carve(&run, first, count, &mut None);
        if let Some(node) = freed {
            self.pools.runs.give(node);
        }
    }

    /// Maps all runs in `range`, none of which is mapped yet, and all of which lie inside it.
    /// When that fails, they are unmapped and given back.
    pub(crate) fn install(&mut self, space: &'p Space<'p>, range: PageRange) -> Result {
        let mut rest = Some(range);
        while let Some(part) = rest {
            let Some(run) = space.runs.borrow().first_in(part) else {
                break;
            };
            if let Err((error, mapped_end)) = self.install_run(space, run) {
                self.roll_back(space, range, mapped_end);
                return Err(error);
            }
            let done = (run.end() - part.start().bits()) >> self.geometry.page_bits;
            rest = part.part(done, part.pages() - done);
            self.join_run(space, run.start);
        }
        Ok(())
    }

    /// Maps one run. Fails with the error and the address up to which pages are mapped.
    pub(crate) fn install_run(
        &mut self,
        space: &'p Space<'p>,
        run: RunInfo,
    ) -> Result<(), (Error, VirtAddr)> {
        let (bits, step_bits) = (run.frames.size_bits, run.step_bits());
        let level = self
            .geometry
            .level_of_frame(bits)
            .ok_or((Error::NoSuchFrameSize { bits }, run.start))?;
        let (vspace, rights) = (space.root.get(), run.mapped_rights());
        let mut index = 0;
        while index < run.frames.count {
            let start = run.address(index);
            self.make_way(space, start, level).map_err(|error| (error, start))?;
            let count = match bits == self.geometry.page_bits {
                true => {
                    let end = self.geometry.table_end(level, start).min(run.end());
                    (end - start.bits()).div_ceil(1 << step_bits)
                }
                // Each larger page may have an empty table in its place, which is in the way.
                false => 1,
            };
            let mut done = 0;
            let mut outcome = Ok(());
            while done < count {
                let address = start.bits() + (done << step_bits);
                let frame = run.frame(index + done);
                outcome = self.kernel.page_map(frame, vspace, address, rights, run.cache);
                if outcome.is_err() {
                    break;
                }
                done += 1;
            }
            space.shadow.borrow_mut().use_entries(&self.geometry, level, start, done);
            space
                .mapped_pages
                .set(space.mapped_pages.get() + (done << (bits - self.geometry.page_bits)));
            outcome
                .map_err(Error::kernel(Invocation::PageMap))
                .map_err(|error| (error, run.address(index + done)))?;
            index += count;
        }
        Ok(())
    }

    /// Maps a run again that is recorded and was unmapped a moment ago. What the kernel refuses to
    /// map now stays recorded, so that no frame is lost and no address used twice; unmapping it,
    /// which succeeds for what is not mapped, gives it back.
    pub(crate) fn restore_run(&mut self, space: &'p Space<'p>, run: RunInfo) {
        let Err((_, mapped_end)) = self.install_run(space, run) else { return };
        let done = run.index_of(mapped_end);
        let rest = run.part(done, run.frames.count - done);
        let Some(level) = self.geometry.level_of_frame(rest.frames.size_bits) else { return };
        let mut shadow = space.shadow.borrow_mut();
        for index in 0..rest.frames.count {
            shadow.use_entries(&self.geometry, level, rest.address(index), 1);
        }
        let pages = rest.frames.count << (rest.frames.size_bits - self.geometry.page_bits);
        space.mapped_pages.set(space.mapped_pages.get() + pages);
    }

    /// Undoes a mapping of `range` that got as far as `mapped_end`.
    pub(crate) fn roll_back(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
        mapped_end: VirtAddr,
    ) {
        let done = (mapped_end.bits() - range.start().bits()) >> self.geometry.page_bits;
        if let Some(unmapped) = range.part(done, range.pages() - done) {
            self.give_up_from(space, unmapped);
        }
        if let Some(mapped) = range.part(0, done) {
            // What the kernel will not unmap stays recorded as mapped.
            let _ = self.unmap_range(space, mapped);
        }
        self.drop_empty_tables(space, range);
    }

    /// Gives back the frames in `range`, which starts in the midst of a run, that were never
    /// mapped.
    pub(crate) fn give_up_from(&mut self, space: &'p Space<'p>, range: PageRange) {
        let cut = space.runs.borrow().at(range.start());
        if let Some(run) = cut {
            let (first, _) = run.indices_in(range);
            if first != 0 {
                let part = run.part(first, run.frames.count - first);
                // Carving off the end of a run takes no node.
                space.runs.borrow_mut().carve(&run, first, part.frames.count, &mut None);
                self.discard(&part);
            }
        }
        self.give_up(space, range);
    }

    /// Joins the run at `start` with the one before it, if the two are really one: of one batch of
    /// frames, and in one region.
    pub(crate) fn join_run(&mut self, space: &'p Space<'p>, start: VirtAddr) {
        let first_of_region = || {
            let region = space.regions.borrow().at(start);
            region.is_none_or(|region| region.start() == start)
        };
        let alloc = &self.alloc;
        let same = |frames: Frames| {
            let last = frames.first.offset(frames.count - 1);
            alloc.came_together(frames.first, last) && !first_of_region()
        };
        if let Some(node) = space.runs.borrow_mut().join_before(start, same) {
            self.pools.runs.give(node);
        }
    }
}
