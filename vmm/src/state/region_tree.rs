// SPDX-License-Identifier: BSD-2-Clause
//! The tree of a space's regions, by address, which knows the largest hole below each node.
//!
//! It is balanced by height (an AVL tree): the heights of two sisters differ by one at the most. A
//! node is put behind another that is known, and taken out, without a search; what is known of the
//! nodes above is mended then, as far up as it changes.
//!
//! The hole behind a node has a *rank*: how many pages it has and, above that, how few reservations
//! it lies in. So in the midst of a reservation's nodes all holes that are not its own are of lower
//! rank, as they lie in others inside, and the first node of a rank at least, behind a node, is
//! found in O(log n), whatever lies between:
//!
//! ```text
//!   ──┤ 9 ├[ 2 ├─ region ─┤ 5 ├[ 7 ]┤ 1 ]┤ 30 ├──      holes, in pages
//!      0     1             1     2    1    0           reservations around each
//! ```
//!
//! Two holes are of no rank, so that nothing above their nodes changes while regions are cut off
//! them: the one behind all nodes, and the one that regions are cut off one after another.

use super::region::{Rank, Region, StartKey};
use crate::types::region::MAX_NESTED;

/// Bits of a rank that are a number of pages.
const PAGE_NUMBER_BITS: u32 = usize::BITS - 10;

const _: () = assert!((MAX_NESTED as usize) < 1 << 10);

/// The rank of a hole of `pages` pages in `depth` reservations.
#[inline(always)]
pub(super) fn rank_of(depth: u16, pages: usize) -> Rank {
    let most = (1 << PAGE_NUMBER_BITS) - 1;
    usize::from(MAX_NESTED.saturating_sub(depth)) << PAGE_NUMBER_BITS | pages.min(most)
}

/// The pages of a hole of this rank, if it lies in `depth` reservations; 0 otherwise.
pub(super) fn pages_of(rank: Rank, depth: u16) -> usize {
    rank.saturating_sub(rank_of(depth, 0))
}

/// A side of a node.
const BEFORE: bool = false;
const BEHIND: bool = true;

#[inline(always)]
fn below<'p>(node: &Region<'p>, side: bool) -> Option<&'p Region<'p>> {
    node.links.below[usize::from(side)].get()
}

#[inline(always)]
fn height(node: Option<&Region<'_>>) -> u8 {
    node.map_or(0, |node| node.links.height.get())
}

#[inline(always)]
fn greatest(node: Option<&Region<'_>>) -> Rank {
    node.map_or(0, |node| node.links.greatest.get())
}

#[inline(always)]
fn set_below<'p>(node: &'p Region<'p>, side: bool, child: Option<&'p Region<'p>>) {
    node.links.below[usize::from(side)].set(child);
    if let Some(child) = child {
        child.links.parent.set(Some(node));
    }
}

/// The first or the last of a node and all below it.
#[inline(always)]
fn outermost<'p>(mut node: &'p Region<'p>, side: bool) -> &'p Region<'p> {
    while let Some(next) = below(node, side) {
        node = next;
    }
    node
}

/// The height that a node ought to have.
#[inline(always)]
fn known_height(node: &Region<'_>) -> u8 {
    1 + height(below(node, BEFORE)).max(height(below(node, BEHIND)))
}

/// The greatest rank that a node ought to know of.
#[inline(always)]
fn known_rank(node: &Region<'_>) -> Rank {
    let rank = node.links.rank.get().max(greatest(below(node, BEFORE)));
    rank.max(greatest(below(node, BEHIND)))
}

/// Brings up to date what a node knows of those below it.
fn update(node: &Region<'_>) {
    node.links.height.set(known_height(node));
    node.links.greatest.set(known_rank(node));
}

/// Brings up to date what a node and those above it know of ranks, as far up as that changes.
#[inline(always)]
fn mend_ranks(from: Option<&Region<'_>>) {
    let mut next = from;
    while let Some(node) = next {
        let rank = known_rank(node);
        if node.links.greatest.replace(rank) == rank {
            return;
        }
        next = node.links.parent.get();
    }
}

/// The next node on one side of a node, by address.
#[inline]
fn beside<'p>(node: &'p Region<'p>, side: bool) -> Option<&'p Region<'p>> {
    if let Some(next) = below(node, side) {
        return Some(outermost(next, !side));
    }
    let (mut from, mut next) = (node, node.links.parent.get());
    while let Some(above) = next {
        if !below(above, side).is_some_and(|side| core::ptr::eq(side, from)) {
            break;
        }
        (from, next) = (above, above.links.parent.get());
    }
    next
}

/// The node behind a node, by address.
pub(super) fn next<'p>(node: &'p Region<'p>) -> Option<&'p Region<'p>> {
    beside(node, BEHIND)
}

