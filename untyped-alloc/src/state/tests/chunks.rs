// SPDX-License-Identifier: BSD-2-Clause
//! Chunks against a list of them, with one state for each object.

use proptest::prelude::*;
use std::vec::Vec;

use super::{explore, std};
use crate::state::{Block, Chunk, Chunks, Class, NewChunk, Room};
use crate::types::ObjectState::{self, Gone, Live, Ready};
use crate::types::{Blueprint, CPtr, Mobility};

const ZEROED: ObjectState = Ready { clean: true };
const NODES: usize = 6;
const KINDS: [Blueprint; 4] = [
    Blueprint::Frame { size_bits: 12 },
    Blueprint::Table { level: 1 },
    Blueprint::Endpoint,
    Blueprint::Untyped { size_bits: 4 },
];

/// One operation. A number that chooses among things is taken modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Insert {
        place: usize,
        kind: usize,
        recycles: bool,
        count: usize,
    },
    Remove(usize),
    /// Allocates a run that is all ready, if the range is one.
    Alloc {
        which: usize,
        first: usize,
        count: usize,
        movable: bool,
    },
    AllocZeroed(usize),
    /// Frees all that are live.
    FreeAll(usize, ObjectState),
    AllocZeroedAt(usize, usize),
    AllocLastZeroed(usize, usize),
    AllocZeroedRun(usize, usize, usize),
    AllocDirty(usize),
    /// Frees a run that is all live, if the range is one.
    Free {
        which: usize,
        first: usize,
        count: usize,
        state: ObjectState,
    },
    WithRoom {
        class: usize,
        kind: usize,
        recycles: bool,
        /// `None` is both.
        movable: Option<bool>,
    },
    Find(usize),
}

fn operation() -> impl Strategy<Value = Op> {
    let which = || 0..NODES;
    let count = || prop_oneof![1..5usize, 30..35usize, Just(64usize), 255..257usize];
    let first = || prop_oneof![Just(0usize), 0..6usize, 30..34usize, 0..256usize];
    let state = || prop_oneof![Just(Gone), Just(ZEROED), Just(Ready { clean: false })];
    prop_oneof![
        3 => (0..8usize, 0..4usize, any::<bool>(), count())
            .prop_map(|(place, kind, recycles, count)| Op::Insert { place, kind, recycles, count }),
        1 => which().prop_map(Op::Remove),
        4 => (which(), first(), count(), any::<bool>()).prop_map(
            |(which, first, count, movable)| Op::Alloc { which, first, count, movable }),
        4 => prop_oneof![which().prop_map(Op::AllocZeroed), which().prop_map(Op::AllocDirty)],
        6 => prop_oneof![
            (which(), first()).prop_map(|(which, index)| Op::AllocZeroedAt(which, index)),
            (which(), first(), 0..40usize)
                .prop_map(|(which, first, count)| Op::AllocZeroedRun(which, first, count)),
        ],
        2 => (which(), prop_oneof![first(), Just(usize::MAX)])
            .prop_map(|(which, index)| Op::AllocLastZeroed(which, index)),
        6 => (which(), first(), count(), state())
            .prop_map(|(which, first, count, state)| Op::Free { which, first, count, state }),
        2 => (which(), state()).prop_map(|(which, state)| Op::FreeAll(which, state)),
        3 => (0..5usize, 0..4usize, any::<bool>(), any::<Option<bool>>()).prop_map(
            |(class, kind, recycles, movable)| Op::WithRoom { class, kind, recycles, movable }),
        2 => (0..2400usize).prop_map(Op::Find),
    ]
}

/// A chunk as the model sees it.
struct Model<'p> {
    chunk: &'p Chunk<'p>,
    new: NewChunk<'p>,
    states: Vec<ObjectState>,
    movable: Option<bool>,
}

fn mobility(movable: bool) -> Mobility {
    match movable {
        true => Mobility::Movable,
        false => Mobility::Fixed,
    }
}

