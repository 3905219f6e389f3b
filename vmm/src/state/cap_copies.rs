// SPDX-License-Identifier: BSD-2-Clause
//! Copies of capabilities that were made together: which slots hold copies of which frames, and
//! which of them are deferred.
//!
//! ```text
//!   origins     7  8  9 10 11            the frames' own capabilities
//!   slots    │  c  c  .  .  c  │         first … first + count − 1
//!   deferred    0  0  1  1  0            their slots are empty, as yet (invariant I59)
//! ```

use core::cell::Cell;
use core::ops::Range;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::CPtr;

/// The most copies that are made together.
pub(crate) const MAX_TOGETHER: usize = 256;

/// Copied capabilities in consecutive slots.
#[derive(Default)]
pub(crate) struct CapCopies<'p> {
    pub next_free: Cell<Option<&'p CapCopies<'p>>>,
    by_slot: RBTreeLink,
    first: Cell<CPtr>,
    origin: Cell<CPtr>,
    count: Cell<u16>,
    /// Copies not deleted yet. The slots are given back together when there is none.
    live: Cell<u16>,
    /// In quarantine: the kernel would not delete all of them when they were freed.
    quarantined: Cell<bool>,
    /// Bit n of all of them is set where copy n is deferred: it counts, and its slot is empty.
    deferred: [Cell<u32>; MAX_TOGETHER / 32],
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) CopiesBySlot<'p> = &'p CapCopies<'p>: CapCopies<'p> { by_slot => RBTreeLink }
    );
}
use adapters::CopiesBySlot;

impl<'a> KeyAdapter<'a> for CopiesBySlot<'_> {
    type Key = CPtr;
    fn get_key(&self, copies: &'a CapCopies<'_>) -> CPtr {
        copies.first.get()
    }
}

impl CapCopies<'_> {
    /// Its slots: the first, and how many.
    pub fn slots(&self) -> (CPtr, usize) {
        (self.first.get(), usize::from(self.count.get()))
    }

    /// Counts one copy more that lives.
    #[inline(always)]
    pub fn one_more(&self) {
        self.live.set(self.live.get() + 1);
    }

    /// The number of the copy in a slot, if that is one of its.
    #[inline(always)]
    fn number_of(&self, slot: CPtr) -> Option<usize> {
        let number = slot.bits().wrapping_sub(self.first.get().bits());
        (number < usize::from(self.count.get())).then_some(number)
    }

    fn is_deferred(&self, number: usize) -> bool {
        self.deferred[number / 32].get() >> (number % 32) & 1 != 0
    }

    fn set_deferred(&self, number: usize, deferred: bool) {
        let numbers = &self.deferred[number / 32];
        let others = numbers.get() & !(1 << (number % 32));
        numbers.set(others | u32::from(deferred) << (number % 32));
    }

    fn set_all_deferred(&self, mut numbers: Range<usize>, deferred: bool) {
        while !numbers.is_empty() {
            let (word, from) = (numbers.start / 32, numbers.start % 32);
            let to = (from + numbers.len()).min(32);
            let mask = u32::MAX >> (32 - (to - from)) << from;
            let others = self.deferred[word].get() & !mask;
            self.deferred[word].set(if deferred { others | mask } else { others });
            numbers.start += to - from;
        }
    }

    /// How many of its copies are deferred.
    fn count_deferred(&self) -> usize {
        self.deferred.iter().map(|numbers| numbers.get().count_ones() as usize).sum()
    }
}

/// All copies that were made together.
pub(crate) struct CopyRuns<'p> {
    by_slot: RBTree<CopiesBySlot<'p>>,
    /// The node looked up last: a copy is looked up several times while it is made or deleted, and
    /// then its neighbours.
    recent: Cell<Option<&'p CapCopies<'p>>>,
    /// How many copies are deferred.
    deferred: Cell<usize>,
}

impl<'p> CopyRuns<'p> {
    pub fn new() -> Self {
        let by_slot = RBTree::new(CopiesBySlot::new());
        CopyRuns { by_slot, recent: Cell::new(None), deferred: Cell::new(0) }
    }

    /// The node of a copy, and the copy's number there.
    fn of(&self, copy: CPtr) -> Option<(&'p CapCopies<'p>, usize)> {
        let number = |copies: &'p CapCopies<'p>| Some((copies, copies.number_of(copy)?));
        self.recent.get().and_then(number).or_else(|| {
            let copies = self.by_slot.upper_bound(Bound::Included(&copy)).clone_pointer()?;
            let found = number(copies)?;
            self.recent.set(Some(copies));
            Some(found)
        })
    }

    /// The capability that a copy was copied of, or will be.
    pub fn origin(&self, copy: CPtr) -> Option<CPtr> {
        let (copies, number) = self.of(copy)?;
        Some(copies.origin.get().offset(number))
    }

    /// Enters `count` slots from `first` on, empty yet, for copies of the capabilities from
    /// `origin` on.
    pub fn insert(&mut self, node: &'p CapCopies<'p>, first: CPtr, origin: CPtr, count: usize) {
        node.first.set(first);
        node.origin.set(origin);
        node.count.set(count as u16);
        node.live.set(0);
        node.quarantined.set(false);
        node.deferred.iter().for_each(|numbers| numbers.set(0));
        self.by_slot.insert(node);
    }

