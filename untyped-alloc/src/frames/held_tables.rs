// SPDX-License-Identifier: BSD-2-Clause
//! Page tables that are held back for when memory is out.
//!
//! When all memory has become frames, those that are ready can be mapped only where page tables
//! are: a frame is never made into a table, as the kernel takes back what came with it as well. So
//! some tables are made while there is memory, and handed out when there is none.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Apart, Class, Room};
use crate::types::{Blame, Blueprint, CPtr, Mobility, Result};

/// Where fewer bytes than these, or than a sixteenth of all RAM, are in free untypeds, paging
/// structures are held back: more than a batch of frames takes (1 MiB). With less than 8 MiB of RAM
/// where half of it is in use.
const MIN_FREE: usize = 4 << 20;

impl Allocator<'_> {
    /// Whether paging structures are to be held back now: there is a level (but for the root's) of
    /// which none are, and little is left in free untypeds, but more than one step takes that maps
    /// pages. O(1).
    #[inline(always)]
    pub fn wants_held_tables(&self) -> bool {
        let levels = 1..usize::from(self.sizes.table_levels);
        self.untypeds_are_few() && self.held_tables[levels].iter().any(Option::is_none)
    }

    /// Whether little is left in free untypeds: at most 4 MiB, or a sixteenth of all RAM where that
    /// is more, and not more than half of it. What only saves time or memory is not made then.
    /// O(1).
    #[inline(always)]
    pub fn untypeds_are_few(&self) -> bool {
        let (free, all) = (self.blocks.free_bytes(), self.blocks.total_bytes());
        free <= all / 2 && free <= MIN_FREE.max(all / 16)
    }

    /// Whether paging structures are held back although there is more than twice as much in free
    /// untypeds as where holding began. O(1).
    pub fn holds_tables_in_plenty(&self) -> bool {
        let (free, all) = (self.blocks.free_bytes(), self.blocks.total_bytes());
        free > 2 * MIN_FREE.max(all / 16) && self.held_tables.iter().any(Option::is_some)
    }

    /// Whether any paging structures of a level are held back. O(1).
    pub fn holds_tables(&self, level: u8) -> bool {
        self.held_tables[usize::from(level)].is_some()
    }

    /// Holds `count` paging structures of a level back, if none are: unused ones that there are, or
    /// new ones, fewer of them where memory is short, and none where there is none. Until
    /// [`Allocator::alloc_held_table`] is called they are neither handed out otherwise nor given
    /// back, unless their very address is asked for. No kernel call where there is no memory.
    ///
    /// # Errors
    /// [`Error::Kernel`](crate::Error::Kernel).
    pub fn hold_tables(&mut self, kernel: &mut impl Kernel, level: u8, count: usize) -> Result<()> {
        if self.holds_tables(level) {
            return Ok(());
        }
        let (blueprint, mobility) = (Blueprint::Table { level }, Mobility::Fixed);
        let unused = self.chunks.with_room(Class::EmptyZeroed, Room::new(true, blueprint));
        let chunk = match unused.filter(|chunk| chunk.ready() >= count) {
            Some(chunk) => chunk,
            None if !self.may_have_block(self.sizes.table_bits) => return Ok(()),
            None => {
                let plan = ChunkPlan { blueprint, count, recycles: true, mobility };
                // All of them, if what is unused is given back for it.
                let made = match self.obtain_chunk(kernel, plan) {
                    Err(error) if error.blame() == Blame::Resource => {
                        self.obtain_largest_chunk(kernel, plan)
                    }
                    made => made,
                };
                match made {
                    Err(error) if error.blame() == Blame::Resource => return Ok(()),
                    made => made?,
                }
            }
        };
        self.chunks.set_apart(chunk, Some(Apart::Held));
        self.held_tables[usize::from(level)] = Some(chunk);
        Ok(())
    }

    /// Holds no paging structures back any more: they are unused, and can be given back.
    pub fn release_held_tables(&mut self) {
        for held in &mut self.held_tables {
            held.take().into_iter().for_each(|chunk| self.chunks.set_apart(chunk, None));
        }
    }

    /// Allocates one of the paging structures of a level that are held back, if there are any. The
    /// others still are; with the last, others can be. No kernel call.
    pub fn alloc_held_table(&mut self, level: u8) -> Option<CPtr> {
        let chunk = self.held_tables[usize::from(level)]?;
        let table = self.alloc_run(chunk, Mobility::Fixed, 1, true).0;
        if chunk.ready() == 0 {
            self.held_tables[usize::from(level)] = None;
            self.chunks.set_apart(chunk, None);
        }
        Some(table)
    }
}
