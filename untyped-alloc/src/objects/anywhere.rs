// SPDX-License-Identifier: BSD-2-Clause
//! Allocating objects wherever there is memory.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{Class, Room};
use crate::types::{Blueprint, Error, Mobility, Object, Objects, Result};

impl Allocator<'_> {
    /// How many objects are made at once. Others than these are made singly, so that the memory of
    /// each comes back with it.
    ///
    /// - Objects of at most 64 bytes, such as endpoints: 32.
    /// - Thread control blocks: a small page of them (4 on IA32, 2 on x86_64). One that stays would
    ///   keep its page from all uses but small objects anyway (MODEL.md, A86).
    fn count_at_once(&self, blueprint: Blueprint, size_bits: u8) -> usize {
        match blueprint {
            _ if size_bits <= 6 => 32,
            Blueprint::Tcb => 1 << self.sizes.frame_bits[0].saturating_sub(size_bits),
            _ => 1,
        }
    }

    /// Allocates one object. Usually one kernel call, none for most endpoints and notifications
    /// (made 32 at a time) and thread control blocks (a small page at a time), up to 13 more when a
    /// large untyped must be split.
    ///
    /// Its memory is clear. A frame obtained here is destroyed when freed, never recycled.
    pub fn allocate(&mut self, kernel: &mut impl Kernel, blueprint: Blueprint) -> Result<Object> {
        let kind = Room::new(false, blueprint);
        if let Some(chunk) = self.chunks.with_room(Class::Zeroed, kind) {
            return Ok(match self.chunks.alloc_zeroed(chunk) {
                Some(index) => {
                    self.live.add(&self.sizes, blueprint, 1);
                    Object::new(chunk.slot_of(index), chunk.serial())
                }
                None => self.alloc_one(chunk),
            });
        }
        if let Some(chunk) = self.chunks.with_room(Class::EmptyZeroed, kind) {
            return Ok(self.alloc_one(chunk));
        }
        let size_bits = self.sizes.size_bits(blueprint).ok_or(Error::NoSuchObject(blueprint))?;
        let mobility = Mobility::Fixed;
        let plan = |count| ChunkPlan { blueprint, count, recycles: false, mobility };
        let count = self.count_at_once(blueprint, size_bits);
        let chunk = match self.obtain_chunk(kernel, plan(count)) {
            Err(
                Error::OutOfMemory { .. } | Error::NeedsClearing { .. } | Error::OutOfSlots { .. },
            ) => self.obtain_chunk(kernel, plan(1))?,
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
