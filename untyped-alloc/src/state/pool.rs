// SPDX-License-Identifier: BSD-2-Clause
//! Pools of book-keeping nodes: a free list over pages that never move.
//!
//! A node lives in memory that its owner adopted for the lifetime `'p`, is shared by `&'p`
//! reference, and keeps what changes in `Cell`s. So no tree over nodes needs `unsafe`, and giving a
//! node back can neither fail nor allocate.

use core::cell::Cell;
use core::mem::size_of;

use crate::kernel::Memory;

/// The cell in a node that links the free list.
pub type NextFree<'p, T> = for<'a> fn(&'a T) -> &'a Cell<Option<&'p T>>;

/// A free list of nodes of one type.
pub struct Pool<'p, T> {
    next: NextFree<'p, T>,
    head: Option<&'p T>,
    /// Nodes that were never taken, and are not in the list.
    unused: &'p [T],
    /// All that are free, in the list or not.
    free: usize,
    total: usize,
}

impl<'p, T: Default + 'p> Pool<'p, T> {
    /// An empty pool of nodes that are linked by the cell `next` returns.
    pub const fn new(next: NextFree<'p, T>) -> Self {
        Pool { next, head: None, unused: &[], free: 0, total: 0 }
    }

    /// Takes a node, with whatever its last user left in it; `None` when the pool is empty.
    pub fn alloc(&mut self) -> Option<&'p T> {
        let node = match self.head {
            Some(node) => {
                self.head = (self.next)(node).take();
                node
            }
            None => {
                let (node, rest) = self.unused.split_first()?;
                self.unused = rest;
                node
            }
        };
        self.free -= 1;
        Some(node)
    }

    /// Gives a node back. It must be in no tree.
    pub fn free(&mut self, node: &'p T) {
        (self.next)(node).set(self.head);
        self.head = Some(node);
        self.free += 1;
    }

    /// Adds nodes that are in no pool yet.
    pub fn add(&mut self, nodes: &'p [T]) {
        self.total += nodes.len();
        let before = core::mem::replace(&mut self.unused, nodes);
        self.free += nodes.len();
        // They are counted already, and go into the list now.
        let mut head = self.head;
        for node in before {
            (self.next)(node).set(head);
            head = Some(node);
        }
        self.head = head;
    }

    /// Adds the nodes that fit in the mapped page at `vaddr` (of the smallest size).
    pub fn adopt(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        self.add(memory.adopt::<T>(vaddr));
    }

    /// How many nodes are free.
    pub fn available(&self) -> usize {
        self.free
    }

    /// How many nodes there are, free and used.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether it has no node at all, free or used.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Bytes in nodes, free and used.
    pub fn total_bytes(&self) -> usize {
        self.total * size_of::<T>()
    }

    /// Bytes in nodes that are used.
    pub fn used_bytes(&self) -> usize {
        (self.total - self.free) * size_of::<T>()
    }
}
