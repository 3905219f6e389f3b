// SPDX-License-Identifier: BSD-2-Clause
//! Memory for the manager itself.
//!
//! Book-keeping nodes come a page at a time: first from the pages given at boot, then from pages
//! that the manager maps in its own space. Mapping one takes nodes too, so before every operation
//! [`Vmm::refill`] brings each pool above what one such mapping can cost. Growing thus never needs
//! to grow.

use core::ops::Range;

use page_tables::{PageRange, Pages};
use untyped_alloc::{
    AllocatedFrames, Blame, Blueprint, CachePolicy, Frames, Kernel, Memory, Mobility, Pool, Rights,
};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::reserve::{split_first, Reserve, Wanted};
use crate::types::error::{Error, NodeKind, Result};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

/// Pages of address space that are reserved for book-keeping at a time.
const REGION_PAGES: usize = 256;

/// Frames that are taken for book-keeping at a time: 32 KiB.
const FRAMES_AT_ONCE: usize = 8;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// What has fallen below the reserve.
    #[inline(always)]
    fn below_reserve(&self) -> Option<Wanted> {
        if let Some(kind) = self.alloc.wanting() {
            return Some(Wanted::Allocator(kind));
        }
        let pools = &self.pools;
        let kind = if pools.regions.available() < Reserve::REGIONS {
            NodeKind::Region
        } else if pools.free_extents() < Reserve::EXTENTS + self.promised_extents() {
            NodeKind::Extent
        } else if pools.tables.available() < Reserve::TABLES {
            NodeKind::Table
        } else if pools.spaces.available() < 1 {
            NodeKind::Space
        } else if pools.refcounts.available() < Reserve::REFCOUNTS {
            NodeKind::Refcounts
        } else if pools.copies.available() < Reserve::CAP_COPIES {
            NodeKind::CapCopies
        } else if pools.threads.available() < 1 {
            NodeKind::Thread
        } else {
            return pools.wanted;
        };
        Some(Wanted::Own(kind))
    }

    /// Whether one page more can be shared without a refill: it takes a node for its extent and a
    /// group of reference counts at the most, and one more extent is promised with its copy. Not so
    /// where a refill would make windows or slots for copies.
    #[inline(always)]
    pub(crate) fn has_nodes_to_share(&self) -> bool {
        let (pools, extents) = (&self.pools, Reserve::EXTENTS + self.promised_extents());
        pools.free_extents() >= extents
            && pools.refcounts.available() != 0
            && pools.wanted.is_none()
    }

    /// Nodes that are held back for pages which bring no memory when they are given back: whoever
    /// unmaps one of them in the midst of others needs a node, and may have nothing to make it of.
    ///
    /// Of n pages in an extent at most (n − 1) / 2 can be unmapped so, each between two that stay:
    /// half a node a page for what was brought or asked for by address. A copy needs as much, and
    /// lets its frame's owner need as much again (one more for each run of copies, whose own extent
    /// needs one less than half): one node a copy. Each such unmapping takes a node and lowers what
    /// is needed by one.
    #[inline(always)]
    fn promised_extents(&self) -> usize {
        self.refcounts.live_copies() + (self.borrowed + self.physical) / 2
    }

    /// Brings every pool above its reserve. Usually there is nothing to do.
    ///
    /// # Errors
    /// When memory is out. The reserve is then left to what gives memory back.
    #[inline]
    pub(crate) fn refill(&mut self) -> Result<Reserve> {
        match self.below_reserve() {
            None => Ok(Reserve::full()),
            Some(_) => self.refill_slowly(),
        }
    }

    /// As [`Vmm::refill`], for a step that takes memory for callers: where that becomes short, page
    /// tables are held back first.
    #[inline]
    pub(crate) fn refill_to_take(&mut self) -> Result<Reserve> {
        match self.alloc.wants_held_tables() {
            false => self.refill(),
            true => self.refill_and_hold(),
        }
    }

    /// The same where there is nothing to do; `None` where there is.
    #[inline(always)]
    pub(crate) fn refilled_to_take(&self) -> Option<Reserve> {
        let full = !self.alloc.wants_held_tables() && self.below_reserve().is_none();
        full.then(Reserve::full)
    }

    #[cold]
    fn refill_and_hold(&mut self) -> Result<Reserve> {
        for level in self.levels_to_hold() {
            // Holding takes nodes as well.
            let _reserve = self.refill()?;
            self.hold_tables(level)?;
        }
        self.refill()
    }

    /// As [`Vmm::refill`], for a step that gives memory back: where the reserve cannot be refilled,
    /// such a step may take of it what there is.
    pub(crate) fn refill_to_free(&mut self) -> Reserve {
        self.refill().unwrap_or_else(|_| Reserve::as_it_is())
    }

    #[cold]
    fn refill_slowly(&mut self) -> Result<Reserve> {
        while let Some(wanted) = self.below_reserve() {
            let needless = matches!(
                wanted,
                Wanted::Own(NodeKind::Window) | Wanted::Shelves | Wanted::SingleCopies
            );
            if needless && self.alloc.untypeds_are_few() {
                // Whoever has none does without: nothing is to be refused for their sake.
                self.pools.wanted = None;
                continue;
            }
            self.adopt_next_page(wanted)?;
        }
        Ok(Reserve::full())
    }

    /// Makes one more page into nodes: of those that were given at boot, or mapped for it.
    pub(crate) fn adopt_next_page(&mut self, wanted: Wanted) -> Result {
        let page = match split_first(&mut self.bookkeeping.boot) {
            Some(page) => page,
            None => self.map_bookkeeping_page()?,
        };
        self.adopt(page, wanted);
        Ok(())
    }

    /// The levels of which page tables are held back: all but the root's.
    pub(crate) fn levels_to_hold(&self) -> Range<u8> {
        1..self.geometry.levels.len() as u8
    }

    /// Holds page tables of a level back, if none are and there is memory: for when there is none,
    /// and pages that are ready want tables.
    pub(crate) fn hold_tables(&mut self, level: u8) -> Result {
        let count = self.max_held_tables(level);
        Ok(self.alloc.hold_tables(&mut self.kernel, level, count)?)
    }

    /// How many page tables of a level are held back: as many as all RAM needs to be mapped in one
    /// piece, wherever that begins (but on one of the lines between the tables above), and
    /// [`Reserve::MAX_HELD_TABLES`] at the most.
    fn max_held_tables(&self, level: u8) -> usize {
        let levels = self.geometry.levels;
        let deepest = usize::from(level) + 1 == levels.len();
        let whole = self.alloc.ram_bytes() >> levels[usize::from(level)].span_bits();
        let all = whole + 1 + usize::from(deepest);
        all.next_power_of_two().min(Reserve::MAX_HELD_TABLES)
    }

    /// How many page tables will be held back, of all levels, beside those that are.
    pub(crate) fn tables_to_hold(&self) -> usize {
        let wanted = self.levels_to_hold().filter(|&level| !self.alloc.holds_tables(level));
        wanted.map(|level| self.max_held_tables(level)).sum()
    }

    /// Makes a mapped page into nodes.
    pub(crate) fn adopt(&mut self, page: PageRange, wanted: Wanted) {
        let (memory, vaddr) = (&mut self.kernel, page.start().bits());
        match wanted {
            Wanted::Allocator(kind) => self.alloc.adopt_page(memory, vaddr, kind),
            Wanted::Own(NodeKind::Region) => self.pools.regions.adopt(memory, vaddr),
            Wanted::Own(NodeKind::Extent) => self.pools.adopt_extents(memory, vaddr),
            Wanted::Own(NodeKind::Window) => self.pools.adopt_windows(memory, vaddr),
            Wanted::Shelves => self.pools.adopt_shelves(memory, vaddr),
            Wanted::SingleCopies => self.pools.adopt_singles(memory, vaddr),
            Wanted::Own(NodeKind::Table) => self.pools.tables.adopt(memory, vaddr),
            Wanted::Own(NodeKind::Space) => self.pools.spaces.adopt(memory, vaddr),
            Wanted::Own(NodeKind::Refcounts) => self.pools.refcounts.adopt(memory, vaddr),
            Wanted::Own(NodeKind::CapCopies) => self.pools.copies.adopt(memory, vaddr),
            Wanted::Own(NodeKind::Thread) => self.pools.threads.adopt(memory, vaddr),
        }
    }

    /// Maps a page of the manager's own space for good, and makes it into nodes of `pool`: for
    /// book-keeping of whoever builds on the manager. One kernel call, as a rule.
    ///
    /// # Errors
    /// Those of [`Vmm::map`]. The pool is as it was then.
    pub fn adopt_bookkeeping_page<T: Default + 'p>(&mut self, pool: &mut Pool<'p, T>) -> Result {
        let _reserve = self.refill()?;
        let page = self.map_bookkeeping_page()?;
        pool.adopt(&mut self.kernel, page.start().bits());
        Ok(())
    }

    /// Maps one more page of our own. Takes nodes from the reserve only.
    pub(crate) fn map_bookkeeping_page(&mut self) -> Result<PageRange> {
        let reserve = &mut Reserve::as_it_is();
        let page = self.next_own_page(reserve)?;
        let frames = self.next_own_frame()?;
        let (rights, cache) = (Rights::READ_WRITE, CachePolicy::WriteBack);
        let fresh = Extent::fresh(page.start(), frames, rights, cache);
        // Given up, it is not destroyed: what came with it would keep its memory from use.
        let info = Extent { source: Source::Borrowed, ..fresh };
        // Counted for as long as it can be given up.
        self.borrowed += 1;
        let mapped = self
            .record_extent(reserve, self.own, info)
            .and_then(|()| self.map_or_free_extent(reserve, self.own, info));
        if let Err(error) = mapped {
            let count = 1 + self.bookkeeping.frames.map_or(0, |rest| rest.count);
            self.bookkeeping.frames = Some(Frames { count, ..frames });
            return Err(error);
        }
        self.borrowed -= 1;
        self.bookkeeping.mapped_pages += 1;
        self.bookkeeping.mapped = match self.bookkeeping.mapped {
            Some(rest) => rest.part(1, rest.pages() - 1),
            None => None,
        };
        Ok(page)
    }

    /// The next frame for book-keeping. They come a few at a time from untypeds of their own: among
    /// the frames of others, each would keep its batch from being coalesced again. Where there is
    /// no untyped left, it is one of the frames that are ready, whose contents do not matter.
    fn next_own_frame(&mut self) -> Result<Frames> {
        let size_bits = self.geometry.page_bits;
        let frames = match self.bookkeeping.frames.take() {
            Some(frames) => frames,
            None => {
                let blueprint = Blueprint::Frame { size_bits };
                let mut count = FRAMES_AT_ONCE;
                let objects = loop {
                    match self.alloc.allocate_many(&mut self.kernel, blueprint, count) {
                        Err(error) if error.blame() == Blame::Resource && count > 1 => count /= 2,
                        Err(error) if error.blame() == Blame::Resource => {
                            return self.ready_own_frame().map_err(|_| error.into());
                        }
                        objects => break objects?,
                    }
                };
                self.bookkeeping.frames_taken += count;
                Frames { first: objects.first_slot(), count, size_bits }
            }
        };
        if frames.count > 1 {
            let (first, count) = (frames.first.offset(1), frames.count - 1);
            self.bookkeeping.frames = Some(Frames { first, count, size_bits });
        }
        Ok(Frames { count: 1, ..frames })
    }

    /// A frame for book-keeping out of those that callers' frames are taken from.
    #[cold]
    fn ready_own_frame(&mut self) -> Result<Frames> {
        let size_bits = self.geometry.page_bits;
        let stays = Mobility::Fixed;
        let taken =
            self.alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, size_bits, 1, stays))?;
        let frames = match taken {
            AllocatedFrames::Zeroed(clean) => clean.frames(),
            AllocatedFrames::Dirty(dirty) => dirty.frames(),
        };
        self.bookkeeping.frames_taken += 1;
        self.bookkeeping.ready_frames_taken += 1;
        Ok(frames)
    }

    /// The next page of address space for our own use, not taken yet.
    pub(crate) fn next_own_page(&mut self, reserve: &mut Reserve) -> Result<PageRange> {
        if self.bookkeeping.mapped.is_none() {
            let options = RegionOptions::new(REGION_PAGES)
                .named("book-keeping")
                .ceiling(Rights::READ_WRITE)
                .kind(Kind::Bookkeeping);
            let region = self.place_region(reserve, self.own, &options)?;
            let start = region.start().bits();
            self.bookkeeping.mapped =
                Some(self.geometry.range(Pages::at(start).count(REGION_PAGES))?);
        }
        let rest = self.bookkeeping.mapped.and_then(|rest| rest.part(0, 1));
        rest.ok_or(Error::OutOfNodes(NodeKind::Region))
    }
}