impl Model<'_> {
    fn count(&self, wanted: impl Fn(ObjectState) -> bool) -> usize {
        self.states.iter().filter(|&&state| wanted(state)).count()
    }

    fn class(&self) -> Option<Class> {
        let ready = self.count(|state| matches!(state, Ready { .. }));
        let zeroed = self.count(|state| state == ZEROED);
        match (self.count(|state| state == Live), ready, zeroed) {
            (0, 0, _) => Some(Class::Quarantine),
            (0, _, 0) => Some(Class::EmptyDirty),
            (0, ..) => Some(Class::EmptyZeroed),
            (_, 0, _) => None,
            (_, _, 0) => Some(Class::Dirty),
            _ => Some(Class::Zeroed),
        }
    }

    /// Once unused, it is for anything again.
    fn note_unused(&mut self) {
        if self.count(|state| state == Live) == 0 {
            self.movable = Some(false);
        }
    }

    /// The part of a range that exists, if there is any and all of it is as wanted.
    fn range(
        &self,
        first: usize,
        count: usize,
        wanted: impl Fn(ObjectState) -> bool,
    ) -> Option<(usize, usize)> {
        let count = count.min(self.states.len().saturating_sub(first));
        let all = self.states.iter().skip(first).take(count).all(|&state| wanted(state));
        (count != 0 && all).then_some((first, count))
    }
}

struct Run<'p> {
    chunks: Chunks<'p>,
    block: &'p Block<'p>,
    model: Vec<Model<'p>>,
    serial: u64,
}

