// SPDX-License-Identifier: BSD-2-Clause
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
//! A block is *dirty* when its next retype will make the kernel clear it (1.5 thousand
//! instructions for 4 KiB): boot untypeds, and blocks that were used before. Children fresh from a
//! split are clean, because the split itself has cleared their parent. A split block with no busy
//! child is *coalescible*: revoking its capability makes it one free block again.
//!
//! A block has a [`Group`]: what the split was made for that it came of. Free blocks of each group
//! are in a tree of their own, and the best fit looks through one after another. What is put
//! together again is in the group that it was in before it was split.

use intrusive_collections::{Bound, KeyAdapter, RBTree};

use super::nodes::{Block, BlockState, ByAddress, ByFit, Group};
use super::pool::Pool;
use crate::types::{CPtr, Mobility, UntypedInfo};

/// How many children a split makes at the most, in bits. Four at once halve the calls and the
/// capability slots that splitting in two would cost on the way down, and still leave blocks of
/// every size behind.
pub const MAX_SPLIT_BITS: u8 = 2;

/// How many groups of RAM there are.
const GROUPS: usize = 3;

/// The tree of a group; `None` of that whose free blocks are found by address alone.
fn tree_of(group: Group) -> Option<usize> {
    match group {
        Group::Neutral => Some(0),
        Group::For(Mobility::Movable) => Some(1),
        Group::For(Mobility::Fixed) => Some(2),
        Group::Device => None,
    }
}

/// The trees of blocks for what may be moved, or must stay, and for the other of both.
fn own_and_other(mobility: Mobility) -> [usize; 2] {
    match mobility {
        Mobility::Movable => [1, 2],
        Mobility::Fixed => [2, 1],
    }
}

type FitKey = (u8, bool, usize);

fn fit_key(block: &Block<'_>) -> FitKey {
    (block.size_bits(), block.is_dirty(), block.paddr())
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
        block.paddr()
    }
}

/// All blocks: of RAM, and of device memory.
pub struct Blocks<'p> {
    /// Spare nodes.
    pub pool: Pool<'p, Block<'p>>,
    /// Free RAM blocks, by group. Device blocks are never found by fit, only by address.
    free: [RBTree<ByFit<'p>>; GROUPS],
    /// Split RAM blocks without a busy child.
    coalescible: RBTree<ByFit<'p>>,
    leaves: RBTree<ByAddress<'p>>,
    /// The size of a large page: blocks of this size and above are neutral.
    large_bits: u8,
    /// Changes whenever a block becomes free, or is free no more.
    changes: u32,
    free_bytes: usize,
    total_bytes: usize,
    device_bytes: usize,
    /// Bytes of device memory in free blocks.
    device_free_bytes: usize,
    /// Bytes of RAM, and of device memory, below split blocks that lack some of their children.
    missing_bytes: [usize; 2],
}

impl<'p> Blocks<'p> {
    /// No block at all. Those smaller than 2^`large_bits` bytes are in groups.
    pub fn new(large_bits: u8) -> Self {
        Blocks {
            pool: Pool::new(|node| &node.next_free),
            free: core::array::from_fn(|_| RBTree::new(ByFit::new())),
            coalescible: RBTree::new(ByFit::new()),
            leaves: RBTree::new(ByAddress::new()),
            large_bits,
            changes: 0,
            free_bytes: 0,
            total_bytes: 0,
            device_bytes: 0,
            device_free_bytes: 0,
            missing_bytes: [0; 2],
        }
    }

    /// Bytes of RAM in free blocks.
    pub fn free_bytes(&self) -> usize {
        self.free_bytes
    }

    /// A number that is another one once a block has become free, or is free no more; it is used
    /// again after 2^32 times.
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// Bytes of RAM in all.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Bytes of RAM, or of device memory, that no leaf covers: a refused call left blocks with some
    /// of their children, and they are whole again when they are coalesced.
    pub fn missing_bytes(&self, device: bool) -> usize {
        self.missing_bytes[usize::from(device)]
    }

