//! Consecutive runs of capability slots.
//!
//! Slots are managed in windows of 4096. A window is a bitmap (a set bit is a free slot) under a
//! heap-shaped binary tree that holds, for each node, the largest aligned free run beneath it:
//!
//! ```text
//!   best[1]            covers 4096 slots    value = 1 + log2 of the largest aligned
//!   best[2] best[3]    2048 each                    free run beneath, 0 when there is none
//!     …
//!   best[128..256]     32 each: one word of the bitmap
//! ```
//!
//! Taking a run walks down the tree, preferring the child with the smaller sufficient run; freeing
//! recomputes the words touched and the path above them. Both cost O(log 4096) plus the words the
//! run covers, need no memory, and so freeing never fails. Windows are ordered by their largest
//! run, so the one to take from is found in O(log windows).

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};

use crate::pool::Pool;
use crate::types::{CPtr, Object};

/// Slots in one window.
pub(crate) const WINDOW_SLOTS: usize = 4096;
const WORDS: usize = WINDOW_SLOTS / 32;

/// The most consecutive slots one request can have: as many as one retype fills.
pub(crate) const RUN_LIMIT: usize = 256;

/// 4096 capability slots of one CNode.
pub(crate) struct SlotWindow<'p> {
    next_free: Cell<Option<&'p SlotWindow<'p>>>,
    by_room: RBTreeLink,
    by_base: RBTreeLink,
    /// The first slot.
    pub base: Cell<CPtr>,
    /// The CNode object, for a CNode of ours; none for the initial CNode.
    pub cnode: Cell<Option<Object>>,
    /// How many slots were handed to us in this window, and how many of them are free.
    pub capacity: Cell<u16>,
    pub free: Cell<u16>,
    words: [Cell<u32>; WORDS],
    /// A set bit: the slot was handed to a caller, who alone may give it back.
    lent: [Cell<u32>; WORDS],
    best: [Cell<u8>; 2 * WORDS],
}

impl Default for SlotWindow<'_> {
    fn default() -> Self {
        SlotWindow {
            next_free: Cell::new(None),
            by_room: RBTreeLink::new(),
            by_base: RBTreeLink::new(),
            base: Cell::new(CPtr::NULL),
            cnode: Cell::new(None),
            capacity: Cell::new(0),
            free: Cell::new(0),
            words: [const { Cell::new(0) }; WORDS],
            lent: [const { Cell::new(0) }; WORDS],
            best: [const { Cell::new(0) }; 2 * WORDS],
        }
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByRoom<'p> = &'p SlotWindow<'p>: SlotWindow<'p> { by_room => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByBase<'p> = &'p SlotWindow<'p>: SlotWindow<'p> { by_base => RBTreeLink }
    );
}
use adapters::{ByBase, ByRoom};

impl<'a, 'p> KeyAdapter<'a> for ByRoom<'p> {
    type Key = (u8, CPtr);
    fn get_key(&self, window: &'a SlotWindow<'p>) -> (u8, CPtr) {
        (window.best[1].get(), window.base.get())
    }
}

impl<'a, 'p> KeyAdapter<'a> for ByBase<'p> {
    type Key = CPtr;
    fn get_key(&self, window: &'a SlotWindow<'p>) -> CPtr {
        window.base.get()
    }
}

/// The masks that keep, of a word, the bits at which an aligned run of 2, 4, 8, 16, 32 starts.
const ALIGNED: [u32; 5] = [0x5555_5555, 0x1111_1111, 0x0101_0101, 0x0001_0001, 0x0000_0001];

/// The bits of `word` at which an aligned run of 2^`order` set bits starts, `order` ≤ 5.
fn run_starts(word: u32, order: u32) -> u32 {
    (0..order as usize).fold(word, |starts, step| starts & (starts >> (1 << step)) & ALIGNED[step])
}

/// 1 + log2 of the largest aligned run of set bits in `word`, 0 when there is none.
fn best_of_word(word: u32) -> u8 {
    match word {
        0 => 0,
        u32::MAX => 6,
        _ => (1..5).rev().find(|&order| run_starts(word, order) != 0).unwrap_or(0) as u8 + 1,
    }
}

