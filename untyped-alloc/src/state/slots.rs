// SPDX-License-Identifier: BSD-2-Clause
//! Consecutive runs of capability slots, in windows of 4096.
//!
//! Windows are ordered by their largest aligned run, so the one to allocate from is found in
//! O(log windows), and by their first slot.

use intrusive_collections::{Bound, KeyAdapter, RBTree};

use super::pool::Pool;
use super::slot_window::{ByBase, ByRoom, SlotWindow, WHOLE_WINDOW, WINDOW_SLOTS};
use crate::types::CPtr;

type RoomKey = (u8, CPtr);

fn room_key(window: &SlotWindow<'_>) -> RoomKey {
    (window.best(), window.base())
}

impl<'a, 'p> KeyAdapter<'a> for ByRoom<'p> {
    type Key = RoomKey;
    fn get_key(&self, window: &'a SlotWindow<'p>) -> RoomKey {
        room_key(window)
    }
}

impl<'a, 'p> KeyAdapter<'a> for ByBase<'p> {
    type Key = CPtr;
    fn get_key(&self, window: &'a SlotWindow<'p>) -> CPtr {
        window.base()
    }
}

/// All windows.
pub struct Slots<'p> {
    /// Spare nodes.
    pub pool: Pool<'p, SlotWindow<'p>>,
    by_room: RBTree<ByRoom<'p>>,
    by_base: RBTree<ByBase<'p>>,
    free: usize,
    capacity: usize,
}

impl<'p> Slots<'p> {
    /// No window at all.
    pub fn new() -> Self {
        Slots {
            pool: Pool::new(|node| &node.next_free),
            by_room: RBTree::new(ByRoom::new()),
            by_base: RBTree::new(ByBase::new()),
            free: 0,
            capacity: 0,
        }
    }

    /// How many slots are free in all windows.
    pub fn free_count(&self) -> usize {
        self.free
    }

    /// How many slots there are in all windows.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds the slots `from..to` (at least one) of the window at `base`; `None` when there is no
    /// node for it.
    pub fn insert(&mut self, base: CPtr, from: usize, to: usize) -> Option<&'p SlotWindow<'p>> {
        let window = self.pool.alloc()?;
        window.reset(base, from, to);
        self.free += to - from;
        self.capacity += to - from;
        self.by_room.insert(window);
        self.by_base.insert(window);
        Some(window)
    }

    /// Removes a window all of whose slots are free.
    pub fn remove(&mut self, window: &'p SlotWindow<'p>) {
        debug_assert_eq!(window.free_count(), window.capacity());
        self.free -= window.free_count();
        self.capacity -= window.capacity();
        self.by_room.find_mut(&room_key(window)).remove();
        self.by_base.find_mut(&window.base()).remove();
        self.pool.free(window);
    }

    /// Allocates `count` consecutive slots, 1 to [`MAX_BATCH`](crate::types::MAX_BATCH), all in one
    /// window; `None` when no aligned run of the next power of two is free.
    pub fn alloc(&mut self, count: usize) -> Option<CPtr> {
        let order = count.next_power_of_two().trailing_zeros();
        let window = self
            .by_room
            .lower_bound(Bound::Included(&(order as u8 + 1, CPtr::NULL)))
            .clone_pointer()?;
        let at = window.find(order);
        self.mark(window, at, count, false);
        Some(window.base().offset(at))
    }

    /// Frees `count` (at least one) consecutive slots, which must be empty. Returns false, and does
    /// nothing, when one of them is free. A slot that is not ours counts as allocated here.
    pub fn free(&mut self, first: CPtr, count: usize) -> bool {
        let Some(window) = self.window_of(first) else {
            return false;
        };
        let at = window.index_of(first);
        if count > WINDOW_SLOTS - at || !window.all(at, count, false) {
            return false;
        }
        self.mark(window, at, count, true);
        true
    }

    /// Records that these slots, which were just allocated, are a caller's.
    pub fn lend(&self, first: CPtr, count: usize) {
        if let Some(window) = self.window_of(first) {
            window.lend(window.index_of(first), count, true);
        }
    }

    /// Whether one of these slots is a caller's; `None` when they are not all in one window.
    pub fn any_lent(&self, first: CPtr, count: usize) -> Option<bool> {
        let window = self.window_of(first)?;
        let at = window.index_of(first);
        let inside = count <= WINDOW_SLOTS - at;
        inside.then(|| (at..at + count).any(|slot| window.all_lent(slot, 1)))
    }

    /// Frees slots that a caller gives back. Returns false, and does nothing, unless all are lent.
    pub fn free_lent(&mut self, first: CPtr, count: usize) -> bool {
        let Some(window) = self.window_of(first) else {
            return false;
        };
        let at = window.index_of(first);
        if count > WINDOW_SLOTS - at || !window.all_lent(at, count) {
            return false;
        }
        window.lend(at, count, false);
        self.free(first, count)
    }

    /// The window that holds `slot`.
    pub fn window_of(&self, slot: CPtr) -> Option<&'p SlotWindow<'p>> {
        let window = self.by_base.upper_bound(Bound::Included(&slot)).clone_pointer()?;
        (window.index_of(slot) < WINDOW_SLOTS).then_some(window)
    }

    /// A window of a CNode of ours that has no slot in use, if there is one.
    pub fn unused(&self) -> Option<&'p SlotWindow<'p>> {
        let whole = (WHOLE_WINDOW, CPtr::NULL);
        let mut cursor = self.by_room.lower_bound(Bound::Included(&whole));
        while let Some(window) = cursor.clone_pointer() {
            if window.cnode().is_some() {
                return Some(window);
            }
            cursor.move_next();
        }
        None
    }

    /// Every window, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &'p SlotWindow<'p>> + '_ {
        let mut cursor = self.by_base.front();
        core::iter::from_fn(move || {
            let window = cursor.clone_pointer();
            cursor.move_next();
            window
        })
    }

    fn mark(&mut self, window: &'p SlotWindow<'p>, at: usize, count: usize, free: bool) {
        let key = room_key(window);
        window.mark(at, count, free);
        self.free = if free { self.free + count } else { self.free - count };
        if window.best() != key.0 {
            // The key changed under the tree, so the node is found by walking the key it had.
            self.rekey(window, key);
        }
    }

    fn rekey(&mut self, window: &'p SlotWindow<'p>, old: RoomKey) {
        // For the time of the look-up the window has its old key, which the tree is sorted by.
        let new = window.replace_best(old.0);
        let removed = self.by_room.find_mut(&old).remove();
        debug_assert!(removed.is_some());
        window.replace_best(new);
        self.by_room.insert(window);
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Slots::new()
    }
}
