// SPDX-License-Identifier: BSD-2-Clause
//! The two bitmaps of a chunk against one state for each object.

use proptest::prelude::*;
use std::vec::Vec;

use super::{explore, std};
use crate::state::object_map::ObjectMap;
use crate::types::ObjectState::{self, Gone, Live, Ready};
use crate::types::MAX_BATCH;

const ZEROED: ObjectState = Ready { clean: true };
const DIRTY: ObjectState = Ready { clean: false };

#[derive(Clone, Debug)]
enum Op {
    Reset(usize),
    Set(usize, usize, ObjectState),
    AllocZeroed,
    AllocZeroedAt(usize),
    AllocZeroedRun(usize, usize),
    /// The first that there are.
    AllocFirstRun(usize),
    AllocDirty,
}

/// A number of an object, often near the end of a word.
fn index() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..40usize,
        (0..=8usize, 0..3usize).prop_map(|(word, near)| (word * 32 + near).saturating_sub(1)),
        0..MAX_BATCH,
    ]
    .prop_map(|index| index.min(MAX_BATCH - 1))
}

fn operation() -> impl Strategy<Value = Op> {
    let state = prop_oneof![Just(Live), Just(Gone), Just(ZEROED), Just(DIRTY)];
    prop_oneof![
        1 => index().prop_map(|last| Op::Reset(last + 1)),
        6 => (index(), index(), state).prop_map(|(first, count, state)| {
            Op::Set(first, count.min(MAX_BATCH - first), state)
        }),
        3 => Just(Op::AllocZeroed),
        3 => prop_oneof![index(), Just(MAX_BATCH), Just(usize::MAX)].prop_map(Op::AllocZeroedAt),
        3 => (prop_oneof![index(), Just(MAX_BATCH)], 0..40usize)
            .prop_map(|(first, count)| Op::AllocZeroedRun(first, count)),
        3 => prop_oneof![0..40usize, Just(MAX_BATCH)].prop_map(Op::AllocFirstRun),
        3 => Just(Op::AllocDirty),
    ]
}

/// The first run of objects in one state, at most `want` long, by looking at each.
fn first_run(model: &[ObjectState], want: usize, state: ObjectState) -> Option<(usize, usize)> {
    let first = model.iter().position(|&other| other == state)?;
    let length = model[first..].iter().take(want).take_while(|&&other| other == state).count();
    Some((first, length))
}

fn check(map: &ObjectMap, model: &[ObjectState]) {
    for (index, &state) in model.iter().enumerate() {
        assert_eq!(map.state(index), state, "object {index}");
    }
    let count =
        |wanted: fn(&ObjectState) -> bool| model.iter().filter(|state| wanted(state)).count();
    let ready = count(|state| matches!(state, Ready { .. }));
    assert_eq!(map.ready(), ready);
    assert_eq!(map.flagged(), count(|&state| state == ZEROED || state == Gone));
    assert_eq!(map.room(), (ready != 0, model.contains(&ZEROED)));
    for want in [1, 2, 31, 32, 33, 64, 255, 256] {
        assert_eq!(map.first_run(want, true), first_run(model, want, ZEROED), "{want} zeroed");
        assert_eq!(map.first_run(want, false), first_run(model, want, DIRTY), "{want} dirty");
    }
    for index in [0, 31, 32, 100, 255] {
        let word = &model[index / 32 * 32..][..32];
        assert_eq!(map.has_ready_beside(index, true), word.contains(&ZEROED), "{index}");
        assert_eq!(map.has_ready_beside(index, false), word.contains(&DIRTY), "{index}");
    }
    for (first, count) in [(0, 1), (0, 256), (31, 2), (32, 32), (63, 66), (255, 1), (100, 0)] {
        let none = model[first..first + count].iter().all(|&state| state == Live);
        assert_eq!(map.none_ready_or_retired(first, count), none, "{count} from {first} on");
    }
}

fn run(operations: Vec<Op>) {
    let (map, mut model) = (ObjectMap::default(), Vec::from([Live; MAX_BATCH]));
    for operation in operations {
        let zeroed = |model: &[ObjectState]| model.iter().filter(|&&state| state == ZEROED).count();
        match operation {
            Op::Reset(count) => {
                map.reset(count);
                model[..count].fill(ZEROED);
                model[count..].fill(Live);
            }
            Op::Set(first, count, state) => {
                map.set(first, count, state);
                model[first..first + count].fill(state);
            }
            Op::AllocZeroed => {
                let first = model.iter().position(|&state| state == ZEROED);
                // Any word will do that is not behind its own.
                let from = first.unwrap_or(0) / 32;
                assert!(!map.has_zeroed_before(from));
                assert!(first.is_none() || map.has_zeroed_before(from + 1));
                let first = first.filter(|_| zeroed(&model) > 1);
                assert_eq!(map.alloc_zeroed(from), first);
                first.into_iter().for_each(|first| model[first] = Live);
            }
            Op::AllocZeroedAt(index) => {
                let can = model.get(index) == Some(&ZEROED) && zeroed(&model) > 1;
                assert_eq!(map.alloc_zeroed_run(index, 1), can, "object {index}");
                if can {
                    model[index] = Live;
                }
            }
            Op::AllocZeroedRun(..) | Op::AllocFirstRun(_) => {
                let (first, count) = match operation {
                    Op::AllocZeroedRun(first, count) => (first, count),
                    Op::AllocFirstRun(want) => first_run(&model, want, ZEROED).unwrap_or((0, 0)),
                    _ => unreachable!(),
                };
                let run = model.get(first..first + count).unwrap_or_default();
                let all = count != 0 && run.iter().filter(|&&it| it == ZEROED).count() == count;
                // In one word, and others are left.
                let can = all && first / 32 == (first + count - 1) / 32 && zeroed(&model) > count;
                assert_eq!(map.alloc_zeroed_run(first, count), can, "{count} from {first} on");
                if can {
                    model[first..first + count].fill(Live);
                }
            }
            Op::AllocDirty => {
                let first = model.iter().position(|&state| state == DIRTY);
                let others = |first: &usize| {
                    let word = &model[first / 32 * 32..][..32];
                    word.iter().filter(|&&state| state == DIRTY).count() > 1
                };
                let first = first.filter(others);
                assert_eq!(map.alloc_dirty(), first);
                first.into_iter().for_each(|first| model[first] = Live);
            }
        }
        check(&map, &model);
    }
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn the_bitmaps_agree_with_one_state_for_each_object() {
    explore(operation(), (300, 60), run);
}
