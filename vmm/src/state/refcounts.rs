// SPDX-License-Identifier: BSD-2-Clause
//! Sharing: the same frames in several places, counted; the last to leave frees them.
//!
//! A frame capability remembers one mapping, so every further mapping needs a copy of it:
//!
//! ```text
//!   owner's extent   ──► frames' own capabilities  (slots 512, 513, 514)
//!                          │ CNode_Copy
//!   sharer's extent  ──► copies                    (slots 900, 901, 902)
//! ```
//!
//! Two things are remembered. [`CopyRuns`]: which slots hold copies of which frames; of those that
//! were made one by one [`Singles`] (see `cap_copies.rs`, `single_copies.rs`).
//! [`FrameRefcounts`]: for a frame that has copies, how many, and whether the owner has left.
//! Frames without copies have neither, and an unmapping learns so with one look-up where nothing is
//! shared. When the owner leaves first, its frames stay taken until the last copy is deleted.

use core::cell::Cell;
use core::ops::Range;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::{CPtr, Frames, Pool};

use super::cap_copies::{CapCopies, CopyRuns};
use super::single_copies::Singles;
use crate::types::error::Result;
use crate::types::mapping::Source;

/// Frames whose sharers one node counts: those in as many consecutive, aligned slots.
const GROUP: usize = 32;

/// How many groups are found without a search, if they lie together: of the frames of 4 MiB.
const RECENT: usize = 32;

/// How the frames of one group are shared.
#[derive(Default)]
pub(crate) struct RefcountGroup<'p> {
    pub next_free: Cell<Option<&'p RefcountGroup<'p>>>,
    by_slot: RBTreeLink,
    base: Cell<usize>,
    /// For each frame, how many copies there are, and [`OWNER_LEFT`].
    counts: [Cell<u16>; GROUP],
}

/// Set in a count: the owner's own mapping is gone.
const OWNER_LEFT: u16 = 1 << 15;

/// The most copies of one frame.
pub(crate) const MAX_COPIES: u16 = OWNER_LEFT - 1;

/// How often a frame is copied, and whether its owner's own mapping is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Count(u16);

impl Count {
    /// Not shared: there is no copy, and the owner has it (or it is free).
    pub const NONE: Count = Count(0);
    /// The owner has it, and there is one copy.
    const OF_ONE: Count = Count(1);
    /// The owner has left, and no copy is left either: it is to be given back.
    pub const ORPHAN: Count = Count(OWNER_LEFT);
    /// The owner has left, and just one copy is left.
    const ORPHAN_OF_ONE: Count = Count(OWNER_LEFT | 1);

    /// How many copies there are.
    pub fn copies(self) -> u16 {
        self.0 & MAX_COPIES
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) GroupBySlot<'p> = &'p RefcountGroup<'p>: RefcountGroup<'p> { by_slot => RBTreeLink }
    );
}

use adapters::GroupBySlot;

impl<'a> KeyAdapter<'a> for GroupBySlot<'_> {
    type Key = usize;
    fn get_key(&self, group: &'a RefcountGroup<'_>) -> usize {
        group.base.get()
    }
}

/// Who shares what.
pub(crate) struct FrameRefcounts<'p> {
    groups: RBTree<GroupBySlot<'p>>,
    /// The group looked up last of those whose numbers have the same rest: a frame is looked up
    /// several times when it is shared, and its neighbours then.
    recent: [Cell<Option<&'p RefcountGroup<'p>>>; RECENT],
    /// Slots of which none is in a group: first, and the first behind. It grows when groups go,
    /// which need not be known.
    uncounted: Cell<(usize, usize)>,
    /// Copies that were made together.
    pub runs: CopyRuns<'p>,
    /// Copies that were made one by one.
    pub singles: Singles<'p>,
    /// Copies that are not deleted, those in quarantine included.
    live: Cell<usize>,
}

impl<'p> FrameRefcounts<'p> {
    pub fn new() -> Self {
        FrameRefcounts {
            groups: RBTree::new(GroupBySlot::new()),
            recent: Default::default(),
            uncounted: Cell::new((0, 0)),
            runs: CopyRuns::new(),
            singles: Singles::new(),
            live: Cell::new(0),
        }
    }

    /// Copies that are not deleted. O(1).
    #[inline(always)]
    pub fn live_copies(&self) -> usize {
        self.live.get()
    }

    /// Whether any of these frames (by their own capabilities) has copies.
    #[inline(always)]
    pub fn any_in(&self, frames: &Frames) -> bool {
        let (first, end) = (frames.first.bits(), frames.first.bits() + frames.count);
        let (from, to) = self.uncounted.get();
        let none = from <= first && end <= to;
        !none && self.search_any(first, end)
    }

