// SPDX-License-Identifier: BSD-2-Clause
//! Open blocks: where single pages came, changed or went of late, in any order.
//!
//! A page that is mapped beside others, or changed in their midst, is recorded in the window of its
//! block (see `window.rs`). What must be found out for it (the region, the window, the page table,
//! what a touch there is) holds for all pages of the block, and is kept for as many blocks as there
//! are places: as long as regions, threads and page tables of the space are unchanged. Who changes
//! what lies beside a window closes its block (invariant I46). An append cursor does the same for
//! pages that come in order.
//!
//! They lie on *shelves*, nodes of book-keeping memory, which are taken when the first block is
//! opened and kept. Who has no memory for them does without.
//!
//! ```text
//!   block number   ──► place = its last bits, and those of the space's number
//!   place          │ space │ number │ changes │ window │ table │ usable pages │ rights │ …
//! ```

use core::cell::Cell;
use core::ops::Range;

use page_tables::{Geometry, Pages, Table, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Mobility, Rights};

use super::extent::Extent;
use super::extent_node::ExtentNode;
use super::region::Region;
use super::site::Site;
use super::space::Space;
use super::window::{BLOCK_BITS, BLOCK_PAGES};
use crate::types::fault::FaultClass;
use crate::types::ids::SpaceId;

/// Blocks on a shelf.
const ON_SHELF: usize = 16;
const SHELVES: usize = 4;
/// How many blocks are kept: of 64 KiB each, so that memory of 4 MiB is filled without a search.
/// The last bits of a block's number say where it is kept.
const PLACES: usize = SHELVES * ON_SHELF;

/// Where a block lies, and what it is recorded in.
#[derive(Clone, Copy)]
pub(crate) struct Links<'p> {
    pub space: &'p Space<'p>,
    pub region: &'p Region<'p>,
    /// Its window, or the only page of it that can become one; in the tree of the space's extents.
    pub node: &'p ExtentNode<'p>,
    /// The page table that its pages are in.
    pub table: &'p Table<'p>,
}

/// A block of which single pages change, and what holds for all of them; or a place for one.
pub(crate) struct OpenBlock<'p> {
    links: Cell<Option<Links<'p>>>,
    /// Its address, in blocks.
    number: Cell<usize>,
    /// The changes of its space, as they were when all this was found out.
    changes: Cell<u64>,
    /// Bit n is set where page n lies between the guards of its region, and between what else is
    /// mapped before the window and behind it.
    usable: Cell<u16>,
    /// The rights that its region's pages are mapped with.
    pub rights: Cell<Rights>,
    /// The rights that they may have at the most.
    pub ceiling: Cell<Rights>,
    pub mobility: Cell<Mobility>,
    /// What a touch of a page is that is not mapped, if the rights allow it.
    pub touch: Cell<Touch>,
}

/// What a touch of a page of an open block is that is not mapped, if the rights allow it: as much of
/// it as a page must know that is filled in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// None was touched yet.
    Unknown,
    /// The first touch of memory that is mapped on demand, page by page.
    DemandZero,
    /// The same, for a stack that grows.
    StackGrowth,
    /// Something else, or more pages are mapped.
    Other,
}

impl From<FaultClass> for Touch {
    fn from(class: FaultClass) -> Touch {
        match class {
            FaultClass::DemandZero { around: 1 } => Touch::DemandZero,
            FaultClass::StackGrowth { around: 1 } => Touch::StackGrowth,
            _ => Touch::Other,
        }
    }
}

impl Touch {
    /// The class of such a fault, if it maps one page.
    #[inline(always)]
    pub fn of_one_page(self) -> Option<FaultClass> {
        match self {
            Touch::DemandZero => Some(FaultClass::DemandZero { around: 1 }),
            Touch::StackGrowth => Some(FaultClass::StackGrowth { around: 1 }),
            Touch::Unknown | Touch::Other => None,
        }
    }
}

