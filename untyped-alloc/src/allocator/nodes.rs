// SPDX-License-Identifier: BSD-2-Clause
//! Book-keeping memory: pages of nodes that the owner gives.

use super::Allocator;
use crate::kernel::Memory;
use crate::types::NodeKind;

impl<'p> Allocator<'p> {
    /// Makes the mapped page at `vaddr` (of the smallest size) into book-keeping nodes of one kind.
    pub fn adopt_page(&mut self, memory: &mut impl Memory<'p>, vaddr: usize, kind: NodeKind) {
        match kind {
            NodeKind::Block => self.blocks.pool.adopt(memory, vaddr),
            NodeKind::Chunk => self.chunks.pool.adopt(memory, vaddr),
            NodeKind::SlotWindow => self.slots.pool.adopt(memory, vaddr),
            NodeKind::Aliases => self.chunks.alias_pool.adopt(memory, vaddr),
        }
    }

    /// Which kind of node has fallen below what one more page of nodes can cost to make: adopt a
    /// page for it before the next operation, while there is enough left to get that page.
    ///
    /// A page costs one chunk, a split from the largest block down (4 blocks for each 2 bits), and
    /// a CNode if the slots run out at that moment, with a split and a chunk of its own.
    pub fn wanting(&self) -> Option<NodeKind> {
        if self.blocks.pool.available() < 96 {
            Some(NodeKind::Block)
        } else if self.chunks.pool.available() < 6 {
            Some(NodeKind::Chunk)
        } else if self.slots.pool.available() < 1 {
            Some(NodeKind::SlotWindow)
        } else {
            None
        }
    }

    /// Bytes of book-keeping nodes, spare ones included.
    pub(crate) fn bookkeeping_bytes(&self) -> usize {
        self.blocks.pool.total_bytes()
            + self.chunks.pool.total_bytes()
            + self.chunks.alias_pool.total_bytes()
            + self.slots.pool.total_bytes()
    }

    /// Bytes of book-keeping nodes in use, spare ones not counted.
    pub fn bookkeeping_bytes_used(&self) -> usize {
        self.blocks.pool.used_bytes()
            + self.chunks.pool.used_bytes()
            + self.chunks.alias_pool.used_bytes()
            + self.slots.pool.used_bytes()
    }
}