    /// Whether any frame in slots from `first` to `end` has copies.
    #[inline(never)]
    fn search_any(&self, first: usize, end: usize) -> bool {
        let mut group = self.groups.lower_bound(Bound::Included(&(first & !(GROUP - 1))));
        while let Some(node) = group.get() {
            let base = node.base.get();
            if base >= end {
                break;
            }
            let counts = &node.counts[first.saturating_sub(base)..(end - base).min(GROUP)];
            if counts.iter().any(|count| Count(count.get()) != Count::NONE) {
                return true;
            }
            group.move_next();
        }
        // What lies between the groups around is known from now on, if that is all of it.
        let from = group.peek_prev().get().map_or(0, |node| node.base.get() + GROUP);
        let to = group.get().map_or(usize::MAX, |node| node.base.get());
        self.uncounted.set((from, to));
        false
    }

    /// The group that begins at slot `base`.
    #[inline]
    fn group(&self, base: usize) -> Option<&'p RefcountGroup<'p>> {
        let recent = &self.recent[base / GROUP % RECENT];
        match recent.get() {
            Some(group) if group.base.get() == base => Some(group),
            _ => self.search(base).inspect(|&group| recent.set(Some(group))),
        }
    }

    #[inline(never)]
    fn search(&self, base: usize) -> Option<&'p RefcountGroup<'p>> {
        self.groups.find(&base).clone_pointer()
    }

    /// How often the frame behind its own capability `frame` is copied, and whether its owner has
    /// left.
    pub fn count(&self, frame: CPtr) -> Count {
        let group = self.group(frame.bits() & !(GROUP - 1));
        group.map_or(Count::NONE, |group| Count(group.counts[frame.bits() % GROUP].get()))
    }

    /// Whether nobody but this one extent has the frame behind `frame`, its own capability or a
    /// copy.
    #[inline]
    pub fn is_exclusive(&self, frame: CPtr, source: Source) -> bool {
        match source {
            Source::Owned | Source::Physical => self.count(frame) == Count::NONE,
            Source::Copy => {
                self.origin(frame).is_some_and(|origin| self.count(origin) == Count::ORPHAN_OF_ONE)
            }
            Source::Borrowed => true,
        }
    }

    /// Whether a frame's owner has it, and this is its one copy.
    pub fn is_only_copy(&self, copy: CPtr, frame: CPtr) -> bool {
        self.count(frame) == Count::OF_ONE && self.origin(copy) == Some(frame)
    }

    /// The frame's own capability behind a copy.
    #[inline]
    pub fn origin(&self, copy: CPtr) -> Option<CPtr> {
        match self.singles.of(copy) {
            Some(single) => Some(single.origin(copy)),
            None => self.runs.origin(copy),
        }
    }

    /// Whether a copy is deferred: it is counted, and there is nothing in its slot.
    #[inline(always)]
    pub fn is_deferred(&self, copy: CPtr) -> bool {
        self.runs.is_deferred(copy)
    }

    /// The group that counts the sharers of a frame; takes a node for it where there is none.
    ///
    /// # Errors
    /// When the pool is empty.
    #[inline(always)]
    pub fn group_of(
        &mut self,
        pool: &mut Pool<'p, RefcountGroup<'p>>,
        frame: CPtr,
    ) -> Result<&'p RefcountGroup<'p>, OutOfGroups> {
        let base = frame.bits() & !(GROUP - 1);
        match self.group(base) {
            Some(group) => Ok(group),
            None => self.insert_group(pool, base),
        }
    }

    #[inline(never)]
    fn insert_group(
        &mut self,
        pool: &mut Pool<'p, RefcountGroup<'p>>,
        base: usize,
    ) -> Result<&'p RefcountGroup<'p>, OutOfGroups> {
        let node = pool.alloc().ok_or(OutOfGroups)?;
        node.base.set(base);
        node.counts.iter().for_each(|count| count.set(0));
        self.groups.insert(node);
        self.uncounted.set((0, 0));
        self.recent[base / GROUP % RECENT].set(Some(node));
        Ok(node)
    }

    /// Makes sure that there are nodes to count the sharers of `count` frames from `first` on;
    /// takes one node for each [`GROUP`] of slots in which nothing is counted yet.
    ///
    /// # Errors
    /// When the pool is empty; nothing was taken from it then.
    pub fn insert_groups(
        &mut self,
        pool: &mut Pool<'p, RefcountGroup<'p>>,
        first: CPtr,
        count: usize,
    ) -> Result<(), OutOfGroups> {
        for base in bases(first, count) {
            if self.group_of(pool, CPtr::new(base)).is_err() {
                self.remove_unused_groups(pool, first, count);
                return Err(OutOfGroups);
            }
        }
        Ok(())
    }

    /// Gives back the nodes of groups in which nothing is shared any more.
    pub fn remove_unused_groups(
        &mut self,
        pool: &mut Pool<'p, RefcountGroup<'p>>,
        first: CPtr,
        count: usize,
    ) {
        for base in bases(first, count) {
            let group = self.group(base);
            if group.is_some_and(|group| group.counts.iter().all(|count| count.get() == 0)) {
                self.recent[base / GROUP % RECENT].set(None);
                if let Some(node) = self.groups.find_mut(&base).remove() {
                    pool.free(node);
                }
            }
        }
    }

