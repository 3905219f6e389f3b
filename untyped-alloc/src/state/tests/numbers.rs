// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that go round, against a list of those in use.

use std::collections::{BTreeSet, VecDeque};
use std::vec::Vec;

use super::std;
use crate::state::Numbers;

/// Gives the next number out.
fn give(numbers: &mut Numbers, used: &mut BTreeSet<u32>) -> Option<u32> {
    let number = numbers.next(|number| used.contains(&number))?;
    assert!(used.insert(number), "{number} is in use");
    numbers.note(number);
    Some(number)
}

/// A73: every width from none to four bits, gone through many times with as many in use as there
/// can be.
#[test]
fn a_number_comes_again_when_it_is_free_and_not_before_the_other_free_ones() {
    for most in 0..=15u32 {
        for live in 0..=most as usize {
            let (mut numbers, mut used) = (Numbers::up_to(most), BTreeSet::new());
            let mut order = VecDeque::new();
            for step in 0..10 * most {
                if order.len() == live {
                    // In turns the oldest and the youngest goes, so that old ones stay for long.
                    let gone = if step % 3 == 0 { order.pop_front() } else { order.pop_back() };
                    used.remove(&gone.unwrap_or(0));
                }
                let free: Vec<u32> = (1..=most).filter(|number| !used.contains(number)).collect();
                let given = give(&mut numbers, &mut used).expect("one is free");
                assert!(free.contains(&given));
                order.push_back(given);
                if live == 0 {
                    used.clear();
                    order.clear();
                }
            }
            // All that are free, each once.
            let free = most as usize - used.len();
            let rest: BTreeSet<u32> =
                (0..free).map(|_| give(&mut numbers, &mut used).expect("one is free")).collect();
            assert_eq!(rest.len(), free);
            assert_eq!(give(&mut numbers, &mut used), None, "all {most} are in use");
            if most != 0 {
                used.remove(&most);
                assert_eq!(give(&mut numbers, &mut used), Some(most), "what is given back serves");
            }
        }
    }
}

#[test]
fn the_greatest_word_is_the_last_number() {
    let mut numbers = Numbers::up_to(u32::MAX);
    numbers.note(u32::MAX - 1);
    assert_eq!(numbers.next(|_| false), Some(u32::MAX));
    numbers.note(u32::MAX);
    assert_eq!(numbers.next(|_| false), Some(1), "0 is none");
    assert_eq!(numbers.next(|number| number < 5), Some(5));
}

#[test]
fn those_of_the_round_before_are_the_older_ones() {
    let mut numbers = Numbers::up_to(7);
    numbers.note(3);
    let mut by_age: Vec<u32> = (1..=7).collect();
    by_age.sort_by_key(|&number| numbers.age_key(number));
    assert_eq!(by_age, [4, 5, 6, 7, 1, 2, 3]);
}
