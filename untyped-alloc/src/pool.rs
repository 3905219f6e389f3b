//! Pools of book-keeping nodes: a free list over pages that never move.
//!
//! A node lives in memory that its owner adopted for the lifetime `'p`, is shared by `&'p`
//! reference, and keeps what changes in `Cell`s. So no tree over nodes needs `unsafe`, and giving a
//! node back can neither fail nor allocate.

use core::cell::Cell;

use crate::kernel::Memory;

/// What a pool can hold.
pub trait Pooled<'p>: Default + 'p {
    /// The node's place in the free list. The pool's business alone.
    fn next_free(&self) -> &Cell<Option<&'p Self>>;
}

/// A free list of nodes of one type.
pub struct Pool<'p, T: Pooled<'p>> {
    head: Option<&'p T>,
    free: usize,
    total: usize,
}

impl<'p, T: Pooled<'p>> Pool<'p, T> {
    /// An empty pool.
    pub const fn new() -> Self {
        Pool {
            head: None,
            free: 0,
            total: 0,
        }
    }

    /// Takes a node, with whatever its last user left in it; `None` when the pool is empty.
    pub fn take(&mut self) -> Option<&'p T> {
        let node = self.head?;
        self.head = node.next_free().take();
        self.free -= 1;
        Some(node)
    }

    /// Gives a node back. It must be in no tree.
    pub fn give(&mut self, node: &'p T) {
        node.next_free().set(self.head);
        self.head = Some(node);
        self.free += 1;
    }

    /// Adds the nodes that fit in the mapped page at `vaddr` (4 KiB).
    pub fn adopt(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        let nodes = memory.adopt::<T>(vaddr);
        self.total += nodes.len();
        nodes.iter().for_each(|node| self.give(node));
    }

    /// How many nodes are free.
    pub fn free(&self) -> usize {
        self.free
    }

    /// How many nodes there are, free and used.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl<'p, T: Pooled<'p>> Default for Pool<'p, T> {
    fn default() -> Self {
        Pool::new()
    }
}
