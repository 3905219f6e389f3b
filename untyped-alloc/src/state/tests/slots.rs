// SPDX-License-Identifier: BSD-2-Clause
//! Windows of slots and the trees over them.

use proptest::prelude::*;

use super::slots_model::{run, Op};
use super::{explore, std};
use crate::state::slot_window::{best_of_word, SlotWindow, WINDOW_SLOTS};
use crate::state::Slots;
use crate::types::CPtr;

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
    for (word, best) in [(0, 0), (1, 1), (0b110, 1), (0b11, 2), (0xf0, 3), (0xff00, 4), (!0, 6)] {
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
        if seed >> 16 & 3 != 0 && u32::from(window.best()) > order {
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
            assert_eq!(window.best(), best_by_search(&window));
        }
    }
    held.drain(..).for_each(|(at, count)| window.mark(at, count, true));
    assert_eq!(window.free_count(), 4096 - 129);
}

/// A count of slots, often next to a power of two.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![1..5usize, 30..35usize, 62..66usize, 127..131usize, 254..257usize]
}

fn operation() -> impl Strategy<Value = Op> {
    let bound = || prop_oneof![Just(0usize), 0..70usize, 4000..4097usize, Just(4096usize)];
    prop_oneof![
        3 => (0..5usize, bound(), bound(), any::<bool>())
            .prop_map(|(place, from, to, ours)| Op::Insert { place, from, to, ours }),
        1 => Just(Op::RemoveUnused),
        9 => (count(), any::<bool>()).prop_map(|(count, lend)| Op::Alloc { count, lend }),
        4 => (any::<usize>(), count()).prop_map(|(which, count)| Op::Free { which, count }),
        4 => (any::<usize>(), 0..6usize, count())
            .prop_map(|(near, offset, count)| Op::FreeLent { near, offset, count }),
        1 => any::<usize>().prop_map(|which| Op::FreeAgain { which }),
    ]
}

#[test]
fn slots_agree_with_one_state_for_each() {
    explore(operation(), (150, 120), run);
}

#[test]
fn what_leaves_a_window_is_neither_freed_nor_anybodys() {
    let nodes: [SlotWindow<'_>; 2] = Default::default();
    let mut slots = Slots::new();
    slots.pool.add(&nodes);
    let (base, next) = (CPtr::new(0), CPtr::new(WINDOW_SLOTS));
    slots.insert(base, 0, WINDOW_SLOTS).expect("a node");
    slots.insert(next, 0, WINDOW_SLOTS).expect("a node");
    let runs = WINDOW_SLOTS / 256;
    (0..2 * runs).for_each(|_| assert!(slots.alloc(256).is_some(), "all are taken"));
    let last = base.offset(WINDOW_SLOTS - 2);
    for count in [3, 4, 256, WINDOW_SLOTS, usize::MAX] {
        assert!(!slots.free(last, count), "{count} slots");
        assert!(!slots.free_lent(last, count), "{count} slots");
        assert_eq!(slots.any_lent(last, count), None, "{count} slots");
        assert_eq!(slots.free_count(), 0);
    }
    assert_eq!(slots.any_lent(last, 2), Some(false));
    slots.lend(last.offset(1), 1);
    assert_eq!(slots.any_lent(last, 2), Some(true), "one of the two");
    assert!(!slots.free_lent(last, 2), "the other is not lent");
    assert!(slots.free_lent(last.offset(1), 1));
    assert!(!slots.free(last, 2), "one of the two is free");
    assert!(slots.free(last, 1));
    assert_eq!(slots.free_count(), 2);
}

#[test]
fn windows_are_found_by_the_room_that_they_have_now() {
    for freed in 0..3 {
        let nodes: [SlotWindow<'_>; 3] = Default::default();
        let mut slots = Slots::new();
        slots.pool.add(&nodes);
        let base = |window: usize| CPtr::new(window * WINDOW_SLOTS);
        for window in 0..3 {
            slots.insert(base(window), 0, WINDOW_SLOTS).expect("a node");
        }
        let runs = 3 * WINDOW_SLOTS / 256;
        (0..runs).for_each(|_| assert!(slots.alloc(256).is_some(), "all are taken"));
        assert_eq!(slots.alloc(1), None);
        let run = base(freed).offset(512);
        assert!(slots.free(run, 256));
        // Those of a window before it and behind it are too short.
        for other in (0..3).filter(|&other| other != freed) {
            assert!(slots.free(base(other).offset(3), 1));
        }
        assert_eq!(slots.alloc(256), Some(run), "of window {freed}");
        assert_eq!(slots.alloc(2), None);
    }
}
