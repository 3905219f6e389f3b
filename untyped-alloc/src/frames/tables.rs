// SPDX-License-Identifier: BSD-2-Clause
//! Allocating and freeing paging structures.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::Room;
use crate::types::{Blueprint, CPtr, Frames, Mobility, Result};

/// The most tables that are made at once: as long as one of them is in use, the memory of the
/// others serves for nothing but tables.
const MAX_TABLES: usize = 8;

impl Allocator<'_> {
    /// Allocates a paging structure of a level below the root. It is empty: the kernel clears one
    /// when it is made and when it is unmapped.
    pub fn alloc_table(&mut self, kernel: &mut impl Kernel, level: u8) -> Result<CPtr> {
        let blueprint = Blueprint::Table { level };
        let kind = Room::new(true, blueprint);
        let (chunk, clean) = match self.chunk_with_zeroed(kind) {
            Some(chunk) => (chunk, true),
            None => {
                let tables = self.live.of(&self.sizes, blueprint);
                let least = (tables / 2).next_power_of_two().clamp(1, MAX_TABLES);
                let least = least.min(self.max_spare(blueprint));
                self.chunk_with_room(kernel, kind, least)?
            }
        };
        Ok(self.alloc_run(chunk, Mobility::Fixed, 1, clean).0)
    }

    /// Frees a paging structure, which is mapped nowhere.
    ///
    /// # Errors
    /// [`Error::NotAllocated`](crate::Error::NotAllocated) unless it was allocated.
    pub fn free_table(&mut self, table: CPtr, level: u8) -> Result<()> {
        let run = Frames { first: table, count: 1, size_bits: 0 };
        self.free_run(Blueprint::Table { level }, run, true)
    }
}
