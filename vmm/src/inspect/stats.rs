// SPDX-License-Identifier: BSD-2-Clause
//! Snapshots of what there is, and giving back what is kept for speed.

use core::cell::Cell;

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::space::Undone;
use crate::types::error::Result;
use crate::types::ids::SpaceId;
use crate::types::stats::{SpaceStats, SpaceSummary, Stats};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// A snapshot. O(untypeds + chunks + spaces).
    pub fn stats(&self) -> Stats {
        let pools = &self.pools;
        let total = pools.regions.total_bytes()
            + pools.extent_bytes().0
            + pools.shelves.total_bytes()
            + pools.tables.total_bytes()
            + pools.spaces.total_bytes()
            + pools.refcounts.total_bytes()
            + pools.copies.total_bytes()
            + pools.singles.total_bytes()
            + pools.threads.total_bytes();
        let allocator = self.alloc.stats();
        Stats {
            allocator,
            calls: self.kernel.counts(),
            spaces: self.spaces.iter().count(),
            bookkeeping_bytes: allocator.bookkeeping_bytes + total,
            bookkeeping_bytes_used: self.bookkeeping_bytes_used(),
            bookkeeping_pages: self.bookkeeping.mapped_pages,
            bookkeeping_frames: self.bookkeeping.frames_taken,
            quarantined: self.quarantined + self.temp_slots.left_behind(),
            moved_pages: self.compaction.moved_pages,
            reclaimed_pages: self.promotions.reclaimed_pages,
            direct_map_frames: self.direct_map.map_or(0, |_| self.alloc.mapped_aliases()),
            direct_map_tables: self.direct_map.map_or(0, |map| map.tables),
            page_bits: self.geometry.page_bits,
            kept_tables: self.spaces.iter().map(|s| s.shadow.borrow().empty_len()).sum(),
        }
    }

    /// Bytes of book-keeping nodes in use, the allocator's included. O(1).
    pub fn bookkeeping_bytes_used(&self) -> usize {
        let pools = &self.pools;
        self.alloc.bookkeeping_bytes_used()
            + pools.regions.used_bytes()
            + pools.extent_bytes().1
            + pools.tables.used_bytes()
            + pools.spaces.used_bytes()
            + pools.refcounts.used_bytes()
            + pools.copies.used_bytes()
            + pools.singles.used_bytes()
            + pools.threads.used_bytes()
    }

    /// A snapshot of a space. O(its extents).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn space_stats(&self, space: SpaceId) -> Result<SpaceStats> {
        let space = self.space(space)?;
        let (regions, shadow) = (space.regions(), space.shadow.borrow());
        Ok(SpaceStats {
            mapped_pages: space.mapped_pages.get(),
            regions: regions.count(),
            extents: space.extents().iter().count(),
            tables: shadow.len(),
            empty_tables: shadow.empty_len(),
            largest_hole: regions.largest_hole(),
        })
    }

    /// The figures of a space that are known without counting. O(1).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn space_summary(&self, space: SpaceId) -> Result<SpaceSummary> {
        let space = self.space(space)?;
        let (regions, shadow) = (space.regions(), space.shadow.borrow());
        Ok(SpaceSummary {
            mapped_pages: space.mapped_pages.get(),
            regions: regions.count(),
            tables: shadow.len(),
            largest_hole: regions.largest_hole(),
        })
    }

    /// Gives back all that is kept for speed: empty page tables, unused frames and other objects,
    /// free buddies that were not coalesced. Later requests pay for making and clearing it again.
    /// And does what the kernel refused before: what was to be undone then is undone. A large page
    /// that was cut for a request which was refused, and could not be joined then, is: it is absent
    /// while its pages are copied.
    ///
    /// # Errors
    /// [`crate::Error::Allocator`] when the kernel refused a call; the rest was done.
    pub fn trim(&mut self) -> Result {
        self.abandon_promotion();
        self.retry_quarantine()?;
        self.undo_the_rest()?;
        let mut next = Some(0);
        while let Some(number) = next {
            let space = self.spaces.after(number);
            if let Some(space) = space {
                self.prune_tables_to(space, 0);
            }
            next = space.map(|space| space.id.get().number);
        }
        // They go back too, and others are made in their place if memory is short even so.
        self.alloc.release_held_tables();
        self.alloc.release_held_frames();
        self.alloc.trim(&mut self.kernel)?;
        self.hold_while_of_use();
        match self.alloc.wants_held_tables() {
            true => self.levels_to_hold().try_for_each(|level| self.hold_tables(level)),
            false => Ok(()),
        }
    }

    /// Undoes what the kernel refused to undo, space by space. Nothing to do, as a rule.
    fn undo_the_rest(&mut self) -> Result {
        let marked = |vmm: &Self, id, mark: fn(&Undone) -> &Cell<bool>| {
            let space = vmm.spaces.after(id);
            space.map(|space| (space.id.get(), mark(&space.undone).get()))
        };
        // Unfinished clones first: whose pages they have gets the right to write back after that.
        let mut at = 0;
        while let Some((id, clone)) = marked(self, at, |undone| &undone.clone) {
            at = id.number;
            if clone {
                self.destroy_space(id)?;
            }
        }
        at = 0;
        while let Some((id, abandoned)) = marked(self, at, |undone| &undone.abandoned) {
            at = id.number;
            if abandoned {
                self.unmap_abandoned(self.space(id)?)?;
            }
        }
        at = 0;
        while let Some((id, pages)) = marked(self, at, |undone| &undone.pages) {
            at = id.number;
            if pages {
                self.remap_recorded(self.space(id)?)?;
            }
        }
        at = 0;
        while let Some((id, cow)) = marked(self, at, |undone| &undone.copy_on_write) {
            at = id.number;
            if cow {
                self.restore_all_write_access(id)?;
            }
        }
        // Last: what is under copy-on-write is not joined.
        let mut next = self.spaces.after(0);
        while let Some(space) = next {
            if !space.cut.is_empty() {
                self.join_cut(space, |_| true)?;
            }
            next = self.spaces.after(space.id.get().number);
        }
        Ok(())
    }
}
