// SPDX-License-Identifier: BSD-2-Clause
//! Copies that were made one by one: what each was copied of.
//!
//! Slots for them are taken 32 at a time, and handed out singly. That is quicker than one run of
//! one slot after the other, and a node does for all 32.
//!
//! ```text
//!   slots       │ c  c  .  c  c  .  .  c … │      first … first + 31
//!   taken         1  1  0  1  1  0  0  1
//!   origins       7  9  ?  7 20  ?  ? 31          whose frame it is
//! ```

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::CPtr;

/// How many slots are taken at a time.
pub(crate) const TOGETHER: usize = 32;

/// Slots for copies that are made one by one (invariant I48).
#[derive(Default)]
pub(crate) struct SingleCopies<'p> {
    pub next_free: Cell<Option<&'p SingleCopies<'p>>>,
    by_slot: RBTreeLink,
    /// Its neighbours in the list of those with a slot that is not taken.
    previous: Cell<Option<&'p SingleCopies<'p>>>,
    next: Cell<Option<&'p SingleCopies<'p>>>,
    first: Cell<CPtr>,
    /// Bit n is set where slot n holds a copy, or is about to.
    taken: Cell<u32>,
    /// Bit n is set where the kernel would not delete copy n when it was freed.
    quarantined: Cell<u32>,
    origins: [Cell<CPtr>; TOGETHER],
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) BySlot<'p> = &'p SingleCopies<'p>: SingleCopies<'p> { by_slot => RBTreeLink }
    );
}
use adapters::BySlot;

impl<'a> KeyAdapter<'a> for BySlot<'_> {
    type Key = CPtr;
    fn get_key(&self, copies: &'a SingleCopies<'_>) -> CPtr {
        copies.first.get()
    }
}

impl SingleCopies<'_> {
    /// Its first slot.
    pub fn first(&self) -> CPtr {
        self.first.get()
    }

    /// The number of one of its slots.
    #[inline(always)]
    fn index_of(&self, slot: CPtr) -> usize {
        slot.bits().wrapping_sub(self.first.get().bits())
    }

    /// The capability that the copy in one of its slots was copied of.
    #[inline(always)]
    pub fn origin(&self, copy: CPtr) -> CPtr {
        self.origins[self.index_of(copy) % TOGETHER].get()
    }

    /// Whether one of its slots holds a copy.
    #[inline(always)]
    fn has(&self, slot: CPtr) -> bool {
        let index = self.index_of(slot);
        index < TOGETHER && self.taken.get() >> index & 1 != 0
    }
}

/// All copies that were made one by one.
pub(crate) struct Singles<'p> {
    by_slot: RBTree<BySlot<'p>>,
    /// The first of those with a slot that is not taken.
    with_room: Option<&'p SingleCopies<'p>>,
    /// The node looked up last: a copy is looked up several times while it is deleted.
    recent: Cell<Option<&'p SingleCopies<'p>>>,
}

impl<'p> Singles<'p> {
    pub fn new() -> Self {
        Singles { by_slot: RBTree::new(BySlot::new()), with_room: None, recent: Cell::new(None) }
    }

    /// The node of a copy that was made by itself.
    #[inline(always)]
    pub fn of(&self, copy: CPtr) -> Option<&'p SingleCopies<'p>> {
        match self.recent.get() {
            Some(node) if node.has(copy) => Some(node),
            None if self.by_slot.is_empty() => None,
            _ => self.search(copy),
        }
    }

    #[inline(never)]
    fn search(&self, copy: CPtr) -> Option<&'p SingleCopies<'p>> {
        let node = self.by_slot.upper_bound(Bound::Included(&copy)).clone_pointer()?;
        let node = node.has(copy).then_some(node)?;
        self.recent.set(Some(node));
        Some(node)
    }

    /// Adds a node for the [`TOGETHER`] slots from `first` on, which are empty.
    pub fn insert(&mut self, node: &'p SingleCopies<'p>, first: CPtr) {
        node.first.set(first);
        node.taken.set(0);
        node.quarantined.set(0);
        self.by_slot.insert(node);
        self.list(node);
    }

    /// Enters a node among those with room, where it is not.
    fn list(&mut self, node: &'p SingleCopies<'p>) {
        if let Some(next) = self.with_room {
            next.previous.set(Some(node));
        }
        node.previous.set(None);
        node.next.set(self.with_room);
        self.with_room = Some(node);
    }