/// The node before a node, by address.
pub(super) fn previous<'p>(node: &'p Region<'p>) -> Option<&'p Region<'p>> {
    beside(node, BEFORE)
}

/// The first of a node and all below it, by address, whose hole has at least this rank. One has.
fn first_in<'p>(mut node: &'p Region<'p>, least: Rank) -> &'p Region<'p> {
    loop {
        match below(node, BEFORE).filter(|before| before.links.greatest.get() >= least) {
            Some(before) => node = before,
            None if node.links.rank.get() >= least => return node,
            None => match below(node, BEHIND) {
                Some(behind) => node = behind,
                None => return node,
            },
        }
    }
}

/// The first node behind a node, by address, whose hole has at least this rank. O(log n).
pub(super) fn next_with<'p>(node: &'p Region<'p>, least: Rank) -> Option<&'p Region<'p>> {
    let (mut from, mut side) = (node, BEHIND);
    loop {
        if side == BEHIND {
            if let Some(behind) = below(from, BEHIND).filter(|it| it.links.greatest.get() >= least)
            {
                return Some(first_in(behind, least));
            }
        }
        let above = from.links.parent.get()?;
        side = match below(above, BEHIND).is_some_and(|behind| core::ptr::eq(behind, from)) {
            true => BEFORE,
            false if above.links.rank.get() >= least => return Some(above),
            false => BEHIND,
        };
        from = above;
    }
}

/// The regions of a space, by address.
#[derive(Default)]
pub(super) struct RegionTree<'p> {
    root: Option<&'p Region<'p>>,
}

impl<'p> RegionTree<'p> {
    pub const fn new() -> Self {
        RegionTree { root: None }
    }

    /// The first node, by address.
    pub fn first(&self) -> Option<&'p Region<'p>> {
        Some(outermost(self.root?, BEFORE))
    }

    /// The node of a key.
    #[inline]
    pub fn find(&self, key: StartKey) -> Option<&'p Region<'p>> {
        self.last_up_to(key).filter(|node| node.key() == key)
    }

    /// The last node whose key is not greater. O(log n).
    #[inline]
    pub fn last_up_to(&self, key: StartKey) -> Option<&'p Region<'p>> {
        let (mut next, mut found) = (self.root, None);
        while let Some(node) = next {
            let behind = node.key() <= key;
            if behind {
                found = next;
            }
            next = below(node, behind);
        }
        found
    }

    /// The first node whose key is not less. O(log n).
    pub fn first_from(&self, key: StartKey) -> Option<&'p Region<'p>> {
        let (mut next, mut found) = (self.root, None);
        while let Some(node) = next {
            let behind = node.key() < key;
            if !behind {
                found = next;
            }
            next = below(node, behind);
        }
        found
    }

    /// The first node, by address, whose hole has at least this rank. O(log n).
    #[inline(always)]
    pub fn first_with(&self, least: Rank) -> Option<&'p Region<'p>> {
        let root = self.root.filter(|root| root.links.greatest.get() >= least)?;
        Some(first_in(root, least))
    }

    /// The greatest rank of a hole.
    pub fn greatest(&self) -> Rank {
        greatest(self.root)
    }

    /// Puts `node` in an empty tree.
    pub fn start(&mut self, node: &'p Region<'p>, rank: Rank) {
        debug_assert!(self.root.is_none());
        self.set_single(node, rank);
        node.links.parent.set(None);
        self.root = Some(node);
    }

    /// Puts `node` right behind another. `ranks` are those of the holes behind the two from now on.
    #[inline]
    pub fn insert(
        &mut self,
        behind: &'p Region<'p>,
        node: &'p Region<'p>,
        (rank_before, rank): (Rank, Rank),
    ) {
        self.set_single(node, rank);
        let changed = behind.links.rank.replace(rank_before) != rank_before;
        let above = match below(behind, BEHIND) {
            None => behind,
            Some(next) => outermost(next, BEFORE),
        };
        set_below(above, core::ptr::eq(above, behind), Some(node));
        mend_ranks(Some(above));
        if changed {
            mend_ranks(Some(behind));
        }
        self.grow(above);
    }

    /// Balances a node, of which a side has become higher by one, to 1, and those above it.
    #[inline(always)]
    fn grow(&mut self, from: &'p Region<'p>) {
        let (mut next, mut grown) = (Some(from), 1);
        // Whose other side is higher stays as high.
        while let Some(node) = next.filter(|node| node.links.height.get() == grown) {
            let (before, behind) = (height(below(node, BEFORE)), height(below(node, BEHIND)));
            if before.abs_diff(behind) > 1 {
                // It is as high as it was then.
                self.balance(node, behind > before);
                return;
            }
            grown += 1;
            node.links.height.set(grown);
            next = node.links.parent.get();
        }
    }