    /// Bytes of device memory in blocks that are used.
    pub fn device_used_bytes(&self) -> usize {
        self.device_bytes - self.device_free_bytes - self.missing_bytes(true)
    }

    /// Bytes of device memory in all.
    pub fn device_bytes(&self) -> usize {
        self.device_bytes
    }

    /// Records a new leaf that is free, its group and dirtiness known. `node` comes from the pool.
    fn insert(
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
        self.leaves.insert(node);
        self.insert_free(node);
    }

    /// Records an untyped of the boot information, which overlaps no other. `node` comes from the
    /// pool.
    pub fn insert_boot(&mut self, node: &'p Block<'p>, info: UntypedInfo) {
        // The kernel clears a boot untyped at its first retype, whatever it held.
        node.dirty.set(true);
        node.group.set(if info.is_device { Group::Device } else { Group::Neutral });
        self.insert(node, None, info.slot, info.paddr, info.size_bits);
        let total = if info.is_device { &mut self.device_bytes } else { &mut self.total_bytes };
        *total += node.bytes();
    }

    fn insert_free(&mut self, block: &'p Block<'p>) {
        block.state.set(BlockState::Free);
        self.changes = self.changes.wrapping_add(1);
        match tree_of(block.group()) {
            Some(tree) => {
                self.free_bytes += block.bytes();
                self.free[tree].insert(block);
            }
            None => self.device_free_bytes += block.bytes(),
        }
    }

    fn remove_free(&mut self, block: &'p Block<'p>) {
        self.changes = self.changes.wrapping_add(1);
        match tree_of(block.group()) {
            Some(tree) => {
                self.free_bytes -= block.bytes();
                self.free[tree].find_mut(&fit_key(block)).remove();
            }
            None => self.device_free_bytes -= block.bytes(),
        }
    }

    /// Takes a free block out of the free ones for the use `state`; its parent gets a busy child.
    pub fn mark_used(&mut self, block: &'p Block<'p>, state: BlockState<'p>) {
        debug_assert_eq!(block.state(), BlockState::Free);
        self.remove_free(block);
        block.state.set(state);
        if let Some(parent) = block.parent() {
            if parent.busy.replace(parent.busy.get() + 1) == 0 {
                self.remove_coalescible(parent);
            }
        }
    }

    fn insert_coalescible(&mut self, block: &'p Block<'p>) {
        if !block.is_device() {
            self.coalescible.insert(block);
        }
    }

    fn remove_coalescible(&mut self, block: &'p Block<'p>) {
        if !block.is_device() {
            self.coalescible.find_mut(&fit_key(block)).remove();
        }
    }

    /// Makes a block free again whose capability has no children any more. Its next retype clears
    /// it.
    pub fn mark_free(&mut self, block: &'p Block<'p>) {
        block.dirty.set(true);
        self.insert_free(block);
        if let Some(parent) = block.parent() {
            parent.busy.set(parent.busy.get() - 1);
            if parent.busy.get() == 0 {
                self.insert_coalescible(parent);
            }
        }
    }

    /// Records that the free `block` was split into the `children` (nodes of the pool), which are
    /// free, in this `group` (unless they are a device's, or as large as large pages), and whose
    /// capabilities lie in consecutive slots.
    pub fn split(
        &mut self,
        block: &'p Block<'p>,
        child_bits: u8,
        group: Group,
        first_slot: CPtr,
        children: &[Option<&'p Block<'p>>],
    ) {
        let slots: [CPtr; 1 << MAX_SPLIT_BITS] =
            core::array::from_fn(|index| first_slot.offset(index));
        self.split_scattered(block, child_bits, group, &slots, children);
    }

