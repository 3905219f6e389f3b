// SPDX-License-Identifier: BSD-2-Clause
//! Aliases: frames that are mapped a second time, for good, where their owner zeroes and copies.
//!
//! A frame's own capability is for whom it is allocated for, and can be mapped but once. An alias
//! is a copy of it, mapped in the owner's space for as long as the frame's batch lasts: zeroing the
//! frame again and again then takes no kernel call. It costs a slot, for each frame of the batch
//! once one of them has an alias, and two kernel calls when the batch is given back.

use core::ops::Range;

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::Chunk;
use crate::types::{
    Blueprint, CPtr, CachePolicy, Error, Frames, Invocation, NodeKind, Result, Rights,
};

impl<'p> Allocator<'p> {
    /// The lowest physical address of RAM that came in as untypeds, and the one after the highest,
    /// in bytes; there may be gaps. `None` without RAM. O(untypeds).
    pub fn ram_range(&self) -> Option<Range<usize>> {
        let ram = || self.blocks.leaves().filter(|block| !block.is_device());
        let start = ram().map(|block| block.paddr()).min()?;
        let last = ram().map(|block| block.paddr() + (block.bytes() - 1)).max()?;
        Some(start..last.saturating_add(1))
    }

    /// Whether RAM that came in as untypeds lies, even in part, in a range of physical addresses.
    /// O(log untypeds), and the untypeds of device memory in it.
    pub fn has_ram_in(&self, range: &Range<usize>) -> bool {
        let mut next = self.blocks.leaf_at(range.start);
        next = next.or_else(|| self.blocks.leaf_from(range.start));
        while let Some(block) = next.filter(|block| block.paddr() < range.end) {
            if !block.is_device() {
                return true;
            }
            next = block.paddr().checked_add(1).and_then(|after| self.blocks.leaf_from(after));
        }
        false
    }

    /// Where a frame of the smallest size lies, by its own capability, in bytes; and whether its
    /// alias is mapped. `None` for what is not recycled. O(log n).
    pub fn alias(&self, frame: CPtr) -> Option<(usize, bool)> {
        let (chunk, index) = self.small_frame(frame)?;
        let paddr = chunk.block()?.paddr() + (index << self.sizes.frame_bits[0]);
        Some((paddr, chunk.aliases().is_some_and(|aliases| aliases.is_mapped(index))))
    }

    /// Maps an alias of a frame of the smallest size, by its own capability, at the address `vaddr`
    /// of `vspace`, where nothing else is ever mapped. Two kernel calls, and now and then those of
    /// growing the CSpace.
    ///
    /// # Errors
    /// [`Error::OutOfNodes`] with [`NodeKind::Aliases`]; [`Error::OutOfSlots`] or
    /// [`Error::OutOfMemory`] where there are no slots; [`Error::Kernel`]. It can be tried again.
    pub fn map_alias(
        &mut self,
        kernel: &mut impl Kernel,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
    ) -> Result<()> {
        let (chunk, index) = self.small_frame(frame).ok_or(Error::NotAllocated(frame))?;
        let aliases = match chunk.aliases() {
            Some(aliases) => aliases,
            None if self.chunks.alias_pool.available() == 0 => {
                return Err(Error::OutOfNodes(NodeKind::Aliases));
            }
            None => {
                let first = self.alloc_spare_slots(kernel, chunk.count())?;
                let begun = self.chunks.begin_aliases(chunk, first);
                begun.ok_or(Error::OutOfNodes(NodeKind::Aliases))?
            }
        };
        let slot = aliases.slot_of(index);
        if !aliases.is_there(index) {
            let copied = kernel.cnode_copy(self.path(slot), self.path(frame), Rights::all());
            copied.map_err(|error| Error::Kernel { invocation: Invocation::CNodeCopy, error })?;
            aliases.set_there(index, true);
        }
        if !aliases.is_mapped(index) {
            let (rights, cache) = (Rights::READ_WRITE, CachePolicy::WriteBack);
            let mapped = kernel.page_map(slot, vspace, vaddr, rights, cache);
            mapped.map_err(|error| Error::Kernel { invocation: Invocation::PageMap, error })?;
            aliases.set_mapped(index, true);
        }
        Ok(())
    }

    /// Unmaps and deletes the aliases of frames, by their own capabilities, that have any. Two
    /// kernel calls for each.
    ///
    /// # Errors
    /// [`Error::Kernel`]: what was done is recorded, and the rest can be tried again.
    pub fn remove_aliases_of(&mut self, kernel: &mut impl Kernel, frames: Frames) -> Result<()> {
        (0..frames.count).try_for_each(|index| match self.small_frame(frames.first.offset(index)) {
            Some((chunk, index)) => self.remove_alias(kernel, chunk, index),
            None => Ok(()),
        })
    }

    /// Deletes all capabilities to a frame but its own, which says which. One kernel call, and two
    /// more for one that has an alias.
    ///
    /// # Errors
    /// [`Error::Kernel`]: what was done is recorded, and the rest can be tried again.
    pub fn revoke_frame(&mut self, kernel: &mut impl Kernel, frame: CPtr) -> Result<()> {
        let one = Frames { first: frame, count: 1, size_bits: self.sizes.frame_bits[0] };
        self.remove_aliases_of(kernel, one)?;
        let revoked = kernel.cnode_revoke(self.path(frame));
        revoked.map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })
    }

    /// How many batches can have aliases of their frames: nodes for that, used and spare. O(1).
    pub fn alias_nodes(&self) -> usize {
        self.chunks.alias_pool.len()
    }

    /// How many aliases are mapped. O(batches).
    pub fn mapped_aliases(&self) -> usize {
        let each = self.chunks.iter().filter_map(|chunk| chunk.aliases());
        each.map(|aliases| aliases.mapped_count()).sum()
    }

    fn small_frame(&self, frame: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let small = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        self.chunks.look_up(frame).filter(|(chunk, _)| chunk.recycles_as(small))
    }
}