impl Run<'_> {
    fn step(&mut self, operation: Op) {
        match operation {
            Op::Insert { place, kind, recycles, count } => {
                self.insert(place, KINDS[kind], recycles, count);
            }
            Op::WithRoom { class, kind, recycles, movable } => {
                self.with_room(class, (KINDS[kind], recycles, movable));
            }
            Op::Find(slot) => self.find(slot),
            Op::Remove(which) if which < self.model.len() => {
                let gone = self.model.swap_remove(which);
                self.chunks.remove(gone.chunk);
                assert!(gone.chunk.block().is_none() && gone.chunk.serial() == 0);
            }
            Op::Alloc { which, first, count, movable } if which < self.model.len() => {
                let model = &mut self.model[which];
                let ready = |state| matches!(state, Ready { .. });
                let Some((first, count)) = model.range(first, count, ready) else { return };
                let alike =
                    model.count(|state| state == Live) == 0 || model.movable == Some(movable);
                model.movable = alike.then_some(movable);
                self.chunks.alloc(model.chunk, first, count, mobility(movable));
                model.states[first..first + count].fill(Live);
            }
            Op::AllocZeroed(which) if which < self.model.len() => self.alloc_zeroed(which),
            Op::AllocZeroedAt(which, index) if which < self.model.len() => {
                let model = &mut self.model[which];
                // Not the last: the chunk would leave its class.
                let others = model.count(|state| state == ZEROED) > 1;
                let zeroed = model.states.get(index) == Some(&ZEROED);
                let can = zeroed && others && model.class() == Some(Class::Zeroed);
                assert_eq!(model.chunk.alloc_zeroed_run(index, 1), can, "object {index}");
                if can {
                    model.states[index] = Live;
                }
            }
            Op::AllocZeroedRun(which, first, count) if which < self.model.len() => {
                let model = &mut self.model[which];
                let others = model.count(|state| state == ZEROED) > count;
                let one_word = first / 32 == (first + count).saturating_sub(1) / 32;
                let run = model.states.get(first..first + count);
                let zeroed = run.is_some_and(|run| run.iter().all(|&state| state == ZEROED));
                let can = count != 0 && zeroed && one_word && others;
                let can = can && model.class() == Some(Class::Zeroed);
                let taken = model.chunk.alloc_zeroed_run(first, count);
                assert_eq!(taken, can, "{count} objects from {first} on");
                if can {
                    model.states[first..first + count].fill(Live);
                }
            }
            Op::AllocDirty(which) if which < self.model.len() => {
                let model = &mut self.model[which];
                let dirty = Ready { clean: false };
                let first = model.states.iter().position(|&state| state == dirty);
                let others = |first: &usize| {
                    let word = model.states.iter().skip(first / 32 * 32).take(32);
                    word.filter(|&&state| state == dirty).count() > 1
                };
                let expected = first.filter(others).filter(|_| model.class() == Some(Class::Dirty));
                assert_eq!(model.chunk.alloc_dirty(), expected);
                expected.into_iter().for_each(|first| model.states[first] = Live);
            }
            Op::AllocLastZeroed(which, index) if which < self.model.len() => {
                let model = &mut self.model[which];
                let can = model.states.get(index) == Some(&ZEROED);
                assert_eq!(self.chunks.alloc_last_zeroed(model.chunk, index), can);
                if can {
                    model.states[index] = Live;
                }
            }
            Op::Free { which, first, count, state } if which < self.model.len() => {
                let model = &mut self.model[which];
                let live = |state| state == Live;
                let Some((first, count)) = model.range(first, count, live) else { return };
                self.chunks.free(model.chunk, first, count, state);
                model.states[first..first + count].fill(state);
                model.note_unused();
            }
            Op::FreeAll(which, state) if which < self.model.len() => {
                let model = &mut self.model[which];
                for index in 0..model.states.len() {
                    if model.states[index] == Live {
                        self.chunks.free(model.chunk, index, 1, state);
                        model.states[index] = state;
                        model.note_unused();
                    }
                }
            }
            _ => {}
        }
    }

    /// Places are 300 slots apart: a chunk never reaches into the next.
    fn insert(&mut self, place: usize, blueprint: Blueprint, recycles: bool, count: usize) {
        let first = CPtr::new(1 + place * 300);
        if self.model.iter().any(|model| model.new.first == first) {
            return;
        }
        let Some(chunk) = self.chunks.pool.alloc() else {
            return assert_eq!(self.model.len(), NODES);
        };
        self.serial += 1;
        let (block, serial) = (self.block, self.serial);
        let new = NewChunk { block, blueprint, recycles, first, count, serial };
        self.chunks.insert(chunk, new);
        self.model.push(Model {
            chunk,
            new,
            states: std::vec![ZEROED; count],
            movable: Some(false),
        });
    }

    fn alloc_zeroed(&mut self, which: usize) {
        let model = &mut self.model[which];
        let first = model.states.iter().position(|&state| state == ZEROED);
        // It must not be the last one, or the chunk would be of another class then.
        let zeroed = model.states.iter().filter(|&&state| state == ZEROED);
        let first = first.filter(|_| zeroed.count() > 1);
        let expected = first.filter(|_| model.class() == Some(Class::Zeroed));
        assert_eq!(self.chunks.alloc_zeroed(model.chunk), expected);
        expected.into_iter().for_each(|first| model.states[first] = Live);
    }

    fn with_room(&self, class: usize, wanted: (Blueprint, bool, Option<bool>)) {
        use Class::{Dirty, EmptyDirty, EmptyZeroed, Quarantine, Zeroed};
        let class = [Zeroed, Dirty, EmptyZeroed, EmptyDirty, Quarantine][class];
        let fits = |model: &&Model<'_>| {
            let kind = (model.new.blueprint, model.new.recycles, model.movable);
            model.class() == Some(class) && kind == wanted
        };
        let fitting: Vec<CPtr> =
            self.model.iter().filter(fits).map(|model| model.new.first).collect();
        let (blueprint, recycles, movable) = wanted;
        let kind = Room::new(recycles, blueprint);
        let kind = movable.map_or(kind.mixed(), |movable| kind.with_mobility(mobility(movable)));
        match self.chunks.with_room(class, kind) {
            Some(chunk) => assert!(fitting.contains(&chunk.first()), "{chunk:?} is no {class:?}"),
            None => assert!(fitting.is_empty(), "there is a {class:?}"),
        }
    }

    fn find(&self, slot: usize) {
        let range = |model: &Model<'_>| {
            let first = model.new.first.bits();
            first..first + model.states.len()
        };
        let expected = self.model.iter().find(|model| range(model).contains(&slot));
        let expected = expected.map(|model| (model.new.first, slot - model.new.first.bits()));
        let found = self.chunks.find(CPtr::new(slot));
        assert_eq!(found.map(|(chunk, index)| (chunk.first(), index)), expected, "slot {slot}");
    }

    fn check(&self) {
        let mut model: Vec<&Model<'_>> = self.model.iter().collect();
        model.sort_by_key(|model| model.new.first);
        assert!(self.chunks.iter().eq(model.iter().map(|model| model.chunk)), "by slot");
        model.iter().for_each(|model| check_chunk(model));
        let in_room = model.iter().filter(|model| model.class().is_some()).count();
        assert_eq!(self.chunks.room_counts(), (in_room, in_room));
        // Unused ones: by class, then those for what stays, those that destroy, by kind and slot.
        let mut unused: Vec<&Model<'_>> = model;
        unused.retain(|model| model.count(|state| state == Live) == 0);
        let key = |model: &&Model<'_>| {
            (
                model.class(),
                model.movable.is_none(),
                model.movable,
                model.new.recycles,
                model.new.blueprint,
                model.new.first,
            )
        };
        unused.sort_by_key(key);
        let found =
            core::iter::successors(self.chunks.unused(), |chunk| self.chunks.unused_after(chunk));
        assert!(found.eq(unused.iter().map(|model| model.chunk)), "unused ones");
        assert_eq!(self.chunks.pool.available(), NODES - self.model.len(), "no node is lost");
        assert!(self.chunks.knows_where_zeroed_begin());
    }
}

