// SPDX-License-Identifier: BSD-2-Clause
//! A window of 4096 capability slots: which are free, and where a run of them lies.
//!
//! A bitmap (a set bit is a free slot) stands under a heap-shaped binary tree that holds, for each
//! node, the largest aligned free run beneath it:
//!
//! ```text
//!   best[1]            covers 4096 slots    value = 1 + log2 of the largest aligned
//!   best[2] best[3]    2048 each                    free run beneath, 0 when there is none
//!     …
//!   best[128..256]     32 each: one word of the bitmap
//! ```
//!
//! Finding a run walks down the tree, preferring the child with the smaller sufficient run; a
//! change recomputes the words touched and the path above them. Both cost O(log 4096) plus the
//! words that the run covers, and need no memory, so freeing never fails.

use core::cell::Cell;

use intrusive_collections::RBTreeLink;

use crate::types::{CPtr, Object};

/// Slots in one window.
pub const WINDOW_SLOTS: usize = 4096;
const WORDS: usize = WINDOW_SLOTS / 32;

/// The value in the tree of a word whose slots are all free.
const WHOLE_WORD: u8 = 1 + 32usize.trailing_zeros() as u8;

/// The value at the top of the tree where all slots are free.
pub(super) const WHOLE_WINDOW: u8 = 1 + WINDOW_SLOTS.trailing_zeros() as u8;

/// 4096 capability slots of one CNode.
pub struct SlotWindow<'p> {
    pub(super) next_free: Cell<Option<&'p SlotWindow<'p>>>,
    by_room: RBTreeLink,
    by_base: RBTreeLink,
    /// The first slot.
    base: Cell<CPtr>,
    /// The CNode object, for a CNode of ours; none for the initial CNode.
    cnode: Cell<Option<Object>>,
    /// How many slots of this window are ours, and how many of them are free.
    capacity: Cell<u16>,
    free: Cell<u16>,
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

/// The masks that keep, of a word, the bits at which an aligned run of 2, 4, 8, 16, 32 starts.
const ALIGNED: [u32; 5] = [0x5555_5555, 0x1111_1111, 0x0101_0101, 0x0001_0001, 0x0000_0001];

/// The bits at which an aligned run of 2^(`order` + 1) set bits starts, of those at which one of
/// 2^`order` does, `order` ≤ 4.
fn starts_of_twice(starts: u32, order: u8) -> u32 {
    starts & (starts >> (1 << order)) & ALIGNED[usize::from(order)]
}

/// The bits of `word` at which an aligned run of 2^`order` set bits starts, `order` ≤ 5.
fn run_starts(word: u32, order: u32) -> u32 {
    (0..order as u8).fold(word, starts_of_twice)
}

/// 1 + log2 of the largest aligned run of set bits in `word`, 0 when there is none.
pub(super) fn best_of_word(word: u32) -> u8 {
    if word == u32::MAX {
        return WHOLE_WORD;
    }
    // What is left of the word are the bits at which an aligned run of 2^`best` starts. As not all
    // are set, none is left for 32.
    let (mut starts, mut best) = (word, 0);
    while starts != 0 {
        starts = starts_of_twice(starts, best);
        best += 1;
    }
    best
}

