// SPDX-License-Identifier: BSD-2-Clause
//! Pools of the nodes of this crate.

use page_tables::Table;
use untyped_alloc::Pool;

use crate::state::extents::ExtentNode;
use crate::state::refcounts::{CapCopies, RefcountGroup};
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::threads::Thread;
use crate::types::error::{Error, NodeKind, Result};

/// Nodes of this crate that are free.
pub(crate) struct Pools<'p> {
    pub regions: Pool<'p, Region<'p>>,
    pub extents: Pool<'p, ExtentNode<'p>>,
    pub tables: Pool<'p, Table<'p>>,
    pub spaces: Pool<'p, Space<'p>>,
    pub refcounts: Pool<'p, RefcountGroup<'p>>,
    pub copies: Pool<'p, CapCopies<'p>>,
    pub threads: Pool<'p, Thread<'p>>,
}

impl<'p> Pools<'p> {
    pub fn new() -> Self {
        Pools {
            regions: Pool::new(|node| &node.next_free),
            extents: Pool::new(|node| &node.next_free),
            tables: Pool::new(|node| &node.next_free),
            spaces: Pool::new(|node| &node.next_free),
            refcounts: Pool::new(|node| &node.next_free),
            copies: Pool::new(|node| &node.next_free),
            threads: Pool::new(|node| &node.next_free),
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
        self.extents.free(node);
    }

    /// Takes a table's node.
    pub fn table(&mut self, reserve: &mut Reserve) -> Result<&'p Table<'p>> {
        reserve.spend_table();
        self.tables.alloc().ok_or(Error::OutOfNodes(NodeKind::Table))
    }
}
