// SPDX-License-Identifier: BSD-2-Clause
//! Slots against one state for each slot of each window, and the operations to compare them by.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::std;
use crate::state::{SlotWindow, Slots, WINDOW_SLOTS};
use crate::types::MAX_BATCH;
use crate::types::{CPtr, Object};

/// So many windows there are nodes for.
const MAX_WINDOWS: usize = 3;

/// Windows lie at multiples of this: some next to each other, with slots of nobody between others.
const SPACING: usize = WINDOW_SLOTS;

/// One operation. A number that chooses among things is taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Adds the slots `from..to` of a window: of the initial CNode, or of a CNode of ours.
    Insert {
        /// Which window.
        place: usize,
        /// The first slot that is ours.
        from: usize,
        /// The slot after the last that is ours.
        to: usize,
        /// Whether the CNode is ours.
        ours: bool,
    },
    /// Removes the window that [`Slots::unused`] names.
    RemoveUnused,
    /// Allocates slots, and lends them if so said.
    Alloc {
        /// How many: 1 to 256.
        count: usize,
        /// Whether a caller gets them.
        lend: bool,
    },
    /// Frees a part of what is allocated and not lent.
    Free {
        /// Which of them.
        which: usize,
        /// How many, from its first on.
        count: usize,
    },
    /// A caller gives slots back, rightly or not: near something that is allocated.
    FreeLent {
        /// Near which.
        near: usize,
        /// How far after its first slot, less 2.
        offset: usize,
        /// How many.
        count: usize,
    },
    /// Frees a slot that is free already.
    FreeAgain {
        /// Which of the free slots.
        which: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    NotManaged,
    Free,
    Allocated,
    Lent,
}

struct Window {
    ours: bool,
    slots: Vec<State>,
}

impl Window {
    fn count(&self, wanted: impl Fn(State) -> bool) -> usize {
        self.slots.iter().filter(|&&state| wanted(state)).count()
    }

    fn is_free(&self, at: usize, count: usize) -> bool {
        self.slots[at..at + count].iter().all(|&state| state == State::Free)
    }

    /// Logarithm of the largest free run, aligned to its size, of `slots` slots from `at` on.
    fn largest(&self, at: usize, slots: usize) -> Option<u32> {
        let free = |bits: &u32| {
            let count = 1 << bits;
            (at..at + slots).step_by(count).any(|at| self.is_free(at, count))
        };
        // Half of a run is a run, so the search ends at the first size that there is none of.
        (0..=slots.trailing_zeros()).take_while(free).last()
    }

    /// Where 2^`order` slots are to be had: in the half with the smaller run that will do, down to
    /// 32 slots, and there the lowest run.
    fn place(&self, order: u32) -> usize {
        let (mut at, mut slots) = (0, WINDOW_SLOTS);
        while slots > 32.max(1 << order) {
            slots /= 2;
            let (left, right) = (self.largest(at, slots), self.largest(at + slots, slots));
            let right_will_do = right >= Some(order);
            let left_will_do = left >= Some(order);
            at += if right_will_do && (!left_will_do || right < left) { slots } else { 0 };
        }
        let mut runs = (at..at + slots).step_by(1 << order);
        runs.find(|&at| self.is_free(at, 1 << order)).expect("there is such a run")
    }
}

/// Slots, and what the model knows of them.
struct Run<'p> {
    slots: Slots<'p>,
    windows: BTreeMap<usize, Window>,
    /// Runs that are allocated: the first slot and how many.
    held: Vec<(usize, usize)>,
}

/// Compares slots with the model after each operation.
///
/// # Panics
/// Where they differ.
pub fn run(operations: impl IntoIterator<Item = Op>) {
    let nodes: Vec<SlotWindow<'_>> = (0..MAX_WINDOWS).map(|_| SlotWindow::default()).collect();
    let mut slots = Slots::new();
    slots.pool.add(&nodes);
    let mut run = Run { slots, windows: BTreeMap::new(), held: Vec::new() };
    for operation in operations {
        run.step(operation);
        run.check();
    }
    run.check_every_slot();
}