    /// Takes a node from among those with room, where it is.
    fn unlist(&mut self, node: &'p SingleCopies<'p>) {
        let (previous, next) = (node.previous.take(), node.next.take());
        match previous {
            Some(previous) => previous.next.set(next),
            None => self.with_room = next,
        }
        if let Some(next) = next {
            next.previous.set(previous);
        }
    }

    /// Takes a slot for a copy of the capability `origin`, if there is one.
    #[inline(always)]
    pub fn take(&mut self, origin: CPtr) -> Option<CPtr> {
        let node = self.with_room?;
        let index = (!node.taken.get()).trailing_zeros() as usize;
        let taken = node.taken.get() | 1 << index;
        node.taken.set(taken);
        node.origins[index].set(origin);
        if taken == u32::MAX {
            self.unlist(node);
        }
        Some(node.first().offset(index))
    }

    /// Gives the slot of a copy back, which is empty now. Returns the node if none of its slots is
    /// taken any more: it is not one of these then.
    #[inline(always)]
    pub fn give_back(
        &mut self,
        node: &'p SingleCopies<'p>,
        copy: CPtr,
    ) -> Option<&'p SingleCopies<'p>> {
        let (taken, mask) = (node.taken.get(), 1 << (node.index_of(copy) % TOGETHER));
        node.taken.set(taken & !mask);
        node.quarantined.set(node.quarantined.get() & !mask);
        if taken == u32::MAX {
            self.list(node);
        }
        if taken & !mask != 0 {
            return None;
        }
        self.remove(node)
    }

    fn remove(&mut self, node: &'p SingleCopies<'p>) -> Option<&'p SingleCopies<'p>> {
        self.recent.set(None);
        self.unlist(node);
        self.by_slot.find_mut(&node.first()).remove()
    }

    /// Says that a copy could not be deleted when it was freed. Returns whether there is one.
    pub fn quarantine(&self, copy: CPtr) -> bool {
        let Some(node) = self.of(copy) else { return false };
        node.quarantined.set(node.quarantined.get() | 1 << node.index_of(copy));
        true
    }

    /// The first copy in quarantine.
    pub fn first_quarantined(&self) -> Option<CPtr> {
        let node = self.by_slot.iter().find(|node| node.quarantined.get() != 0)?;
        Some(node.first().offset(node.quarantined.get().trailing_zeros() as usize))
    }

    /// How many copies there are, and how many of them are in quarantine.
    pub fn totals(&self) -> (usize, usize) {
        let sum = |bits: fn(&SingleCopies<'p>) -> u32| {
            self.by_slot.iter().map(|node| bits(node).count_ones() as usize).sum()
        };
        (sum(|node| node.taken.get()), sum(|node| node.quarantined.get()))
    }

    /// Those with a slot that is not taken.
    fn listed(&self) -> impl Iterator<Item = &'p SingleCopies<'p>> {
        core::iter::successors(self.with_room, |node| node.next.get())
    }

    /// What is wrong with the nodes, if anything is: at which slot, and what should be so (I48).
    /// `kept` says whether a slot is one that was taken for copies, `counted` how many copies a
    /// frame has. O(n²).
    pub fn check(
        &self,
        kept: impl Fn(CPtr) -> bool,
        counted: impl Fn(CPtr) -> usize,
    ) -> Option<(CPtr, &'static str)> {
        let mut end = 0;
        self.by_slot.iter().find_map(|node| {
            let (first, taken) = (node.first(), node.taken.get());
            let begins = end <= first.bits();
            end = first.bits() + TOGETHER;
            let listed = self.listed().any(|other| core::ptr::eq(other, node));
            let slots = || (0..TOGETHER).map(|index| first.offset(index));
            let known = |copy: &CPtr| !node.has(*copy) || counted(node.origin(*copy)) != 0;
            let wrong = [
                (begins, "slots of single copies are in one node"),
                (taken != 0, "a node of single copies has one"),
                (listed == (taken != u32::MAX), "nodes with room for single copies are listed"),
                (node.quarantined.get() & !taken == 0, "what is in quarantine is a copy"),
                (slots().all(&kept), "slots of single copies are the manager's"),
                (slots().all(|copy| known(&copy)), "a single copy is counted with its frame"),
            ];
            wrong.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| (first, rule))
        })
    }
}