impl SlotWindow<'_> {
    /// The first slot.
    pub fn base(&self) -> CPtr {
        self.base.get()
    }

    /// The CNode object, for a CNode of ours; none for the initial CNode.
    pub fn cnode(&self) -> Option<Object> {
        self.cnode.get()
    }

    /// Records that the slots lie in a CNode of ours.
    pub fn set_cnode(&self, cnode: Object) {
        self.cnode.set(Some(cnode));
    }

    /// How many of its slots are ours, free or not.
    pub fn capacity(&self) -> usize {
        usize::from(self.capacity.get())
    }

    /// How many of its slots are free.
    pub fn free_count(&self) -> usize {
        usize::from(self.free.get())
    }

    /// 1 + log2 of the largest aligned free run, 0 when no slot is free.
    pub(super) fn best(&self) -> u8 {
        self.best[1].get()
    }

    /// Puts another value at the top of the tree, and returns the one there was.
    pub(super) fn replace_best(&self, best: u8) -> u8 {
        self.best[1].replace(best)
    }

    /// The number in this window of a slot that lies in it.
    pub(super) fn index_of(&self, slot: CPtr) -> usize {
        slot.bits() - self.base().bits()
    }

    /// Starts over: slots `from..to` (counted from `base`) are free, all others are not ours.
    pub(super) fn reset(&self, base: CPtr, from: usize, to: usize) {
        self.base.set(base);
        self.cnode.set(None);
        self.capacity.set((to - from) as u16);
        self.free.set(0);
        self.words.iter().chain(&self.lent).for_each(|word| word.set(0));
        if (from, to) == (0, WINDOW_SLOTS) {
            return self.set_all_free();
        }
        self.best.iter().for_each(|best| best.set(0));
        self.mark(from, to - from, true);
    }

    /// Makes all slots free: each node of the tree has the value of its level.
    fn set_all_free(&self) {
        self.words.iter().for_each(|word| word.set(u32::MAX));
        self.free.set(WINDOW_SLOTS as u16);
        let (mut nodes, mut whole) = (1, WHOLE_WINDOW);
        while nodes <= WORDS {
            self.best[nodes..2 * nodes].iter().for_each(|best| best.set(whole));
            (nodes, whole) = (2 * nodes, whole - 1);
        }
    }

    /// Whether every one of `count` slots from `at` on has the state `free`.
    pub(super) fn all(&self, at: usize, count: usize, free: bool) -> bool {
        (at..at + count).all(|bit| (self.words[bit / 32].get() >> (bit % 32) & 1 == 1) == free)
    }

    /// Whether every one of `count` slots from `at` on was handed to a caller.
    pub(super) fn all_lent(&self, at: usize, count: usize) -> bool {
        (at..at + count).all(|bit| self.lent[bit / 32].get() >> (bit % 32) & 1 == 1)
    }

    /// Records that `count` slots from `at` on are a caller's, or no more.
    pub(super) fn lend(&self, at: usize, count: usize, lent: bool) {
        for bit in at..at + count {
            let (word, mask) = (&self.lent[bit / 32], 1 << (bit % 32));
            word.set(if lent { word.get() | mask } else { word.get() & !mask });
        }
    }

    /// Whether no free slot counts as a caller's.
    pub fn lent_are_taken(&self) -> bool {
        self.words.iter().zip(&self.lent).all(|(free, lent)| free.get() & lent.get() == 0)
    }

    /// Whether a slot that lies in this window is free.
    pub fn is_free(&self, slot: CPtr) -> bool {
        self.all(self.index_of(slot), 1, true)
    }

    /// Whether the count of free slots and the tree are what the bitmap says.
    pub fn free_is_exact(&self) -> bool {
        let words = || self.words.iter().map(Cell::get);
        let count: u32 = words().map(u32::count_ones).sum();
        let leaves = self.best[WORDS..].iter().map(Cell::get);
        count == u32::from(self.free.get()) && leaves.eq(words().map(best_of_word))
    }

    /// Gives `count` slots from `at` on the state `free` and brings the tree up to date.
    #[inline]
    pub(super) fn mark(&self, at: usize, count: usize, free: bool) {
        match count {
            1 => self.mark_one(at, free),
            _ => self.mark_run(at, count, free),
        }
    }

    /// As [`SlotWindow::mark`], of a single slot: mostly its word has as long a run as before.
    fn mark_one(&self, at: usize, free: bool) {
        let (index, mask) = (at / 32, 1 << (at % 32));
        let word = self.words[index].get();
        let (word, count) = match free {
            true => (word | mask, self.free.get() + 1),
            false => (word & !mask, self.free.get() - 1),
        };
        self.words[index].set(word);
        self.free.set(count);
        let mut node = WORDS + index;
        let mut whole_child = WHOLE_WORD;
        let mut best = best_of_word(word);
        while self.set_best(node, best) && node > 1 {
            let (own, other) = (best, self.best[node ^ 1].get());
            let whole = own == whole_child && other == whole_child;
            best = if whole { whole_child + 1 } else { own.max(other) };
            (node, whole_child) = (node / 2, whole_child + 1);
        }
    }

    fn mark_run(&self, at: usize, count: usize, free: bool) {
        // The words and their leaves first, as every node is made of the two below it. Above a
        // level on which all stays as it was, all does.
        let mut changed = false;
        let (first, last) = (at / 32, (at + count - 1) / 32);
        for index in first..=last {
            let low = at.saturating_sub(index * 32);
            let high = (at + count - index * 32).min(32);
            let mask = (u32::MAX >> (32 - (high - low))) << low;
            let word = &self.words[index];
            word.set(if free { word.get() | mask } else { word.get() & !mask });
            changed |= self.set_best(WORDS + index, best_of_word(word.get()));
        }
        let change = count as u16;
        self.free.set(if free { self.free.get() + change } else { self.free.get() - change });

        let (mut low, mut high) = ((WORDS + first) / 2, (WORDS + last) / 2);
        let mut whole_child = WHOLE_WORD;
        while low >= 1 && changed {
            changed = false;
            for node in low..=high {
                let (left, right) = (self.best[2 * node].get(), self.best[2 * node + 1].get());
                let whole = left == whole_child && right == whole_child;
                let best = if whole { whole_child + 1 } else { left.max(right) };
                changed |= self.set_best(node, best);
            }
            (low, high, whole_child) = (low / 2, high / 2, whole_child + 1);
        }
    }

    /// Gives a node of the tree a value; says whether it had another.
    #[inline]
    fn set_best(&self, node: usize, best: u8) -> bool {
        self.best[node].replace(best) != best
    }

    /// Where an aligned free run of 2^`order` slots starts. There must be one: `best` > `order`.
    pub(super) fn find(&self, order: u32) -> usize {
        let need = order as u8 + 1;
        let (mut node, mut whole, mut slots) = (1, WHOLE_WINDOW, WINDOW_SLOTS);
        while node < WORDS && need != whole {
            let (left, right) = (self.best[2 * node].get(), self.best[2 * node + 1].get());
            let take_right = right >= need && (left < need || right < left);
            node = 2 * node + usize::from(take_right);
            (whole, slots) = (whole - 1, slots / 2);
        }
        let start = (node * slots) % WINDOW_SLOTS;
        if need >= WHOLE_WORD {
            return start;
        }
        start + run_starts(self.words[start / 32].get(), order).trailing_zeros() as usize
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub ByRoom<'p> = &'p SlotWindow<'p>: SlotWindow<'p> { by_room => RBTreeLink }
    );
    intrusive_adapter!(
        pub ByBase<'p> = &'p SlotWindow<'p>: SlotWindow<'p> { by_base => RBTreeLink }
    );
}
pub(super) use adapters::{ByBase, ByRoom};