    /// As [`Blocks::split`], with the children's capabilities in any slots. There may be fewer of
    /// them than there is room for, the first ones; not none.
    pub fn split_scattered(
        &mut self,
        block: &'p Block<'p>,
        child_bits: u8,
        group: Group,
        slots: &[CPtr],
        children: &[Option<&'p Block<'p>>],
    ) {
        // Out of the tree of free blocks first: `dirty` is part of the key that it is found by.
        self.mark_used(block, BlockState::Split { child_bits });
        self.leaves.find_mut(&block.paddr()).remove();
        block.dirty.set(true);
        self.insert_coalescible(block);
        let group = match block.group() {
            Group::Device => Group::Device,
            _ if child_bits >= self.large_bits => Group::Neutral,
            _ => group,
        };
        for (index, child) in children.iter().flatten().enumerate() {
            let paddr = block.paddr() + (index << child_bits);
            child.dirty.set(false);
            child.group.set(group);
            self.insert(child, Some(block), slots[index], paddr, child_bits);
        }
        let there = children.len() << child_bits;
        self.missing_bytes[usize::from(block.is_device())] += block.bytes() - there;
    }

    /// The slots of the children of a coalescible block, in the order of their addresses.
    pub fn child_slots(&self, block: &'p Block<'p>) -> impl Iterator<Item = CPtr> + use<'_, 'p> {
        self.leaves_in(block).map(|child| child.slot())
    }

    /// Records that the children of the coalescible `block` are gone; returns the first child's
    /// slot and how many there were, which holds of the slots where they are consecutive.
    pub fn coalesce(&mut self, block: &'p Block<'p>) -> (CPtr, usize) {
        let BlockState::Split { child_bits } = block.state() else {
            unreachable!("only split blocks are coalescible")
        };
        self.remove_coalescible(block);
        let count = 1 << (block.size_bits() - child_bits);
        let mut first_slot = CPtr::NULL;
        // Downwards, so that the first child's slot is the one that stays.
        for index in (0..count).rev() {
            let paddr = block.paddr() + (index << child_bits);
            if let Some(child) = self.leaves.find_mut(&paddr).remove() {
                self.remove_free(child);
                first_slot = child.slot();
                self.pool.free(child);
            } else {
                self.missing_bytes[usize::from(block.is_device())] -= 1 << child_bits;
            }
        }
        self.leaves.insert(block);
        // As for any block that becomes free: counted, and one busy child less above.
        self.mark_free(block);
        (first_slot, count)
    }

    /// The best fit for 2^`size_bits` bytes of objects of this mobility: the smallest free RAM
    /// block that is large enough, a clean one before a dirty one, the lowest address first. It is
    /// one of their group or one of which no large page can be; or else a neutral one, or else one
    /// of the others.
    pub fn best_fit(&self, size_bits: u8, mobility: Mobility) -> Option<&'p Block<'p>> {
        self.best_fit_clearing(size_bits, mobility, usize::MAX)
    }

    fn fit_in(&self, tree: usize, size_bits: u8) -> Option<&'p Block<'p>> {
        self.free[tree].lower_bound(Bound::Included(&(size_bits, false, 0))).clone_pointer()
    }

    /// As [`Blocks::best_fit`], of blocks that are clean or have at most `most` bytes. O(log n)
    /// for each group, and for each size of which there is a dirty one that is larger.
    pub fn best_fit_clearing(
        &self,
        size_bits: u8,
        mobility: Mobility,
        most: usize,
    ) -> Option<&'p Block<'p>> {
        let fit = |tree| self.fit_clearing_in(tree, size_bits, most);
        let [own, other] = own_and_other(mobility).map(|tree| move || fit(tree));
        let neutral = fit(0);
        let small = neutral.filter(|block| block.size_bits() < self.large_bits);
        match (own(), small) {
            (Some(own), Some(small)) if fit_key(small) < fit_key(own) => Some(small),
            (own, _) => own.or(neutral).or_else(other),
        }
    }

    fn fit_clearing_in(&self, tree: usize, size_bits: u8, most: usize) -> Option<&'p Block<'p>> {
        let mut bits = size_bits;
        loop {
            let block = self.fit_in(tree, bits)?;
            if !block.is_dirty() || block.bytes() <= most {
                return Some(block);
            }
            // Of this size the clean ones would have come first.
            bits = block.size_bits() + 1;
        }
    }