impl SlotWindow<'_> {
    /// Starts over: slots `from..to` (counted from `base`) are free, all others are not ours.
    fn reset(&self, base: CPtr, from: usize, to: usize) {
        self.base.set(base);
        self.cnode.set(None);
        self.capacity.set((to - from) as u16);
        self.free.set(0);
        self.words.iter().chain(&self.lent).for_each(|word| word.set(0));
        self.best.iter().for_each(|best| best.set(0));
        self.mark(from, to - from, true);
    }

    /// Whether every one of `count` slots from `at` on has the state `free`.
    fn all(&self, at: usize, count: usize, free: bool) -> bool {
        (at..at + count).all(|bit| (self.words[bit / 32].get() >> (bit % 32) & 1 == 1) == free)
    }

    /// Whether every one of `count` slots from `at` on was handed to a caller.
    fn all_lent(&self, at: usize, count: usize) -> bool {
        (at..at + count).all(|bit| self.lent[bit / 32].get() >> (bit % 32) & 1 == 1)
    }

    /// Records that `count` slots from `at` on are a caller's, or no more.
    fn lend(&self, at: usize, count: usize, lent: bool) {
        for bit in at..at + count {
            let (word, mask) = (&self.lent[bit / 32], 1 << (bit % 32));
            word.set(if lent { word.get() | mask } else { word.get() & !mask });
        }
    }

    /// Whether no free slot counts as a caller's.
    pub fn lent_are_taken(&self) -> bool {
        self.words.iter().zip(&self.lent).all(|(free, lent)| free.get() & lent.get() == 0)
    }

    /// Whether the slot is free.
    pub fn is_free(&self, slot: CPtr) -> bool {
        self.all(slot.bits() - self.base.get().bits(), 1, true)
    }

    /// Whether the count of free slots and the tree are what the bitmap says.
    pub fn free_is_exact(&self) -> bool {
        let words = || self.words.iter().map(Cell::get);
        let count: u32 = words().map(u32::count_ones).sum();
        let leaves = self.best[WORDS..].iter().map(Cell::get);
        count == u32::from(self.free.get()) && leaves.eq(words().map(best_of_word))
    }

    /// Gives `count` slots from `at` on the state `free` and brings the tree up to date.
    fn mark(&self, at: usize, count: usize, free: bool) {
        let (first, last) = (at / 32, (at + count - 1) / 32);
        for index in first..=last {
            let low = at.saturating_sub(index * 32);
            let high = (at + count - index * 32).min(32);
            let mask = (u32::MAX >> (32 - (high - low))) << low;
            let word = &self.words[index];
            word.set(if free { word.get() | mask } else { word.get() & !mask });
            self.best[WORDS + index].set(best_of_word(word.get()));
        }
        let change = count as u16;
        self.free.set(if free { self.free.get() + change } else { self.free.get() - change });

        let (mut low, mut high) = ((WORDS + first) / 2, (WORDS + last) / 2);
        let mut whole_child = 6;
        while low >= 1 {
            for node in low..=high {
                let (left, right) = (self.best[2 * node].get(), self.best[2 * node + 1].get());
                let whole = left == whole_child && right == whole_child;
                self.best[node].set(if whole { whole_child + 1 } else { left.max(right) });
            }
            (low, high, whole_child) = (low / 2, high / 2, whole_child + 1);
        }
    }

    /// Where an aligned free run of 2^`order` slots starts. There must be one: `best[1] > order`.
    fn find(&self, order: u32) -> usize {
        let need = order as u8 + 1;
        let (mut node, mut whole, mut slots) = (1, 13, WINDOW_SLOTS);
        while node < WORDS && need != whole {
            let (left, right) = (self.best[2 * node].get(), self.best[2 * node + 1].get());
            let take_right = right >= need && (left < need || right < left);
            node = 2 * node + usize::from(take_right);
            (whole, slots) = (whole - 1, slots / 2);
        }
        let start = (node * slots) % WINDOW_SLOTS;
        if need >= 6 {
            return start;
        }
        start + run_starts(self.words[start / 32].get(), order).trailing_zeros() as usize
    }
}

/// All windows.
pub(crate) struct Slots<'p> {
    pub pool: Pool<'p, SlotWindow<'p>>,
    by_room: RBTree<ByRoom<'p>>,
    by_base: RBTree<ByBase<'p>>,
    pub free: usize,
    pub capacity: usize,
}

impl<'p> Slots<'p> {
    pub fn new() -> Self {
        Slots {
            pool: Pool::new(|node| &node.next_free),
            by_room: RBTree::new(ByRoom::new()),
            by_base: RBTree::new(ByBase::new()),
            free: 0,
            capacity: 0,
        }
    }

    /// Adds the slots `from..to` of the window at `base`; `None` when there is no node for it.
    pub fn add(&mut self, base: CPtr, from: usize, to: usize) -> Option<&'p SlotWindow<'p>> {
        let window = self.pool.take()?;
        window.reset(base, from, to);
        self.free += to - from;
        self.capacity += to - from;
        self.by_room.insert(window);
        self.by_base.insert(window);
        Some(window)
    }

    /// Removes a window all of whose slots are free.
    pub fn remove(&mut self, window: &'p SlotWindow<'p>) {
        debug_assert_eq!(window.free.get(), window.capacity.get());
        self.free -= usize::from(window.free.get());
        self.capacity -= usize::from(window.capacity.get());
        self.by_room.find_mut(&(window.best[1].get(), window.base.get())).remove();
        self.by_base.find_mut(&window.base.get()).remove();
        self.pool.give(window);
    }