    /// Counts a copy out, just deleted.
    pub fn one_less(&self, copy: CPtr) {
        self.made(copy);
        if let Some((copies, _)) = self.of(copy) {
            copies.live.set(copies.live.get() - 1);
        }
    }

    /// Takes out the node that a copy's slot belongs to, once all its copies are deleted.
    pub fn remove_deleted(&mut self, copy: CPtr) -> Option<&'p CapCopies<'p>> {
        let (copies, _) = self.of(copy).filter(|(copies, _)| copies.live.get() == 0)?;
        self.recent.set(None);
        self.by_slot.find_mut(&copies.first.get()).remove()
    }

    /// Makes the copies from `at` on, which are in the midst of those of one node, a node of their
    /// own; gives it back where they are not.
    pub fn split(&mut self, node: &'p CapCopies<'p>, at: CPtr) -> Option<&'p CapCopies<'p>> {
        let midst = |&(copies, before): &(&CapCopies<'_>, usize)| {
            before != 0 && before < usize::from(copies.live.get())
        };
        let Some((copies, before)) = self.of(at).filter(midst) else { return Some(node) };
        let (count, live) = (usize::from(copies.count.get()), copies.live.get());
        copies.count.set(before as u16);
        copies.live.set(before as u16);
        let origin = copies.origin.get().offset(before);
        self.insert(node, at, origin, count - before);
        node.live.set(live - before as u16);
        for number in (before..count).filter(|&number| copies.is_deferred(number)) {
            copies.set_deferred(number, false);
            node.set_deferred(number - before, true);
        }
        None
    }

    /// Says that the copies which `first` begins could not all be deleted when they were freed.
    /// Returns whether there are any.
    pub fn quarantine(&self, first: CPtr) -> bool {
        let copies = self.by_slot.find(&first).get();
        copies.map(|copies| copies.quarantined.set(true)).is_some()
    }

    /// Copies in quarantine: their first slot, and how many are left.
    pub fn first_quarantined(&self) -> Option<(CPtr, usize)> {
        let stuck = self.by_slot.iter().find(|copies| copies.quarantined.get())?;
        Some((stuck.first.get(), usize::from(stuck.live.get())))
    }

    /// How many copies are in quarantine.
    pub fn quarantined(&self) -> usize {
        let stuck = self.by_slot.iter().filter(|copies| copies.quarantined.get());
        stuck.map(|copies| usize::from(copies.live.get())).sum()
    }

    /// Whether a copy is deferred: it is counted, and there is nothing in its slot.
    #[inline(always)]
    pub fn is_deferred(&self, copy: CPtr) -> bool {
        self.deferred.get() != 0 && self.is_marked(copy)
    }

    #[inline(never)]
    fn is_marked(&self, copy: CPtr) -> bool {
        self.of(copy).is_some_and(|(copies, number)| copies.is_deferred(number))
    }

    /// Counts all copies of a node, of which none lives yet, as deferred.
    pub fn defer_all(&self, copies: &CapCopies<'p>) {
        let count = usize::from(copies.count.get());
        copies.live.set(count as u16);
        copies.set_all_deferred(0..count, true);
        self.deferred.set(self.deferred.get() + count);
    }

    /// Counts copies out that are deferred, from `first` on, at the most `most` of one node;
    /// returns how many.
    pub fn remove_deferred(&self, first: CPtr, most: usize) -> usize {
        let Some((copies, number)) = self.of(first) else { return 0 };
        let end = (number + most).min(usize::from(copies.count.get()));
        let made = (number..end).find(|&number| !copies.is_deferred(number));
        let count = made.unwrap_or(end) - number;
        copies.set_all_deferred(number..number + count, false);
        copies.live.set(copies.live.get() - count as u16);
        self.deferred.set(self.deferred.get() - count);
        count
    }

    /// Says that a copy is deferred no more: it is made, or gone.
    pub fn made(&self, copy: CPtr) {
        let marked = self.of(copy).filter(|&(copies, number)| copies.is_deferred(number));
        if let Some((copies, number)) = marked {
            copies.set_deferred(number, false);
            self.deferred.set(self.deferred.get() - 1);
        }
    }

    /// What is wrong with copies that are deferred, if anything is: at which slot, and what should
    /// be so (I59).
    pub fn check(&self) -> Option<(CPtr, &'static str)> {
        let wrong = self.by_slot.iter().find_map(|copies| {
            let (first, count) = copies.slots();
            let outside = (count..MAX_TOGETHER).any(|number| copies.is_deferred(number));
            let more = copies.count_deferred() > usize::from(copies.live.get());
            let rules = [
                (!outside, "what is deferred is one of the copies"),
                (!more, "what is deferred counts as a copy"),
            ];
            rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| (first, rule))
        });
        let all: usize = self.by_slot.iter().map(CapCopies::count_deferred).sum();
        let counted = all == self.deferred.get();
        wrong.or((!counted).then_some((CPtr::NULL, "deferred copies are counted")))
    }
}
