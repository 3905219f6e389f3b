// SPDX-License-Identifier: BSD-2-Clause
//! Allocating objects at a physical address.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::types::{Blueprint, Error, Mobility, Objects, Result};

impl Allocator<'_> {
    /// Allocates `count` (1 to 256, a power of two) objects at the physical address `paddr`, which
    /// is aligned to their total size: frames of RAM or of device memory, or untypeds.
    ///
    /// # Errors
    /// [`Error::Misaligned`], [`Error::NoUntypedAt`], [`Error::AddressInUse`],
    /// [`Error::DeviceMemory`].
    pub fn allocate_at(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        paddr: usize,
        count: usize,
    ) -> Result<Objects> {
        let bits = self.chunk_bits(blueprint, count)?;
        if paddr & ((1 << bits) - 1) != 0 {
            return Err(Error::Misaligned { paddr, size_bits: bits });
        }
        let plain = matches!(blueprint, Blueprint::Frame { .. } | Blueprint::Untyped { .. });
        if !plain && self.blocks.leaf_at(paddr).is_some_and(|leaf| leaf.is_device()) {
            return Err(Error::DeviceMemory(paddr));
        }
        // Slots first: growing the CSpace could take the very memory.
        let first = self.alloc_object_slots(kernel, count)?;
        let mobility = Mobility::Fixed;
        let plan = ChunkPlan { blueprint, count, recycles: false, mobility };
        // A failure leaves blocks that are free, whole or split, and the slots go back.
        let made = self
            .free_up(kernel, paddr, bits, self.most_cleared)
            .and_then(|block| self.split_down(kernel, block, paddr, bits, mobility))
            .and_then(|block| self.retype_into_chunk(kernel, block, plan, first));
        match made {
            Ok(chunk) => Ok(self.alloc_all(chunk)),
            Err(error) => {
                self.slots.free(first, count);
                if let Some(leaf) = self.blocks.leaf_at(paddr).filter(|leaf| leaf.is_device()) {
                    let _ = self.coalesce_device(kernel, leaf);
                }
                Err(error)
            }
        }
    }
}