    /// Makes a node one that has none below it.
    #[inline(always)]
    fn set_single(&self, node: &'p Region<'p>, rank: Rank) {
        let links = &node.links;
        links.below.iter().for_each(|side| side.set(None));
        links.rank.set(rank);
        links.greatest.set(rank);
        links.height.set(1);
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: &'p Region<'p>) {
        let above = node.links.parent.get();
        match (below(node, BEFORE), below(node, BEHIND)) {
            (Some(before), Some(behind)) => {
                // The next one comes into its place, and knows there what the node knew.
                let next = outermost(behind, BEFORE);
                let from = next.links.parent.get();
                if !core::ptr::eq(next, behind) {
                    self.replace(from, next, below(next, BEHIND));
                    set_below(next, BEHIND, Some(behind));
                }
                set_below(next, BEFORE, Some(before));
                self.replace(above, node, Some(next));
                next.links.height.set(node.links.height.get());
                next.links.greatest.set(node.links.greatest.get());
                if !core::ptr::eq(next, behind) {
                    self.mend(from);
                }
                self.mend(Some(next));
            }
            (child, None) | (None, child) => {
                self.replace(above, node, child);
                self.mend(above);
            }
        }
    }

    /// Sets the rank of the hole behind a node.
    #[inline]
    pub fn set_rank(&self, node: &'p Region<'p>, rank: Rank) {
        if node.links.rank.replace(rank) != rank {
            mend_ranks(Some(node));
        }
    }

    /// Puts another node, or none, in the place of one below `above`, or of the root.
    #[inline(always)]
    fn replace(
        &mut self,
        above: Option<&'p Region<'p>>,
        node: &'p Region<'p>,
        other: Option<&'p Region<'p>>,
    ) {
        match above {
            Some(above) => {
                let side = below(above, BEHIND).is_some_and(|it| core::ptr::eq(it, node));
                set_below(above, side, other);
            }
            None => {
                self.root = other;
                if let Some(other) = other {
                    other.links.parent.set(None);
                }
            }
        }
    }

    /// Balances a node and those above it, and brings up to date what they know, as far up as that
    /// changes.
    #[inline(never)]
    fn mend(&mut self, from: Option<&'p Region<'p>>) {
        let mut next = from;
        while let Some(node) = next {
            let (before, behind) = (height(below(node, BEFORE)), height(below(node, BEHIND)));
            if before.abs_diff(behind) > 1 {
                node.links.greatest.set(known_rank(node));
                next = self.balance(node, behind > before).links.parent.get();
                continue;
            }
            if 1 + before.max(behind) == node.links.height.get() {
                break;
            }
            update(node);
            next = node.links.parent.get();
        }
        mend_ranks(next);
    }

    /// Balances a node that is higher by two on one side, and knows of the ranks below it; what is
    /// in its place then.
    fn balance(&mut self, node: &'p Region<'p>, high: bool) -> &'p Region<'p> {
        let Some(child) = below(node, high) else { return node };
        if height(below(child, !high)) > height(below(child, high)) {
            self.rotate(child, !high);
        }
        self.rotate(node, high)
    }

    /// Puts the node on one side of a node in its place, and it below that one.
    fn rotate(&mut self, node: &'p Region<'p>, side: bool) -> &'p Region<'p> {
        let Some(top) = below(node, side) else { return node };
        let between = below(top, !side);
        self.replace(node.links.parent.get(), node, Some(top));
        set_below(node, side, between);
        set_below(top, !side, Some(node));
        // All is below it that was below the other.
        top.links.greatest.set(node.links.greatest.get());
        update(node);
        top.links.height.set(known_height(top));
        top
    }

    /// Whether each node is in order, balanced, knows the node above it, and what it ought to know
    /// of those below. O(nodes).
    pub fn is_sound(&self) -> bool {
        let (mut next, mut key) = (self.first(), 0);
        while let Some(node) = next {
            let sides = [below(node, BEFORE), below(node, BEHIND)];
            let of_it = |it: &Region<'p>| {
                it.links.parent.get().is_some_and(|above| core::ptr::eq(above, node))
            };
            let linked = sides.into_iter().flatten().all(of_it);
            let balanced = height(sides[0]).abs_diff(height(sides[1])) <= 1;
            let known = (known_height(node), known_rank(node));
            let knows = known == (node.links.height.get(), node.links.greatest.get());
            if !linked || !balanced || !knows || node.key() <= key && key != 0 {
                return false;
            }
            (next, key) = (beside(node, BEHIND), node.key());
        }
        self.root.is_none_or(|root| root.links.parent.get().is_none())
    }

    /// The rank that a node's hole is in the tree with.
    pub fn rank(&self, node: &Region<'p>) -> Rank {
        node.links.rank.get()
    }
}
