//! The buddy tree of untypeds.
//!
//! ```text
//!   2^20  split                      a block is one untyped capability; a split retypes it in one
//!    ├─ 2^18 used ── a chunk         call into up to four untypeds of the same size; `busy` counts
//!    ├─ 2^18 split                   the children that are not free
//!    │   ├─ 2^16 free
//!    │   └─ …                        leaves (free or used) are ordered by physical address,
//!    ├─ 2^18 free                    free ones also by (size, dirty, address): the first that is
//!    └─ 2^18 free                    large enough is the best fit
//! ```
//!
//! A block is *dirty* when its next retype will make the kernel clear it (4.8 thousand
//! instructions for 4 KiB): boot untypeds, and blocks that were used before. Children fresh from a
//! split are clean, because the split itself has cleared their parent.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};

use crate::chunk::Chunk;
use crate::pool::Pool;
use crate::types::CPtr;

/// What a block is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State<'p> {
    /// In the tree of free blocks; no capability is derived from it.
    Free,
    /// Retyped into smaller blocks of this size.
    Split { child_bits: u8 },
    /// Retyped into the objects of a chunk.
    Used(&'p Chunk<'p>),
}

/// One untyped capability.
pub(crate) struct Block<'p> {
    next_free: Cell<Option<&'p Block<'p>>>,
    by_fit: RBTreeLink,
    by_address: RBTreeLink,
    pub parent: Cell<Option<&'p Block<'p>>>,
    pub state: Cell<State<'p>>,
    pub slot: Cell<CPtr>,
    pub paddr: Cell<usize>,
    pub size_bits: Cell<u8>,
    pub dirty: Cell<bool>,
    pub device: Cell<bool>,
    /// Children that are not free, for a split block: 0 to 4.
    pub busy: Cell<u8>,
}

impl Default for Block<'_> {
    fn default() -> Self {
        Block {
            next_free: Cell::new(None),
            by_fit: RBTreeLink::new(),
            by_address: RBTreeLink::new(),
            parent: Cell::new(None),
            state: Cell::new(State::Free),
            slot: Cell::new(CPtr::NULL),
            paddr: Cell::new(0),
            size_bits: Cell::new(0),
            dirty: Cell::new(false),
            device: Cell::new(false),
            busy: Cell::new(0),
        }
    }
}

impl core::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "untyped {:#x}+2^{}", self.paddr.get(), self.size_bits.get())
    }
}

impl PartialEq for Block<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Block<'_> {}

impl Block<'_> {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        1 << self.size_bits.get()
    }

    /// Whether the physical address lies in it.
    pub fn contains(&self, paddr: usize) -> bool {
        paddr >= self.paddr.get() && paddr - self.paddr.get() < self.bytes()
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByFit<'p> = &'p Block<'p>: Block<'p> { by_fit => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByAddress<'p> = &'p Block<'p>: Block<'p> { by_address => RBTreeLink }
    );
}
use adapters::{ByAddress, ByFit};

type FitKey = (u8, bool, usize);

fn fit_key(block: &Block<'_>) -> FitKey {
    (block.size_bits.get(), block.dirty.get(), block.paddr.get())
}

impl<'a, 'p> KeyAdapter<'a> for ByFit<'p> {
    type Key = FitKey;
    fn get_key(&self, block: &'a Block<'p>) -> FitKey {
        fit_key(block)
    }
}

impl<'a, 'p> KeyAdapter<'a> for ByAddress<'p> {
    type Key = usize;
    fn get_key(&self, block: &'a Block<'p>) -> usize {
        block.paddr.get()
    }
}

/// All blocks: of RAM, and of device memory.
pub(crate) struct Blocks<'p> {
    pub pool: Pool<'p, Block<'p>>,
    /// Free RAM blocks. Device blocks are never found by fit, only by address.
    free: RBTree<ByFit<'p>>,
    /// Split RAM blocks without a busy child: what merging would bring back.
    idle: RBTree<ByFit<'p>>,
    leaves: RBTree<ByAddress<'p>>,
    /// Bytes of RAM in free blocks.
    pub free_bytes: usize,
    /// Bytes of RAM and of device memory in all.
    pub total_bytes: usize,
    pub device_bytes: usize,
}

impl<'p> Blocks<'p> {
    pub fn new() -> Self {
        Blocks {
            pool: Pool::new(|node| &node.next_free),
            free: RBTree::new(ByFit::new()),
            idle: RBTree::new(ByFit::new()),
            leaves: RBTree::new(ByAddress::new()),
            free_bytes: 0,
            total_bytes: 0,
            device_bytes: 0,
        }
    }

    /// Enters a new leaf that is free. `node` comes from the pool.
    pub fn enter(
        &mut self,
        node: &'p Block<'p>,
        parent: Option<&'p Block<'p>>,
        slot: CPtr,
        paddr: usize,
        size_bits: u8,
    ) {
        node.parent.set(parent);
        node.slot.set(slot);
        node.paddr.set(paddr);
        node.size_bits.set(size_bits);
        node.busy.set(0);
        if let Some(parent) = parent {
            node.dirty.set(false);
            node.device.set(parent.device.get());
        }
        self.leaves.insert(node);
        self.put_free(node);
    }

    /// Enters a boot untyped.
    pub fn enter_boot(
        &mut self,
        node: &'p Block<'p>,
        slot: CPtr,
        paddr: usize,
        size_bits: u8,
        device: bool,
    ) {
        // The kernel clears a boot untyped at its first retype, whatever it held.
        node.dirty.set(true);
        node.device.set(device);
        self.enter(node, None, slot, paddr, size_bits);
        let total = if device { &mut self.device_bytes } else { &mut self.total_bytes };
        *total += node.bytes();
    }