impl Default for OpenBlock<'_> {
    fn default() -> Self {
        OpenBlock {
            links: Cell::new(None),
            number: Cell::new(0),
            changes: Cell::new(0),
            usable: Cell::new(0),
            rights: Cell::new(Rights::empty()),
            ceiling: Cell::new(Rights::empty()),
            mobility: Cell::new(Mobility::Fixed),
            touch: Cell::new(Touch::Unknown),
        }
    }
}

impl<'p> OpenBlock<'p> {
    /// Keeps the block of a page of a site, which is recorded in `node` now; around that are no
    /// others in `room` (bytes).
    fn keep(
        &self,
        geometry: &Geometry,
        site: &Site<'p>,
        (node, table): (&'p ExtentNode<'p>, &'p Table<'p>),
        (number, room): (usize, Range<usize>),
    ) {
        let start = number << (geometry.page_bits + BLOCK_BITS);
        let pages = |to: usize| (to.saturating_sub(start) >> geometry.page_bits).min(BLOCK_PAGES);
        let below = |page: usize| (1u32 << page) - 1;
        let (low, high) = (site.low.max(room.start), site.high.min(room.end));
        let Site { space, region, rights, mobility, .. } = *site;
        self.links.set(Some(Links { space, region, node, table }));
        self.number.set(number);
        self.changes.set(space.changes());
        self.usable.set((below(pages(high)) & !below(pages(low))) as u16);
        self.rights.set(rights);
        self.ceiling.set(region.spec().ceiling);
        self.mobility.set(mobility);
        self.touch.set(Touch::Unknown);
    }

    /// Keeps it no more if it is one of a space's.
    #[inline(always)]
    fn close_for(&self, space: SpaceId) {
        if self.links.get().is_some_and(|links| links.space.id.get() == space) {
            self.links.set(None);
        }
    }

    /// Where it lies, and what it is recorded in, as long as what was found out holds; `None` for
    /// an empty place, too.
    #[inline(always)]
    pub fn links(&self) -> Option<Links<'p>> {
        // Taken apart, so that each of it is in a register, not all in a copy on the stack.
        let Links { space, region, node, table } = self.links.get()?;
        let holds = self.changes.get() == space.changes();
        holds.then_some(Links { space, region, node, table })
    }

    /// Whether page number `index` of it may be mapped and can be in the window of `node`: it lies
    /// between the guards of its region, and nothing is mapped there.
    #[inline(always)]
    pub fn has_room_at(&self, node: &ExtentNode<'p>, index: usize) -> bool {
        self.is_usable(index) && !node.has_page(index)
    }

    #[inline(always)]
    fn is_usable(&self, index: usize) -> bool {
        self.usable.get() >> index & 1 != 0
    }

    /// Whether `node` is still an extent of one page in the block, and can become a window for the
    /// page at `address`.
    pub fn can_widen(&self, node: &ExtentNode<'p>, geometry: &Geometry, address: VirtAddr) -> bool {
        let page = Frames { first: CPtr::NULL, count: 1, size_bits: geometry.page_bits };
        let page = Extent::fresh(address, page, self.rights.get(), CachePolicy::WriteBack);
        let index = index_in_block(geometry, address.bits());
        self.is_usable(index) && node.takes(&page) && !node.covers(address)
    }

    /// Its first address, in bytes, and which of its pages can be in the window.
    pub fn pages(&self, geometry: &Geometry) -> (usize, u16) {
        (self.number.get() << (geometry.page_bits + BLOCK_BITS), self.usable.get())
    }
}

/// The pages of the block that an address is in.
pub(crate) fn block_of(geometry: &Geometry, address: VirtAddr) -> Pages {
    let start = address.align_down(geometry.page_bits + BLOCK_BITS);
    Pages::at(start.bits()).count(BLOCK_PAGES)
}

/// The number in its block of the page that an address in bytes is in.
#[inline(always)]
pub(crate) fn index_in_block(geometry: &Geometry, address: usize) -> usize {
    address >> geometry.page_bits & (BLOCK_PAGES - 1)
}

