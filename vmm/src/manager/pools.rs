// SPDX-License-Identifier: BSD-2-Clause
//! Pools of the nodes of this crate.

use page_tables::Table;
use untyped_alloc::{Memory, Pool};

use crate::state::cap_copies::CapCopies;
use crate::state::extent_node::ExtentNode;
use crate::state::open_blocks::Shelf;
use crate::state::refcounts::RefcountGroup;
use crate::state::region::Region;
use crate::state::reserve::{Reserve, Wanted};
use crate::state::single_copies::SingleCopies;
use crate::state::space::Space;
use crate::state::threads::Thread;
use crate::state::window::Window;
use crate::types::error::{Error, NodeKind, Result};

/// Nodes of this crate that are free.
pub(crate) struct Pools<'p> {
    pub regions: Pool<'p, Region<'p>>,
    extents: Pool<'p, ExtentNode<'p>>,
    windows: Pool<'p, Window<'p>>,
    pub shelves: Pool<'p, Shelf<'p>>,
    pub tables: Pool<'p, Table<'p>>,
    pub spaces: Pool<'p, Space<'p>>,
    pub refcounts: Pool<'p, RefcountGroup<'p>>,
    pub copies: Pool<'p, CapCopies<'p>>,
    pub singles: Pool<'p, SingleCopies<'p>>,
    pub threads: Pool<'p, Thread<'p>>,
    /// What was to be had last, and there was none: nodes that nobody must have.
    pub wanted: Option<Wanted>,
}

impl<'p> Pools<'p> {
    pub fn new() -> Self {
        Pools {
            regions: Pool::new(|node| &node.next_free),
            extents: Pool::new(|node| &node.next_free),
            windows: Pool::new(|node| &node.next_free),
            shelves: Pool::new(|node| &node.next_free),
            tables: Pool::new(|node| &node.next_free),
            spaces: Pool::new(|node| &node.next_free),
            refcounts: Pool::new(|node| &node.next_free),
            copies: Pool::new(|node| &node.next_free),
            singles: Pool::new(|node| &node.next_free),
            threads: Pool::new(|node| &node.next_free),
            wanted: None,
        }
    }

    /// Takes a region's node.
    pub fn region(&mut self, reserve: &mut Reserve) -> Result<&'p Region<'p>> {
        reserve.spend_region();
        self.regions.alloc().ok_or(Error::OutOfNodes(NodeKind::Region))
    }

    /// Takes an extent's node.
    pub fn extent(&mut self, reserve: &mut Reserve) -> Result<&'p ExtentNode<'p>> {
        reserve.spend_extent();
        self.extents.alloc().ok_or(Error::OutOfNodes(NodeKind::Extent))
    }

    /// Gives an extent's node back that was taken for this step and not needed.
    pub fn spare_extent(&mut self, reserve: &mut Reserve, node: &'p ExtentNode<'p>) {
        reserve.credit_extent();
        self.free_extent(node);
    }

    /// Frees an extent's node, with its window if it was one.
    pub fn free_extent(&mut self, node: &'p ExtentNode<'p>) {
        if let Some(window) = node.take_window() {
            self.windows.free(window);
        }
        self.extents.free(node);
    }

    /// Takes a window, if there is one: who has none does without. The next refill makes some.
    #[inline(always)]
    pub fn window(&mut self) -> Option<&'p Window<'p>> {
        let window = self.windows.alloc();
        if window.is_none() {
            self.wanted = Some(Wanted::Own(NodeKind::Window));
        }
        window
    }

    /// Whether there is a window to be taken.
    pub fn has_windows(&self) -> bool {
        self.windows.available() != 0
    }

    /// Gives a window back that was taken and not needed.
    pub fn free_window(&mut self, window: &'p Window<'p>) {
        self.windows.free(window);
    }

    /// Takes a shelf, as [`Pools::window`] takes a window.
    pub fn shelf(&mut self) -> Option<&'p Shelf<'p>> {
        let shelf = self.shelves.alloc();
        if shelf.is_none() {
            self.wanted = Some(Wanted::Shelves);
        }
        shelf
    }

    /// Takes a node for single copies, as [`Pools::window`] takes a window.
    pub fn single_copies(&mut self) -> Option<&'p SingleCopies<'p>> {
        let node = self.singles.alloc();
        if node.is_none() {
            self.wanted = Some(Wanted::SingleCopies);
        }
        node
    }

    /// Nodes for extents that are free.
    #[inline(always)]
    pub fn free_extents(&self) -> usize {
        self.extents.available()
    }

    /// Bytes in nodes of extents, with those of windows; of all of them, and of those in use.
    pub fn extent_bytes(&self) -> (usize, usize) {
        let total = self.extents.total_bytes() + self.windows.total_bytes();
        (total, self.extents.used_bytes() + self.windows.used_bytes())
    }

    /// Makes a page into nodes for extents.
    pub fn adopt_extents(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        self.extents.adopt(memory, vaddr);
    }

    /// Makes a page into windows.
    pub fn adopt_windows(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        self.wanted = None;
        self.windows.adopt(memory, vaddr);
    }

    /// Makes a page into shelves.
    pub fn adopt_shelves(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        self.wanted = None;
        self.shelves.adopt(memory, vaddr);
    }

    /// Makes a page into nodes for single copies.
    pub fn adopt_singles(&mut self, memory: &mut impl Memory<'p>, vaddr: usize) {
        self.wanted = None;
        self.singles.adopt(memory, vaddr);
    }

    /// Takes a table's node.
    pub fn table(&mut self, reserve: &mut Reserve) -> Result<&'p Table<'p>> {
        reserve.spend_table();
        self.tables.alloc().ok_or(Error::OutOfNodes(NodeKind::Table))
    }
}