fn check_chunk(model: &Model<'_>) {
    let (chunk, new, states) = (model.chunk, &model.new, &model.states);
    assert_eq!((chunk.first(), chunk.count()), (new.first, new.count));
    assert_eq!((chunk.blueprint(), chunk.recycles()), (new.blueprint, new.recycles));
    assert_eq!(chunk.mobility(), model.movable.map(mobility));
    assert_eq!(chunk.recycles_as(new.blueprint), new.recycles);
    assert!(chunk.serial() == new.serial && chunk.block() == Some(new.block));
    for (index, &state) in states.iter().enumerate() {
        assert_eq!(chunk.state(index), state, "object {index}");
        assert_eq!(chunk.is_live(index), state == Live);
    }
    let ready = model.count(|state| matches!(state, Ready { .. }));
    assert_eq!((chunk.live(), chunk.ready()), (model.count(|state| state == Live), ready));
    let quarantined = model.class() == Some(Class::Quarantine);
    assert_eq!(chunk.quarantined(), if quarantined { states.len() } else { 0 });
    for first in [0, 1, 31, 32].into_iter().filter(|&first| first < states.len()) {
        for count in [0, 1, 2, 32, 33, 256, usize::MAX - 1, usize::MAX] {
            let inside = count <= states.len() - first;
            let live = |state: &ObjectState| *state == Live;
            let all = count != 0 && inside && states[first..first + count].iter().all(live);
            assert_eq!(chunk.all_live(first, count), all, "{count} from {first} on");
        }
    }
    for (slot, index) in [(0, Some(0)), (states.len() - 1, Some(states.len() - 1))] {
        assert_eq!(chunk.index_of(new.first.offset(slot)), index);
        assert_eq!(chunk.slot_of(slot), new.first.offset(slot));
    }
    let beyond = [new.first.offset(states.len()), CPtr::new(new.first.bits() - 1), CPtr::NULL];
    assert!(beyond.into_iter().all(|slot| chunk.index_of(slot).is_none()));
}

fn run(operations: Vec<Op>) {
    let block = [Block::default()];
    let nodes: Vec<Chunk<'_>> = (0..NODES).map(|_| Chunk::default()).collect();
    let mut chunks = Chunks::new();
    chunks.pool.add(&nodes);
    let mut run = Run { chunks, block: &block[0], model: Vec::new(), serial: 0 };
    for operation in operations {
        run.step(operation);
        run.check();
    }
}

#[test]
fn chunks_agree_with_one_state_for_each_object() {
    explore(operation(), (300, 80), run);
}

#[test]
fn the_first_zeroed_object_is_found_when_it_comes_back() {
    let block = [Block::default()];
    let nodes = [Chunk::default()];
    let mut chunks = Chunks::new();
    chunks.pool.add(&nodes);
    let (block, first) = (&block[0], CPtr::new(1));
    let new = NewChunk { block, blueprint: KINDS[0], recycles: true, first, count: 100, serial: 1 };
    let chunk = chunks.pool.alloc().unwrap();
    chunks.insert(chunk, new);
    chunks.alloc(chunk, 0, 40, Mobility::Fixed);
    assert_eq!(chunks.alloc_zeroed(chunk), Some(40));
    chunks.free(chunk, 3, 1, ZEROED);
    assert!(chunks.knows_where_zeroed_begin());
    assert_eq!(chunks.alloc_zeroed(chunk), Some(3));
    assert_eq!(chunks.alloc_zeroed(chunk), Some(41));
    // Another chunk in the same node begins anew.
    chunks.remove(chunk);
    let chunk = chunks.pool.alloc().unwrap();
    chunks.insert(chunk, NewChunk { serial: 2, ..new });
    assert!(chunks.knows_where_zeroed_begin());
    chunks.alloc(chunk, 0, 1, Mobility::Fixed);
    assert_eq!(chunks.alloc_zeroed(chunk), Some(1));
}