    /// Takes `count` consecutive slots, 1 to [`RUN_LIMIT`], all in one window; `None` when there is
    /// no such run.
    pub fn take(&mut self, count: usize) -> Option<CPtr> {
        let order = count.next_power_of_two().trailing_zeros();
        let window = self
            .by_room
            .lower_bound(Bound::Included(&(order as u8 + 1, CPtr::NULL)))
            .clone_pointer()?;
        let at = window.find(order);
        self.mark(window, at, count, false);
        Some(window.base.get().offset(at))
    }

    /// Gives `count` consecutive slots back, which must be empty. Returns false, and does nothing,
    /// unless each of them was taken.
    pub fn give(&mut self, first: CPtr, count: usize) -> bool {
        let Some(window) = self.window_of(first) else {
            return false;
        };
        let at = first.bits() - window.base.get().bits();
        if count > WINDOW_SLOTS - at || !window.all(at, count, false) {
            return false;
        }
        self.mark(window, at, count, true);
        true
    }

    /// Records that these slots, which were just taken, are a caller's.
    pub fn lend(&self, first: CPtr, count: usize) {
        if let Some(window) = self.window_of(first) {
            window.lend(first.bits() - window.base.get().bits(), count, true);
        }
    }

    /// Takes slots back from a caller. Returns false, and does nothing, unless all are lent.
    pub fn give_lent(&mut self, first: CPtr, count: usize) -> bool {
        let Some(window) = self.window_of(first) else {
            return false;
        };
        let at = first.bits() - window.base.get().bits();
        if count > WINDOW_SLOTS - at || !window.all_lent(at, count) {
            return false;
        }
        window.lend(at, count, false);
        self.give(first, count)
    }

    /// The window that holds `slot`.
    pub fn window_of(&self, slot: CPtr) -> Option<&'p SlotWindow<'p>> {
        let window = self.by_base.upper_bound(Bound::Included(&slot)).clone_pointer()?;
        (slot.bits() - window.base.get().bits() < WINDOW_SLOTS).then_some(window)
    }

    /// A window of a CNode of ours that has no slot in use, if there is one.
    pub fn unused(&self) -> Option<&'p SlotWindow<'p>> {
        let whole = (13, CPtr::NULL);
        let mut cursor = self.by_room.lower_bound(Bound::Included(&whole));
        while let Some(window) = cursor.clone_pointer() {
            if window.cnode.get().is_some() {
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
        let key = (window.best[1].get(), window.base.get());
        window.mark(at, count, free);
        self.free = if free { self.free + count } else { self.free - count };
        if window.best[1].get() != key.0 {
            // The key changed under the tree, so the node is found by walking the key it had.
            self.rekey(window, key);
        }
    }

    fn rekey(&mut self, window: &'p SlotWindow<'p>, old: (u8, CPtr)) {
        let new = window.best[1].replace(old.0);
        let removed = self.by_room.find_mut(&old).remove();
        debug_assert!(removed.is_some());
        window.best[1].set(new);
        self.by_room.insert(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    /// The largest aligned run by looking at every position: the oracle of `best`.
    fn best_by_search(window: &SlotWindow<'_>) -> u8 {
        (0..=12)
            .rev()
            .find(|&order| {
                (0..WINDOW_SLOTS).step_by(1 << order).any(|at| window.all(at, 1 << order, true))
            })
            .map_or(0, |order| order as u8 + 1)
    }

    #[test]
    fn best_of_word_is_the_largest_aligned_run() {
        for (word, best) in [(0, 0), (1, 1), (0b110, 1), (0b11, 2), (0xf0, 3), (0xff00, 4), (!0, 6)]
        {
            assert_eq!(best_of_word(word), best, "{word:#b}");
        }
        assert_eq!(best_of_word(0xffff_0000), 5);
    }

    #[test]
    fn the_tree_agrees_with_a_search_under_random_takes_and_gives() {
        let window = SlotWindow::default();
        window.reset(CPtr::new(0x1_0000), 129, 4096);
        let (mut held, mut seed) = (std::vec::Vec::new(), 1u32);
        for step in 0..if cfg!(miri) { 200 } else { 4000 } {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let count = 1 + (seed >> 24) as usize * (seed as usize >> 22 & 1);
            let order = count.next_power_of_two().trailing_zeros();
            if seed >> 16 & 3 != 0 && window.best[1].get() as u32 > order {
                let at = window.find(order);
                assert_eq!(at % (1 << order), 0, "aligned");
                assert!(window.all(at, count, true), "handed out only when free");
                window.mark(at, count, false);
                held.push((at, count));
            } else if !held.is_empty() {
                let (at, count) = held.swap_remove(seed as usize % held.len());
                window.mark(at, count, true);
            }
            if step % 40 == 0 {
                assert_eq!(window.best[1].get(), best_by_search(&window));
            }
        }
        held.drain(..).for_each(|(at, count)| window.mark(at, count, true));
        assert_eq!(window.free.get(), 4096 - 129);
    }
}
