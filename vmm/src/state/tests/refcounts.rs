// SPDX-License-Identifier: BSD-2-Clause
//! Reference counts of frames and records of copies: histories, and the edges of both.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use untyped_alloc::{CPtr, Frames, Pool};

use super::choices::Choices;
use super::properties::play;
use crate::state::cap_copies::CapCopies;
use crate::state::refcounts::{Count, FrameRefcounts, RefcountGroup, MAX_COPIES};
use crate::types::mapping::Source;

/// The slots that one node counts.
const GROUP: usize = 32;

/// Slots of frames' own capabilities: two whole groups and the edges of those beside them.
const FRAMES: core::ops::Range<usize> = 3 * GROUP - 2..5 * GROUP + 2;

/// Copies that were made together.
struct Copies {
    origin: usize,
    count: usize,
    /// The slots that still hold a copy, from the first on.
    live: usize,
    quarantined: bool,
}

/// Counts, and their model.
struct History<'p> {
    counts: FrameRefcounts<'p>,
    pool: Pool<'p, RefcountGroup<'p>>,
    free: Vec<&'p CapCopies<'p>>,
    nodes: BTreeMap<usize, &'p CapCopies<'p>>,
    /// How often a frame is copied, and whether its owner is gone.
    frames: BTreeMap<usize, (usize, bool)>,
    copies: BTreeMap<usize, Copies>,
    /// The slots of copies that are deferred.
    deferred: BTreeSet<usize>,
    next_slot: usize,
    groups: usize,
}