    fn set(&self, frame: CPtr, count: u16) {
        if let Some(group) = self.group(frame.bits() & !(GROUP - 1)) {
            group.counts[frame.bits() % GROUP].set(count);
        }
    }

    /// Counts the owner's own mapping of a frame out; its copies stay.
    pub fn owner_gone(&self, frame: CPtr) {
        self.set(frame, self.count(frame).0 | OWNER_LEFT);
    }

    /// Forgets a frame whose owner left and that has no copy any more.
    pub fn remove_orphan(&self, frame: CPtr) {
        self.set(frame, 0);
    }

    /// Counts one more copy, just made, of those that `copies` is about.
    pub fn copied(&self, copies: &CapCopies<'p>, frame: CPtr) {
        self.set(frame, self.count(frame).0 + 1);
        self.live.set(self.live.get() + 1);
        copies.one_more();
    }

    /// Counts one more copy, deferred, of each of the frames from `origin` on that `copies` is
    /// about.
    pub fn deferred(&self, copies: &CapCopies<'p>, origin: CPtr) {
        let (_, count) = copies.slots();
        for (group, frames) in self.groups_of(origin, count) {
            for shared in &group.counts[frames] {
                shared.set(shared.get() + 1);
            }
        }
        self.live.set(self.live.get() + count);
        self.runs.defer_all(copies);
    }

    /// The number of the first of these frames that has as many copies as can be counted.
    pub fn first_full(&self, first: CPtr, count: usize) -> Option<usize> {
        self.groups_of(first, count).find_map(|(group, frames)| {
            let from = group.base.get() + frames.start - first.bits();
            let full = |count: &Cell<u16>| Count(count.get()).copies() == MAX_COPIES;
            group.counts[frames].iter().position(full).map(|index| from + index)
        })
    }

    /// The groups of frames in consecutive slots, and which of each are among those.
    fn groups_of(
        &self,
        first: CPtr,
        count: usize,
    ) -> impl Iterator<Item = (&'p RefcountGroup<'p>, Range<usize>)> + '_ {
        let (first, end) = (first.bits(), first.bits() + count);
        bases(CPtr::new(first), count).filter_map(move |base| {
            let frames = first.saturating_sub(base)..(end - base).min(GROUP);
            Some((self.group(base)?, frames))
        })
    }

    /// Counts one more copy of a frame, which was made by itself, in the group that counts those.
    #[inline(always)]
    pub fn copied_alone(&self, group: &RefcountGroup<'p>, frame: CPtr) {
        let count = &group.counts[frame.bits() % GROUP];
        count.set(count.get() + 1);
        self.live.set(self.live.get() + 1);
    }

    /// Counts a copy, just deleted, out; returns the count of its frame that is left.
    pub fn uncopied(&self, copy: CPtr, origin: CPtr) -> Count {
        self.runs.one_less(copy);
        self.copied_once_less(origin)
    }

    /// Counts a copy out that was made by itself; returns the count of its frame that is left.
    #[inline(always)]
    pub fn copied_once_less(&self, origin: CPtr) -> Count {
        self.live.set(self.live.get() - 1);
        let Some(group) = self.group(origin.bits() & !(GROUP - 1)) else { return Count::NONE };
        let count = &group.counts[origin.bits() % GROUP];
        count.set(count.get() - 1);
        Count(count.get())
    }

    /// Says that the copies which `first` begins could not all be deleted when they were freed.
    /// Returns whether there are any.
    pub fn quarantine_copies(&self, first: CPtr) -> bool {
        if self.singles.quarantine(first) {
            return true;
        }
        self.runs.quarantine(first)
    }

    /// Copies in quarantine: their first slot, and how many are left.
    pub fn quarantined_copies(&self) -> Option<(CPtr, usize)> {
        if let Some(single) = self.singles.first_quarantined() {
            return Some((single, 1));
        }
        self.runs.first_quarantined()
    }

    /// Frames that nobody's own extent holds any more, but copies do; and copies in extents.
    pub fn totals(&self) -> (usize, usize) {
        let stuck = self.runs.quarantined() + self.singles.totals().1;
        let counts = || self.groups.iter().flat_map(|group| group.counts.iter().map(Cell::get));
        let orphans = counts().filter(|count| count & OWNER_LEFT != 0).count();
        (orphans, counts().map(|count| usize::from(count & MAX_COPIES)).sum::<usize>() - stuck)
    }
}

/// The pool of groups is empty.
pub(crate) struct OutOfGroups;

/// The first slots of the groups that `count` slots from `first` on lie in.
fn bases(first: CPtr, count: usize) -> impl Iterator<Item = usize> {
    let groups = first.bits() / GROUP..=(first.bits() + count - 1) / GROUP;
    groups.map(|group| group * GROUP)
}

impl RefcountGroup<'_> {
    /// How often a frame of this group is copied, and whether its owner has left.
    #[inline(always)]
    pub fn count(&self, frame: CPtr) -> Count {
        Count(self.counts[frame.bits() % GROUP].get())
    }
}