    /// The smallest free dirty RAM block of at least 2^`size_bits` bytes, in whatever group. O(log
    /// n) for each size.
    pub fn dirty_fit(&self, size_bits: u8) -> Option<&'p Block<'p>> {
        let trees = (0..GROUPS).filter_map(|tree| self.dirty_fit_in(tree, size_bits));
        trees.min_by_key(|block| fit_key(block))
    }

    fn dirty_fit_in(&self, tree: usize, size_bits: u8) -> Option<&'p Block<'p>> {
        let mut bits = size_bits;
        loop {
            let key = (bits, true, 0);
            let block = self.free[tree].lower_bound(Bound::Included(&key)).clone_pointer()?;
            if block.is_dirty() {
                return Some(block);
            }
            // Clean and larger: the dirty ones of its size come behind it.
            bits = block.size_bits();
        }
    }

    /// A split block of device memory whose children are all free: one that a refused call left
    /// so. O(leaves).
    pub fn coalescible_device(&self) -> Option<&'p Block<'p>> {
        let devices = self.leaves().filter(|leaf| leaf.is_device());
        devices.filter_map(|leaf| leaf.parent()).find(|parent| parent.busy_children() == 0)
    }

    /// A block of at most `most` bytes that is worth coalescing to get 2^`size_bits` bytes: the
    /// smallest coalescible one that is large enough, else the largest there is.
    pub fn coalescible_for(&self, size_bits: u8, most: usize) -> Option<&'p Block<'p>> {
        let key = (size_bits, false, 0);
        let fitting = self.coalescible.lower_bound(Bound::Included(&key)).clone_pointer();
        if let Some(block) = fitting.filter(|block| block.bytes() <= most) {
            return Some(block);
        }
        let last = (most.checked_ilog2()? as u8, true, usize::MAX);
        self.coalescible.upper_bound(Bound::Included(&last)).clone_pointer()
    }

    /// The smallest split block of at least 2^`size_bits` bytes whose children are smaller than
    /// that, and all free. O(log n), and for each before it with larger children.
    pub fn free_in_pieces(&self, size_bits: u8) -> Option<&'p Block<'p>> {
        let key = (size_bits, false, 0);
        let mut cursor = self.coalescible.lower_bound(Bound::Included(&key));
        loop {
            let block = cursor.clone_pointer()?;
            if block.size_bits() >= size_bits + MAX_SPLIT_BITS {
                // Its children are as large, and so are those of all that come behind it.
                return None;
            }
            match block.state() {
                BlockState::Split { child_bits } if child_bits < size_bits => return Some(block),
                _ => cursor.move_next(),
            }
        }
    }

    /// Whether a split block of less than 2^`size_bits` bytes has only free children.
    pub fn has_coalescible_below(&self, size_bits: u8) -> bool {
        self.coalescible.front().get().is_some_and(|block| block.size_bits() < size_bits)
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
        let largest = self.free.iter().filter_map(|tree| tree.back().clone_pointer());
        largest.map(Block::size_bits).max().unwrap_or(0)
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

    /// Every leaf that lies in a block, in the order of physical addresses.
    pub fn leaves_in(&self, block: &'p Block<'p>) -> impl Iterator<Item = &'p Block<'p>> + '_ {
        let mut cursor = self.leaves.lower_bound(Bound::Included(&block.paddr()));
        core::iter::from_fn(move || {
            let leaf = cursor.clone_pointer().filter(|leaf| block.contains(leaf.paddr()))?;
            cursor.move_next();
            Some(leaf)
        })
    }

    /// How many free and coalescible blocks the trees hold, for checking them against the leaves.
    pub fn tree_counts(&self) -> (usize, usize) {
        let free = self.free.iter().map(|tree| tree.iter().count()).sum();
        (free, self.coalescible.iter().count())
    }
}