fn history<'p>(groups: &'p [RefcountGroup<'p>], copies: &'p [CapCopies<'p>]) -> History<'p> {
    let mut pool = Pool::new(|group: &RefcountGroup<'p>| &group.next_free);
    groups.iter().for_each(|group| pool.free(group));
    History {
        counts: FrameRefcounts::new(),
        pool,
        free: copies.iter().collect(),
        nodes: BTreeMap::new(),
        frames: BTreeMap::new(),
        copies: BTreeMap::new(),
        deferred: BTreeSet::new(),
        next_slot: 1000,
        groups: groups.len(),
    }
}

impl History<'_> {
    fn count(&self, frame: usize) -> (usize, bool) {
        self.frames.get(&frame).copied().unwrap_or((0, false))
    }

    /// Groups in which something is counted.
    fn groups_used(&self) -> usize {
        let mut groups: Vec<usize> = self.frames.keys().map(|frame| frame / GROUP).collect();
        groups.dedup();
        groups.len()
    }

    fn copy(&mut self, origin: usize, count: usize, (skipped, deferred): (usize, bool)) {
        let Some(node) = self.free.pop() else { return };
        let made = self.counts.insert_groups(&mut self.pool, CPtr::new(origin), count);
        let mut groups: Vec<usize> = self.frames.keys().map(|frame| frame / GROUP).collect();
        groups.extend(origin / GROUP..=(origin + count - 1) / GROUP);
        groups.sort();
        groups.dedup();
        assert_eq!(made.is_ok(), groups.len() <= self.groups, "there is a node for each or none");
        if made.is_err() {
            self.free.push(node);
            self.check();
            return;
        }
        assert_eq!(self.pool.available(), self.groups - groups.len(), "one node for each group");
        let first = self.next_slot;
        self.next_slot += count + skipped;
        self.counts.runs.insert(node, CPtr::new(first), CPtr::new(origin), count);
        assert_eq!(node.slots(), (CPtr::new(first), count));
        for index in 0..count {
            if deferred {
                self.deferred.insert(first + index);
            } else {
                self.counts.copied(node, CPtr::new(origin + index));
            }
            let (copies, gone) = self.count(origin + index);
            self.frames.insert(origin + index, (copies + 1, gone));
        }
        if deferred {
            self.counts.deferred(node, CPtr::new(origin));
        }
        self.nodes.insert(first, node);
        self.copies.insert(first, Copies { origin, count, live: count, quarantined: false });
    }

    /// Deletes the last copy of those that begin at `first`, and what that makes superfluous.
    fn delete_one(&mut self, first: usize) {
        let copies = self.copies.get_mut(&first).unwrap();
        copies.live -= 1;
        let (copy, origin) = (first + copies.live, copies.origin + copies.live);
        let (left, gone) = (copies.live, copies.origin);
        let (count, owner_gone) = self.count(origin);
        let told = match self.deferred.remove(&copy) && copy % 2 == 0 {
            true => {
                let removed = self.counts.runs.remove_deferred(CPtr::new(copy), 3);
                assert_eq!(removed, 1, "those behind are gone");
                self.counts.copied_once_less(CPtr::new(origin))
            }
            false => self.counts.uncopied(CPtr::new(copy), CPtr::new(origin)),
        };
        assert_eq!(usize::from(told.copies()), count - 1);
        assert_eq!(told == Count::ORPHAN, owner_gone && count == 1);
        assert_eq!(told == Count::NONE, !owner_gone && count == 1);
        if count == 1 {
            if owner_gone {
                self.counts.remove_orphan(CPtr::new(origin));
            }
            self.frames.remove(&origin);
        } else {
            self.frames.insert(origin, (count - 1, owner_gone));
        }
        self.counts.remove_unused_groups(&mut self.pool, CPtr::new(origin), 1);
        let removed = self.counts.runs.remove_deleted(CPtr::new(copy));
        assert_eq!(removed.is_some(), left == 0, "the slots go back together");
        if let Some(node) = removed {
            assert!(core::ptr::eq(node, self.nodes[&first]));
            assert_eq!(self.copies[&first].origin, gone);
            self.nodes.remove(&first);
            self.copies.remove(&first);
            self.free.push(node);
        }
    }

    /// Makes copies from slot `at` on ones of their own, if they are in the midst of others.
    fn split(&mut self, first: usize, at: usize) {
        let Some(node) = self.free.pop() else { return };
        let copies = self.copies.get_mut(&first).unwrap();
        let before = at - first;
        let midst = before != 0 && before < copies.live;
        let given = self.counts.runs.split(node, CPtr::new(at));
        assert_eq!(given.is_none(), midst);
        if !midst {
            self.free.push(node);
            return;
        }
        let (origin, count) = (copies.origin + before, copies.count - before);
        let live = copies.live - before;
        (copies.count, copies.live) = (before, before);
        self.nodes.insert(at, node);
        self.copies.insert(at, Copies { origin, count, live, quarantined: false });
    }

    fn check(&self) {
        let counts = &self.counts;
        for frame in FRAMES.start - 1..FRAMES.end + 1 {
            let (copies, gone) = self.count(frame);
            let count = counts.count(CPtr::new(frame));
            assert_eq!(usize::from(count.copies()), copies, "copies of {frame}");
            assert_eq!(count == Count::NONE, (copies, gone) == (0, false));
            for source in [Source::Owned, Source::Physical] {
                assert_eq!(counts.is_exclusive(CPtr::new(frame), source), copies == 0);
            }
            for count in [1, 2, GROUP + 1] {
                let any = (frame..frame + count).any(|frame| self.frames.contains_key(&frame));
                let frames = Frames { first: CPtr::new(frame), count, size_bits: 12 };
                assert_eq!(counts.any_in(&frames), any);
            }
            let borrowed = counts.is_exclusive(CPtr::new(frame), Source::Borrowed);
            assert!(borrowed, "nobody shares these");
        }
        for slot in 998..self.next_slot + 2 {
            let holds = |(first, copies): &(&usize, &Copies)| {
                (**first..**first + copies.count).contains(&slot)
            };
            let copies = self.copies.iter().find(holds);
            let origin = copies.map(|(first, copies)| copies.origin + (slot - first));
            assert_eq!(counts.origin(CPtr::new(slot)).map(CPtr::bits), origin, "behind {slot}");
            assert_eq!(counts.is_deferred(CPtr::new(slot)), self.deferred.contains(&slot));
            let alone = origin.is_some_and(|origin| self.count(origin) == (1, true));
            assert_eq!(counts.is_exclusive(CPtr::new(slot), Source::Copy), alone);
        }
        assert_eq!(counts.runs.check().map(|(_, rule)| rule), None);
        let stuck = self.copies.iter().filter(|(_, copies)| copies.quarantined);
        let first_stuck = stuck.clone().next().map(|(first, c)| (CPtr::new(*first), c.live));
        assert_eq!(counts.quarantined_copies(), first_stuck);
        let stuck: usize = stuck.map(|(_, copies)| copies.live).sum();
        let all: usize = self.frames.values().map(|(copies, _)| copies).sum();
        let orphans = self.frames.values().filter(|(_, gone)| *gone).count();
        assert_eq!(counts.totals(), (orphans, all - stuck));
        assert_eq!(counts.live_copies(), all);
        assert_eq!(
            self.pool.available(),
            self.groups - self.groups_used(),
            "no group is kept in vain"
        );
    }
}

#[test]
fn any_history_is_that_of_a_map() {
    play(300, 160, |data| {
        let mut choices = Choices::new(data);
        // Four groups hold all frames; sometimes there are fewer nodes than that.
        let groups: Vec<RefcountGroup<'_>> =
            (0..choices.pick(&[4, 4, 2, 3])).map(|_| RefcountGroup::default()).collect();
        let nodes: Vec<CapCopies<'_>> = (0..8).map(|_| CapCopies::default()).collect();
        let mut history = history(&groups, &nodes);
        while !choices.is_empty() {
            let starts: Vec<usize> = history.copies.keys().copied().collect();
            let frames: Vec<usize> = history.frames.keys().copied().collect();
            match choices.below(10) {
                8 if !history.deferred.is_empty() => {
                    let slots: Vec<usize> = history.deferred.iter().copied().collect();
                    let slot = choices.pick(&slots);
                    history.counts.runs.made(CPtr::new(slot));
                    history.deferred.remove(&slot);
                }
                9 if !starts.is_empty() && !history.free.is_empty() => {
                    let first = choices.pick(&starts);
                    let at = first + choices.below(history.copies[&first].count);
                    history.split(first, at);
                }
                0..=2 => {
                    let origin = FRAMES.start + choices.below(FRAMES.len());
                    let count = choices.pick(&[1, 1, 2, 3, GROUP, GROUP + 1, 2 * GROUP]);
                    let count = count.min(FRAMES.end - origin);
                    let skipped = choices.pick(&[0, 0, 1, 2]);
                    history.copy(origin, count, (skipped, choices.below(2) == 0));
                }
                3..=5 if !starts.is_empty() => {
                    let first = choices.pick(&starts);
                    let live = history.copies[&first].live;
                    for _ in 0..choices.pick(&[1, 2, live]).min(live) {
                        history.delete_one(first);
                    }
                }
                6 if !frames.is_empty() => {
                    let frame = choices.pick(&frames);
                    history.counts.owner_gone(CPtr::new(frame));
                    history.frames.get_mut(&frame).unwrap().1 = true;
                }
                7 if !starts.is_empty() => {
                    let first = choices.pick(&starts);
                    assert!(history.counts.quarantine_copies(CPtr::new(first)));
                    history.copies.get_mut(&first).unwrap().quarantined = true;
                    assert!(!history.counts.quarantine_copies(CPtr::new(999)), "there are none");
                }
                _ => {}
            }
            history.check();
        }
        let starts: Vec<usize> = history.copies.keys().copied().collect();
        for first in starts {
            while history.copies.contains_key(&first) {
                history.delete_one(first);
            }
        }
        history.check();
        assert_eq!(history.pool.available(), groups.len(), "every node is back");
    });
}

#[test]
fn a_count_goes_up_to_its_limit_and_back() {
    let most = if cfg!(miri) { 300 } else { usize::from(MAX_COPIES) };
    let groups = [RefcountGroup::default()];
    let nodes: Vec<CapCopies<'_>> = (0..=most / 256).map(|_| CapCopies::default()).collect();
    let mut pool = Pool::new(|group: &RefcountGroup<'_>| &group.next_free);
    pool.free(&groups[0]);
    let mut counts = FrameRefcounts::new();
    let frame = CPtr::new(GROUP + 31);
    assert!(counts.insert_groups(&mut pool, frame, 1).is_ok());
    for index in 0..most {
        let (node, within) = (&nodes[index / 256], index % 256);
        if within == 0 {
            counts.runs.insert(node, CPtr::new(1000 + index), frame, 256);
        }
        counts.copied(node, frame);
    }
    counts.owner_gone(frame);
    assert_eq!(usize::from(counts.count(frame).copies()), most, "the owner is not a copy");
    let full = |first: usize, count| counts.first_full(CPtr::new(first), count);
    if most == usize::from(MAX_COPIES) {
        assert_eq!(
            [full(GROUP + 31, 1), full(GROUP, 40), full(GROUP - 3, 50)].map(Option::unwrap),
            [0, 31, 34]
        );
    }
    assert_eq!((full(GROUP, 31), full(2 * GROUP, 5)), (None, None));
    assert_eq!(counts.totals(), (1, most));
    for neighbour in [GROUP + 30, 2 * GROUP, GROUP - 1] {
        assert!(counts.count(CPtr::new(neighbour)) == Count::NONE);
    }
    for index in (0..most).rev() {
        let left = counts.uncopied(CPtr::new(1000 + index), frame);
        assert_eq!(usize::from(left.copies()), index);
        let removed = counts.runs.remove_deleted(CPtr::new(1000 + index));
        assert_eq!(removed.is_some(), index % 256 == 0);
    }
    assert!(counts.count(frame) == Count::ORPHAN);
    assert!(!counts.is_exclusive(frame, Source::Owned));
    counts.remove_orphan(frame);
    counts.remove_unused_groups(&mut pool, frame, 1);
    assert_eq!((pool.available(), counts.totals()), (1, (0, 0)));
}

#[test]
fn nodes_are_taken_for_all_groups_or_for_none() {
    let groups = [RefcountGroup::default(), RefcountGroup::default()];
    let mut pool = Pool::new(|group: &RefcountGroup<'_>| &group.next_free);
    groups.iter().for_each(|group| pool.free(group));
    let mut counts = FrameRefcounts::new();
    let first = CPtr::new(2 * GROUP - 1);
    assert!(counts.insert_groups(&mut pool, first, GROUP + 2).is_err(), "three groups");
    assert_eq!(pool.available(), 2);
    assert!(counts.insert_groups(&mut pool, first, GROUP + 1).is_ok(), "two groups");
    assert_eq!(pool.available(), 0);
    assert!(counts.insert_groups(&mut pool, first, 1).is_ok(), "it is there already");
    counts.remove_unused_groups(&mut pool, first, GROUP + 1);
    assert_eq!(pool.available(), 2);
}

#[test]
fn a_frame_is_exclusive_when_one_user_is_left() {
    let groups = [RefcountGroup::default()];
    let node = CapCopies::default();
    let mut pool = Pool::new(|group: &RefcountGroup<'_>| &group.next_free);
    pool.free(&groups[0]);
    let mut counts = FrameRefcounts::new();
    let (frame, copy) = (CPtr::new(5), CPtr::new(40));
    assert!(counts.is_exclusive(frame, Source::Owned));
    assert!(!counts.is_exclusive(copy, Source::Copy), "a copy that is not known");
    assert!(counts.insert_groups(&mut pool, frame, 1).is_ok());
    counts.runs.insert(&node, copy, frame, 1);
    counts.copied(&node, frame);
    assert!(!counts.is_exclusive(frame, Source::Owned));
    assert!(!counts.is_exclusive(copy, Source::Copy));
    counts.owner_gone(frame);
    assert!(counts.is_exclusive(copy, Source::Copy), "the owner left first");
    assert_eq!(counts.origin(CPtr::new(41)), None);
    assert_eq!(counts.origin(CPtr::new(39)), None);
}