/// The address of the block that an address in bytes is in, in blocks.
#[inline(always)]
fn number_of(geometry: &Geometry, address: usize) -> usize {
    address >> (geometry.page_bits + BLOCK_BITS)
}

/// Places for blocks.
#[derive(Default)]
pub(crate) struct Shelf<'p> {
    pub next_free: Cell<Option<&'p Shelf<'p>>>,
    blocks: [OpenBlock<'p>; ON_SHELF],
}

/// The blocks that are kept: the last one of each place.
pub(crate) struct OpenBlocks<'p>([Option<&'p Shelf<'p>>; SHELVES]);

impl<'p> OpenBlocks<'p> {
    /// None, and no shelf.
    pub const fn new() -> OpenBlocks<'p> {
        OpenBlocks([None; SHELVES])
    }

    /// The place of a block. Blocks of one space that lie together are in places of their own, and
    /// so are blocks of several spaces at the same addresses.
    #[inline(always)]
    fn place(space: SpaceId, number: usize) -> usize {
        (number ^ (space.number as usize).wrapping_mul(5)) % PLACES
    }

    /// The block that an address (bytes) of a space is in, if it is kept and what is known of it
    /// holds; with where it lies.
    #[inline(always)]
    pub fn find(
        &self,
        geometry: &Geometry,
        space: SpaceId,
        address: usize,
    ) -> Option<(&'p OpenBlock<'p>, Links<'p>)> {
        let (block, links) = self.in_place(geometry, space, address)?;
        (links.space.id.get() == space).then_some((block, links))
    }

    /// The same, for a space that was found already.
    #[inline(always)]
    pub fn find_in(
        &self,
        geometry: &Geometry,
        space: &Space<'p>,
        address: usize,
    ) -> Option<(&'p OpenBlock<'p>, Links<'p>)> {
        let (block, links) = self.in_place(geometry, space.id.get(), address)?;
        core::ptr::eq(links.space, space).then_some((block, links))
    }

    /// The block at an address (bytes) of whichever space is kept where that of a space would be.
    #[inline(always)]
    fn in_place(
        &self,
        geometry: &Geometry,
        space: SpaceId,
        address: usize,
    ) -> Option<(&'p OpenBlock<'p>, Links<'p>)> {
        let number = number_of(geometry, address);
        let place = OpenBlocks::place(space, number);
        let block = &self.0[place / ON_SHELF]?.blocks[place % ON_SHELF];
        if block.number.get() != number {
            return None;
        }
        Some((block, block.links()?))
    }

    /// Keeps the block of a page of a site, in the place of another; around its node are no others in
    /// `room` (bytes). `shelf` gives a shelf where there is none yet; without it nothing is kept.
    #[inline]
    pub fn keep(
        &mut self,
        geometry: &Geometry,
        site: &Site<'p>,
        (node, table): (&'p ExtentNode<'p>, &'p Table<'p>),
        (page, room): (VirtAddr, Range<usize>),
        shelf: impl FnOnce() -> Option<&'p Shelf<'p>>,
    ) {
        let number = number_of(geometry, page.bits());
        let place = OpenBlocks::place(site.space.id.get(), number);
        let there = &mut self.0[place / ON_SHELF];
        if there.is_none() {
            *there = shelf();
        }
        if let Some(shelf) = there {
            shelf.blocks[place % ON_SHELF].keep(geometry, site, (node, table), (number, room));
        }
    }

    /// Closes the block that an address (bytes) of a space is in, if it is kept: what lies beside
    /// its window is about to change, or its node to be of more than its block.
    #[inline(always)]
    pub fn close(&self, geometry: &Geometry, space: SpaceId, address: usize) {
        let number = number_of(geometry, address);
        let place = OpenBlocks::place(space, number);
        let Some(shelf) = self.0[place / ON_SHELF] else { return };
        let block = &shelf.blocks[place % ON_SHELF];
        if block.number.get() == number {
            block.close_for(space);
        }
    }

    /// All that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &'p OpenBlock<'p>> + '_ {
        self.0.iter().flatten().flat_map(|shelf| &shelf.blocks)
    }
}
