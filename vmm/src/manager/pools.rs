//! Pools of the nodes of this crate.

use page_tables::Table;
use untyped_alloc::Pool;

use crate::state::extents::ExtentNode;
use crate::state::refcounts::{CapCopies, RefcountGroup};
use crate::state::region::Region;
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

    pub fn region(&mut self) -> Result<&'p Region<'p>> {
        self.regions.take().ok_or(Error::OutOfNodes(NodeKind::Region))
    }

    pub fn extent(&mut self) -> Result<&'p ExtentNode<'p>> {
        self.extents.take().ok_or(Error::OutOfNodes(NodeKind::Extent))
    }

    pub fn table(&mut self) -> Result<&'p Table<'p>> {
        self.tables.take().ok_or(Error::OutOfNodes(NodeKind::Table))
    }
}
