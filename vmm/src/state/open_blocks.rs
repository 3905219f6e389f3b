// SPDX-License-Identifier: BSD-2-Clause
//! Open blocks: where single pages were mapped of late, in any order.
//!
//! A page that is mapped beside others is recorded in the window of its block (see `window.rs`).
//! What must be found out for it (the region, the window, the page table, what a touch there is)
//! holds for all pages of the block, and is kept for as many blocks as there are places: as long as
//! the space has no change but pages that come and go (invariant I46). An append cursor does the
//! same for pages that come in order.
//!
//! ```text
//!   block number   ──► place = its last bits, and those of the space's number
//!   place          │ space │ number │ changes │ window │ table │ usable pages │ rights │ …
//! ```

use page_tables::{Geometry, Table, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Mobility, Rights};

use super::extent::Extent;
use super::extent_node::ExtentNode;
use super::region::Region;
use super::site::Site;
use super::space::Space;
use super::window::{BLOCK_BITS, BLOCK_PAGES};
use crate::types::fault::FaultClass;
use crate::types::ids::SpaceId;

/// How many blocks are kept: of 64 KiB each, so that memory of 4 MiB is filled without a search.
/// The last bits of a block's number say where it is kept.
const PLACES: usize = 64;

/// A block of which single pages are mapped, and what holds for all of them.
#[derive(Clone, Copy)]
pub(crate) struct OpenBlock<'p> {
    pub space: &'p Space<'p>,
    pub region: &'p Region<'p>,
    /// Its window, or the only page of it that can become one; in the tree of the space's extents.
    pub node: &'p ExtentNode<'p>,
    /// The page table that its pages are in.
    pub table: &'p Table<'p>,
    /// Its address, in blocks.
    number: usize,
    /// The changes of its space, as they were when all this was found out.
    changes: u64,
    /// Bit n is set where page n lies between the guards of its region, and between what else is
    /// mapped before the window and behind it.
    usable: u16,
    /// The rights that its region's pages are mapped with.
    pub rights: Rights,
    pub mobility: Mobility,
    /// What a touch of a page is that is not mapped, if the rights allow it.
    /// `None` until one was touched.
    pub class: Option<FaultClass>,
}

impl<'p> OpenBlock<'p> {
    /// The block of a page of a site, which is recorded in `node` now.
    pub fn new(
        geometry: &Geometry,
        site: &Site<'p>,
        (node, table): (&'p ExtentNode<'p>, &'p Table<'p>),
        page: VirtAddr,
    ) -> OpenBlock<'p> {
        let number = number_of(geometry, page.bits());
        let start = number << (geometry.page_bits + BLOCK_BITS);
        let pages = |to: usize| (to.saturating_sub(start) >> geometry.page_bits).min(BLOCK_PAGES);
        let below = |page: usize| (1u32 << page) - 1;
        let room = site.space.extents().watch_around(node);
        let (low, high) = (site.low.max(room.start), site.high.min(room.end));
        let usable = (below(pages(high)) & !below(pages(low))) as u16;
        let Site { space, region, rights, mobility, .. } = *site;
        let changes = space.changes_of_nodes();
        let class = None;
        OpenBlock { space, region, node, table, number, changes, usable, rights, mobility, class }
    }

    /// Whether what was found out still holds.
    #[inline(always)]
    pub fn is_valid(&self) -> bool {
        self.changes == self.space.changes_of_nodes()
    }

    /// Whether a page of it, at `address`, may be mapped and can be in the window: it lies between
    /// the guards of its region, and nothing is mapped there.
    #[inline(always)]
    pub fn has_room_at(&self, geometry: &Geometry, address: VirtAddr) -> bool {
        // What was an extent of one page here may have become a window elsewhere.
        let here = number_of(geometry, self.node.start().bits()) == self.number;
        here && self.is_usable(geometry, address) && !self.node.has(address)
    }

    #[inline(always)]
    fn is_usable(&self, geometry: &Geometry, address: VirtAddr) -> bool {
        let page = address.bits() >> geometry.page_bits & (BLOCK_PAGES - 1);
        self.usable >> page & 1 != 0
    }

    /// Whether the node is still an extent of one page in the block, and can become a window for
    /// the page at `address`.
    pub fn can_widen(&self, geometry: &Geometry, address: VirtAddr) -> bool {
        let page = Frames { first: CPtr::NULL, count: 1, size_bits: geometry.page_bits };
        let page = Extent::fresh(address, page, self.rights, CachePolicy::WriteBack);
        self.is_usable(geometry, address) && self.node.takes(&page) && !self.node.covers(address)
    }

    /// Its first address, in bytes, and which of its pages can be in the window.
    pub fn pages(&self, geometry: &Geometry) -> (usize, u16) {
        (self.number << (geometry.page_bits + BLOCK_BITS), self.usable)
    }
}

/// The address of the block that an address in bytes is in, in blocks.
#[inline(always)]
fn number_of(geometry: &Geometry, address: usize) -> usize {
    address >> (geometry.page_bits + BLOCK_BITS)
}

/// Where a block is kept.
#[derive(Clone, Copy)]
pub(crate) struct Place(usize);

/// The blocks that are kept: the last one of each place.
pub(crate) struct OpenBlocks<'p>([Option<OpenBlock<'p>>; PLACES]);

impl<'p> OpenBlocks<'p> {
    /// None.
    pub const fn new() -> OpenBlocks<'p> {
        OpenBlocks([None; PLACES])
    }

    /// The place of a block. Blocks of one space that lie together are in places of their own, and
    /// so are blocks of several spaces at the same addresses.
    #[inline(always)]
    fn place(space: SpaceId, number: usize) -> Place {
        Place((number ^ (space.number as usize).wrapping_mul(5)) % PLACES)
    }

    /// Where the block is kept that an address (bytes) of a space is in, if it is and what is known
    /// of it holds.
    #[inline(always)]
    pub fn find(&self, geometry: &Geometry, space: SpaceId, address: usize) -> Option<Place> {
        let number = number_of(geometry, address);
        let place = OpenBlocks::place(space, number);
        let block = self.at(place)?;
        let is = block.number == number && block.space.id.get() == space && block.is_valid();
        is.then_some(place)
    }

    /// The block that is kept at a place.
    #[inline(always)]
    pub fn at(&self, place: Place) -> Option<&OpenBlock<'p>> {
        self.0[place.0].as_ref()
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn at_mut(&mut self, place: Place) -> Option<&mut OpenBlock<'p>> {
        self.0[place.0].as_mut()
    }

    /// Keeps a block, in the place of another.
    pub fn keep(&mut self, block: OpenBlock<'p>) {
        let place = OpenBlocks::place(block.space.id.get(), block.number);
        self.0[place.0] = Some(block);
    }

    /// All that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &OpenBlock<'p>> {
        self.0.iter().flatten()
    }
}