impl Run<'_> {
    fn step(&mut self, operation: Op) {
        match operation {
            Op::Insert { place, from, to, ours } => self.insert(place, from, to, ours),
            Op::RemoveUnused => self.remove_unused(),
            Op::Alloc { count, lend } => self.alloc(count.clamp(1, MAX_BATCH), lend),
            Op::Free { which, count } => self.free(which, count),
            Op::FreeLent { near, offset, count } => self.free_lent(near, offset, count.max(1)),
            Op::FreeAgain { which } => self.free_again(which),
        }
    }

    fn insert(&mut self, place: usize, from: usize, to: usize, ours: bool) {
        let base = (1 + place % 5) * SPACING;
        // A CNode of ours has all its slots to give.
        let (from, to) = if ours { (0, WINDOW_SLOTS) } else { (from, to.min(WINDOW_SLOTS)) };
        if self.windows.contains_key(&base) || from >= to {
            return;
        }
        let window = self.slots.insert(CPtr::new(base), from, to);
        assert_eq!(window.is_some(), self.windows.len() < MAX_WINDOWS, "there is a node");
        let Some(window) = window else { return };
        if ours {
            window.set_cnode(Object::new(CPtr::new(base), 1));
        }
        let mut slots = Vec::from([State::NotManaged; WINDOW_SLOTS]);
        slots[from..to].fill(State::Free);
        self.windows.insert(base, Window { ours, slots });
    }

    fn remove_unused(&mut self) {
        if let Some(window) = self.slots.unused() {
            self.slots.remove(window);
            self.windows.remove(&window.base().bits());
        }
    }

    fn alloc(&mut self, count: usize, lend: bool) {
        let order = count.next_power_of_two().trailing_zeros();
        let sizes =
            self.windows.iter().map(|(&base, window)| (window.largest(0, WINDOW_SLOTS), base));
        // The window whose largest run is the least that will do; the lowest such window.
        let expected = sizes.filter(|&(largest, _)| largest >= Some(order)).min();
        let first = self.slots.alloc(count);
        assert_eq!(first.is_some(), expected.is_some(), "{count} slots");
        let (Some(first), Some((_, base))) = (first, expected) else { return };
        let first = first.bits();
        assert!((base..base + WINDOW_SLOTS).contains(&first), "the window of the best fit");
        let (at, state) = (first - base, if lend { State::Lent } else { State::Allocated });
        assert_eq!(at % (1 << order), 0, "aligned to the next power of two");
        let window = self.windows.get_mut(&base).expect("it is in the model");
        assert!(window.is_free(at, count), "{count} slots from {first:#x} on were free");
        assert_eq!(at, window.place(order), "where large runs stay whole");
        window.slots[at..at + count].fill(state);
        self.held.push((first, count));
        if lend {
            self.slots.lend(CPtr::new(first), count);
        }
    }

    fn free(&mut self, which: usize, count: usize) {
        if self.held.is_empty() {
            return;
        }
        let which = which % self.held.len();
        let (first, held) = self.held[which];
        if self.state(first) != Some(State::Allocated) {
            return;
        }
        let count = count.clamp(1, held);
        assert!(self.slots.free(CPtr::new(first), count), "they were allocated");
        self.set_free(first, count);
    }

    fn free_lent(&mut self, near: usize, offset: usize, count: usize) {
        let near = match self.held.len() {
            0 => SPACING,
            held => self.held[near % held].0,
        };
        let first = (near + offset).saturating_sub(2);
        // In one window, and each of them a caller's.
        let base = first / SPACING * SPACING;
        let fits = count <= base + WINDOW_SLOTS - first;
        let lent = fits && (first..first + count).all(|at| self.state(at) == Some(State::Lent));
        assert_eq!(self.slots.free_lent(CPtr::new(first), count), lent, "{count} from {first:#x}");
        if lent {
            self.set_free(first, count);
        }
    }

    fn free_again(&mut self, which: usize) {
        let free: Vec<usize> = self.all(State::Free).collect();
        if !free.is_empty() {
            let slot = CPtr::new(free[which % free.len()]);
            assert!(!self.slots.free(slot, 1) && !self.slots.free_lent(slot, 1));
        }
    }

    fn state(&self, slot: usize) -> Option<State> {
        let (base, window) = self.windows.range(..=slot).next_back()?;
        window.slots.get(slot - base).copied()
    }

    /// Slots in one state, lowest first.
    fn all(&self, wanted: State) -> impl Iterator<Item = usize> + '_ {
        self.windows.iter().flat_map(move |(base, window)| {
            let slots = window.slots.iter().enumerate();
            slots.filter(move |(_, state)| **state == wanted).map(move |(at, _)| base + at)
        })
    }

    /// Records that slots are free: runs that are held lose them.
    fn set_free(&mut self, first: usize, count: usize) {
        let base = first / SPACING * SPACING;
        let window = self.windows.get_mut(&base).expect("it is in the model");
        window.slots[first - base..][..count].fill(State::Free);
        let gone = first..first + count;
        let held = core::mem::take(&mut self.held);
        for (at, length) in held {
            let (end, low) = (at + length, gone.start.clamp(at, at + length));
            let high = gone.end.clamp(low, end);
            let rests = [(at, low - at), (high, end - high)];
            // Nothing in common: one of the rests is all of it.
            let rests = if low == high { [(at, length), (end, 0)] } else { rests };
            self.held.extend(rests.into_iter().filter(|rest| rest.1 != 0));
        }
    }

    fn check(&self) {
        let (mut free, mut capacity) = (0, 0);
        let mut windows = self.slots.iter();
        for (&base, expected) in &self.windows {
            let window = windows.next().expect("each window is in the tree");
            assert_eq!(window.base().bits(), base);
            assert_eq!(window.free_count(), expected.count(|state| state == State::Free));
            assert_eq!(window.capacity(), expected.count(|state| state != State::NotManaged));
            assert_eq!(window.cnode().is_some(), expected.ours);
            assert!(window.free_is_exact() && window.lent_are_taken());
            free += window.free_count();
            capacity += window.capacity();
            for slot in [base, base + 31, base + WINDOW_SLOTS - 1] {
                let found = self.slots.window_of(CPtr::new(slot));
                assert_eq!(found.map(|window| window.base().bits()), Some(base));
            }
        }
        assert!(windows.next().is_none(), "no other window is in the tree");
        let whole = |window: &Window| window.ours && window.is_free(0, WINDOW_SLOTS);
        let expected = self.windows.iter().find(|(_, window)| whole(window)).map(|(&base, _)| base);
        assert_eq!(self.slots.unused().map(|window| window.base().bits()), expected);
        assert_eq!((self.slots.free_count(), self.slots.capacity()), (free, capacity));
        for slot in [0, SPACING - 1, 6 * SPACING, usize::MAX] {
            assert!(self.slots.window_of(CPtr::new(slot)).is_none(), "{slot:#x} is in no window");
        }
    }

    fn check_every_slot(&self) {
        for window in self.slots.iter() {
            let base = window.base().bits();
            for at in base..base + WINDOW_SLOTS {
                let free = self.state(at) == Some(State::Free);
                assert_eq!(window.is_free(CPtr::new(at)), free, "slot {at:#x}");
            }
        }
    }
}
