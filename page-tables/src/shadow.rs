// SPDX-License-Identifier: BSD-2-Clause
//! The shadow of a VSpace: a record of the paging structures below its root.
//!
//! The kernel tells nobody which page tables a VSpace has or how full they are. So each is recorded
//! here with its capability and a count of its used entries (frames, or structures of the next
//! level). A structure whose count falls to zero is *empty*: it is found without looking at any
//! entry. The root itself is not recorded; it lives as long as its VSpace.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};

use crate::address::{PageRange, VirtAddr};
use crate::geometry::Geometry;

/// One paging structure below the root.
#[derive(Default)]
pub struct Table<'p> {
    /// For the pool this node comes from.
    pub next_free: Cell<Option<&'p Table<'p>>>,
    by_place: RBTreeLink,
    by_empty: RBTreeLink,
    base: Cell<VirtAddr>,
    capability: Cell<usize>,
    used: Cell<u16>,
    level: Cell<u8>,
    permanent: Cell<bool>,
}

// On IA32: elsewhere words of 64 bits lie apart by as many.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Table<'_>>() <= 40 || align_of::<u64>() == 8);

impl Table<'_> {
    /// Where what it covers begins.
    pub fn base(&self) -> VirtAddr {
        self.base.get()
    }

    /// Its level; 1 is the one below the root.
    pub fn level(&self) -> u8 {
        self.level.get()
    }

    /// Its capability, as the word it was recorded with.
    pub fn capability(&self) -> usize {
        self.capability.get()
    }

    /// How many of its entries are used.
    pub fn used(&self) -> usize {
        usize::from(self.used.get())
    }

    /// Records one more entry of a structure that has some: it is not among the empty ones, so only
    /// its count changes.
    #[inline(always)]
    pub fn use_one_more(&self) {
        self.use_more(1);
    }

    /// The same, of so many entries.
    #[inline(always)]
    pub fn use_more(&self, entries: usize) {
        debug_assert!(!self.is_listed_empty());
        // No structure has more entries than that.
        self.used.set(self.used.get() + entries as u16);
    }

    /// Records one entry less of a structure that has others, and so stays among those in use.
    #[inline(always)]
    pub fn use_one_less(&self) {
        debug_assert!(self.used() > 1);
        self.used.set(self.used.get() - 1);
    }

    /// Whether it is kept with no entry in use, to be used again or given back.
    pub fn is_listed_empty(&self) -> bool {
        self.by_empty.is_linked()
    }

    /// Whether it is never given back: it came with the VSpace.
    pub fn is_permanent(&self) -> bool {
        self.permanent.get()
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByPlace<'p> = &'p Table<'p>: Table<'p> { by_place => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByEmpty<'p> = &'p Table<'p>: Table<'p> { by_empty => RBTreeLink }
    );
}
use adapters::{ByEmpty, ByPlace};

type Place = (u8, VirtAddr);

fn place(table: &Table<'_>) -> Place {
    (table.level.get(), table.base.get())
}

impl<'a> KeyAdapter<'a> for ByPlace<'_> {
    type Key = Place;
    fn get_key(&self, table: &'a Table<'_>) -> Place {
        place(table)
    }
}

impl<'a> KeyAdapter<'a> for ByEmpty<'_> {
    type Key = Place;
    fn get_key(&self, table: &'a Table<'_>) -> Place {
        place(table)
    }
}

/// All paging structures of one VSpace below its root. Look-ups are O(log structures).
pub struct Shadow<'p> {
    by_place: RBTree<ByPlace<'p>>,
    empty: RBTree<ByEmpty<'p>>,
    /// The structure that was found last, which is still there: pages next to each other share one.
    last: Cell<Option<&'p Table<'p>>>,
    count: usize,
    empty_count: usize,
}

impl<'p> Shadow<'p> {
    /// The shadow of a VSpace with a root and nothing else.
    pub fn new() -> Self {
        Shadow {
            by_place: RBTree::new(ByPlace::new()),
            empty: RBTree::new(ByEmpty::new()),
            last: Cell::new(None),
            count: 0,
            empty_count: 0,
        }
    }

    /// The structure of `level` that covers `address`, if there is one.
    #[inline(always)]
    pub fn find(&self, geometry: &Geometry, level: u8, address: VirtAddr) -> Option<&'p Table<'p>> {
        let wanted = (level, geometry.table_base(level, address));
        match self.last.get() {
            Some(table) if place(table) == wanted => Some(table),
            _ => self.search(wanted),
        }
    }

    #[inline(never)]
    fn search(&self, wanted: Place) -> Option<&'p Table<'p>> {
        let table = self.by_place.find(&wanted).clone_pointer()?;
        self.last.set(Some(table));
        Some(table)
    }

    /// The first place on the way down to `level` that lacks a structure for `address`: the
    /// level of what is missing. `None` when a frame can be mapped there.
    pub fn missing(&self, geometry: &Geometry, level: u8, address: VirtAddr) -> Option<u8> {
        (1..=level).find(|&level| self.find(geometry, level, address).is_none())
    }

