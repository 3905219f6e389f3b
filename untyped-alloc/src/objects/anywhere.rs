// SPDX-License-Identifier: BSD-2-Clause
//! Allocating objects wherever there is memory.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Class, Room};
use crate::types::{Blueprint, Error, Mobility, Object, Objects, Result};

/// How many objects of 2^`size_bits` bytes are made at once: large ones singly, so that the memory
/// of each comes back with it.
fn count_at_once(size_bits: u8) -> usize {
    if size_bits <= 6 {
        32
    } else {
        1
    }
}

impl Allocator<'_> {
    /// Allocates one object. Usually one kernel call, none for most endpoints and notifications
    /// (made 32 at a time), up to 13 more when a large untyped must be split.
    ///
    /// Its memory is clear. A frame obtained here is destroyed when freed, never recycled.
    pub fn allocate(&mut self, kernel: &mut impl Kernel, blueprint: Blueprint) -> Result<Object> {
        for class in [Class::Zeroed, Class::EmptyZeroed] {
            if let Some(chunk) = self.chunks.with_room(class, Room::new(false, blueprint)) {
                return Ok(self.alloc_one(chunk));
            }
        }
        let size_bits = self.sizes.size_bits(blueprint).ok_or(Error::NoSuchObject(blueprint))?;
        let mobility = Mobility::Fixed;
        let plan = |count| ChunkPlan { blueprint, count, recycles: false, mobility };
        let chunk = match self.obtain_chunk(kernel, plan(count_at_once(size_bits))) {
            Err(Error::OutOfMemory { .. } | Error::NeedsClearing { .. }) => {
                self.obtain_chunk(kernel, plan(1))?
            }
            made => made?,
        };
        Ok(self.alloc_one(chunk))
    }

    /// As [`Allocator::allocate`]; the id says that the object is charged to `account`, a number of
    /// the caller's. The allocator does not look at it.
    pub fn allocate_charged(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        account: u32,
    ) -> Result<Object> {
        Ok(self.allocate(kernel, blueprint)?.charged_to(account))
    }

    /// Allocates `count` (1 to 256) objects with one retype. The block behind them is rounded up to
    /// a power of two.
    pub fn allocate_many(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        count: usize,
    ) -> Result<Objects> {
        let mobility = Mobility::Fixed;
        let plan = ChunkPlan { blueprint, count, recycles: false, mobility };
        let chunk = self.obtain_chunk(kernel, plan)?;
        Ok(self.alloc_all(chunk))
    }
}