    fn put_free(&mut self, block: &'p Block<'p>) {
        block.state.set(State::Free);
        if !block.device.get() {
            self.free_bytes += block.bytes();
            self.free.insert(block);
        }
    }

    /// Takes a free block out of the free ones for the use `state`; its parent gets a busy child.
    pub fn occupy(&mut self, block: &'p Block<'p>, state: State<'p>) {
        debug_assert_eq!(block.state.get(), State::Free);
        if !block.device.get() {
            self.free_bytes -= block.bytes();
            self.free.find_mut(&fit_key(block)).remove();
        }
        block.state.set(state);
        if let Some(parent) = block.parent.get() {
            if parent.busy.replace(parent.busy.get() + 1) == 0 {
                self.leave_idle(parent);
            }
        }
    }

    fn enter_idle(&mut self, block: &'p Block<'p>) {
        if !block.device.get() {
            self.idle.insert(block);
        }
    }

    fn leave_idle(&mut self, block: &'p Block<'p>) {
        if !block.device.get() {
            self.idle.find_mut(&fit_key(block)).remove();
        }
    }

    /// Makes a block free again whose capability has no children any more. Its next retype clears
    /// it.
    pub fn vacate(&mut self, block: &'p Block<'p>) {
        block.dirty.set(true);
        self.put_free(block);
        if let Some(parent) = block.parent.get() {
            parent.busy.set(parent.busy.get() - 1);
            if parent.busy.get() == 0 {
                self.enter_idle(parent);
            }
        }
    }

    /// Records that the free `block` was split into the `children` (free, consecutive slots).
    pub fn divide(
        &mut self,
        block: &'p Block<'p>,
        child_bits: u8,
        first_slot: CPtr,
        children: &[Option<&'p Block<'p>>],
    ) {
        self.occupy(block, State::Split { child_bits });
        self.leaves.find_mut(&block.paddr.get()).remove();
        block.dirty.set(true);
        self.enter_idle(block);
        for (index, child) in children.iter().flatten().enumerate() {
            let paddr = block.paddr.get() + (index << child_bits);
            self.enter(child, Some(block), first_slot.offset(index), paddr, child_bits);
        }
    }

    /// Records that the children of the idle `block` are gone; returns the first child's slot and
    /// how many there were.
    pub fn unite(&mut self, block: &'p Block<'p>) -> (CPtr, usize) {
        let State::Split { child_bits } = block.state.get() else {
            unreachable!("only split blocks are idle")
        };
        self.leave_idle(block);
        let count = 1 << (block.size_bits.get() - child_bits);
        let mut first_slot = CPtr::NULL;
        for index in (0..count).rev() {
            let paddr = block.paddr.get() + (index << child_bits);
            if let Some(child) = self.leaves.find_mut(&paddr).remove() {
                if !child.device.get() {
                    self.free_bytes -= child.bytes();
                    self.free.find_mut(&fit_key(child)).remove();
                }
                first_slot = child.slot.get();
                self.pool.give(child);
            }
        }
        self.leaves.insert(block);
        // As for any block that becomes free: counted, and one busy child less above.
        self.vacate(block);
        (first_slot, count)
    }

    /// The best fit for 2^`size_bits` bytes: the smallest free RAM block that is large enough, a
    /// clean one before a dirty one, the lowest address first.
    pub fn best_fit(&self, size_bits: u8) -> Option<&'p Block<'p>> {
        self.free.lower_bound(Bound::Included(&(size_bits, false, 0))).clone_pointer()
    }

    /// A split block of device memory whose children are all free: one that a refused call left
    /// so. O(leaves).
    pub fn idle_device(&self) -> Option<&'p Block<'p>> {
        let devices = self.leaves().filter(|leaf| leaf.device.get());
        devices.filter_map(|leaf| leaf.parent.get()).find(|parent| parent.busy.get() == 0)
    }

    /// An idle block that is worth uniting to get 2^`size_bits` bytes: the smallest one that is
    /// large enough, else the largest there is.
    pub fn idle_for(&self, size_bits: u8) -> Option<&'p Block<'p>> {
        let fitting =
            self.idle.lower_bound(Bound::Included(&(size_bits, false, 0))).clone_pointer();
        fitting.or_else(|| self.idle.back().clone_pointer())
    }

    /// The leaf (free or used) that covers a physical address.
    pub fn leaf_at(&self, paddr: usize) -> Option<&'p Block<'p>> {
        let block = self.leaves.upper_bound(Bound::Included(&paddr)).clone_pointer()?;
        block.contains(paddr).then_some(block)
    }

    /// The first leaf at or above a physical address.
    pub fn leaf_from(&self, paddr: usize) -> Option<&'p Block<'p>> {
        self.leaves.lower_bound(Bound::Included(&paddr)).clone_pointer()
    }

    /// The largest free RAM block, in bits; 0 when none is free.
    pub fn largest_free_bits(&self) -> u8 {
        self.free.back().get().map_or(0, |block| block.size_bits.get())
    }

    /// Every leaf, in the order of physical addresses.
    pub fn leaves(&self) -> impl Iterator<Item = &'p Block<'p>> + '_ {
        let mut cursor = self.leaves.front();
        core::iter::from_fn(move || {
            let block = cursor.clone_pointer();
            cursor.move_next();
            block
        })
    }

    /// How many free and idle blocks the trees hold, for checking them against the leaves.
    pub fn tree_counts(&self) -> (usize, usize) {
        (self.free.iter().count(), self.idle.iter().count())
    }
}