    /// Records a structure that was just mapped, with no used entry. The one above it (if that is
    /// not the root) gets one more. `node` comes from a pool.
    pub fn insert(
        &mut self,
        geometry: &Geometry,
        node: &'p Table<'p>,
        level: u8,
        address: VirtAddr,
        capability: usize,
    ) {
        node.level.set(level);
        node.base.set(geometry.table_base(level, address));
        node.capability.set(capability);
        node.used.set(0);
        node.permanent.set(false);
        self.by_place.insert(node);
        self.empty.insert(node);
        (self.count, self.empty_count) = (self.count + 1, self.empty_count + 1);
        self.use_entries(geometry, level - 1, node.base.get(), 1);
    }

    /// Marks a structure as one that came with the VSpace: it is never empty.
    pub fn make_permanent(&mut self, table: &'p Table<'p>) {
        if table.is_listed_empty() {
            self.unlist(table);
        }
        table.permanent.set(true);
    }

    /// Marks a structure as one like all others again: without entries in use it is empty.
    pub fn make_ordinary(&mut self, table: &'p Table<'p>) {
        if table.permanent.replace(false) && table.used.get() == 0 {
            self.empty.insert(table);
            self.empty_count += 1;
        }
    }

    /// Takes the record of a structure away that was just unmapped or destroyed, and returns its
    /// node, which goes back to a pool. The structure above it gets one entry less.
    pub fn remove(&mut self, geometry: &Geometry, table: &'p Table<'p>) -> &'p Table<'p> {
        if table.is_listed_empty() {
            self.unlist(table);
        }
        self.by_place.find_mut(&place(table)).remove();
        self.last.set(None);
        self.count -= 1;
        self.release_entries(geometry, table.level.get() - 1, table.base.get(), 1);
        table
    }

    /// Records that `count` more entries of the structure of `level` that covers `address` are
    /// used. Level 0 is not counted.
    pub fn use_entries(&mut self, geometry: &Geometry, level: u8, address: VirtAddr, count: usize) {
        if let Some(table) = self.counted(geometry, level, address) {
            self.use_table(table, count);
        }
    }

    /// As [`Shadow::use_entries`], for a structure that was found before.
    #[inline]
    pub fn use_table(&mut self, table: &'p Table<'p>, count: usize) {
        if count == 0 {
            return;
        }
        if table.is_listed_empty() {
            self.unlist(table);
        }
        table.used.set(table.used.get() + count as u16);
    }

    /// Records that `count` entries less are used.
    pub fn release_entries(
        &mut self,
        geometry: &Geometry,
        level: u8,
        address: VirtAddr,
        count: usize,
    ) {
        if let Some(table) = self.counted(geometry, level, address) {
            table.used.set(table.used.get() - count as u16);
            if table.used.get() == 0 && !table.permanent.get() {
                self.empty.insert(table);
                self.empty_count += 1;
            }
        }
    }

    /// An empty structure, if there is one: the last by level and address, but not the one used
    /// last while there is another, as pages that were just unmapped are often mapped again.
    pub fn any_empty(&self) -> Option<&'p Table<'p>> {
        let back = self.empty.back().clone_pointer()?;
        match self.last.get() {
            Some(last) if core::ptr::eq(last, back) => self.empty.front().clone_pointer(),
            _ => Some(back),
        }
    }

    /// The first empty structure that lies in `range`, at any level.
    pub fn empty_in(&self, geometry: &Geometry, range: PageRange) -> Option<&'p Table<'p>> {
        (1..geometry.levels.len() as u8).rev().find_map(|level| {
            let from = (level, geometry.table_base(level, range.start()));
            let table = self.empty.lower_bound(Bound::Included(&from)).clone_pointer()?;
            let inside = table.level.get() == level && table.base.get().bits() < range.end();
            inside.then_some(table)
        })
    }

    /// How many structures there are, empty ones included.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none below the root.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many of them are empty.
    pub fn empty_len(&self) -> usize {
        self.empty_count
    }

    /// Every structure, by level and address.
    pub fn iter(&self) -> impl Iterator<Item = &'p Table<'p>> + '_ {
        let mut cursor = self.by_place.front();
        core::iter::from_fn(move || {
            let table = cursor.clone_pointer();
            cursor.move_next();
            table
        })
    }

    fn counted(&self, geometry: &Geometry, level: u8, address: VirtAddr) -> Option<&'p Table<'p>> {
        (level != 0).then(|| self.find(geometry, level, address)).flatten()
    }

    fn unlist(&mut self, table: &'p Table<'p>) {
        self.empty.find_mut(&place(table)).remove();
        self.empty_count -= 1;
    }
}

impl Default for Shadow<'_> {
    fn default() -> Self {
        Shadow::new()
    }
}
