// SPDX-License-Identifier: BSD-2-Clause
//! Places on a disk, and in a memory object, as the pager `swap-pager` takes them.

extern crate alloc;

#[path = "../../roottask/clients/src/bin/swap-pager/places.rs"]
mod places;

use std::collections::BTreeSet;

use places::Places;
use proptest::prelude::*;

/// What is done with them.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many are taken.
    Take(u32),
    /// One is given back: of those that are taken, or another.
    Give(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let take = prop_oneof![4 => 1..18u32, 1 => 0..80u32].prop_map(Step::Take);
    let step = prop_oneof![1 => take, 2 => any::<u32>().prop_map(Step::Give)];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// A203: what is taken was free, lies next to each other and within bounds; who wants as many
    /// as lie free next to each other has them.
    #[test]
    fn what_is_taken_was_free(count in 0..70u32, steps in steps()) {
        let mut places = Places::new(count);
        let mut taken = BTreeSet::new();
        for step in steps {
            match step {
                Step::Take(wanted) => {
                    let runs = |first: u32| (first..first + wanted).all(|at| !taken.contains(&at));
                    let can = wanted != 0
                        && wanted <= count
                        && (0..=count - wanted).any(runs);
                    let found = places.take(wanted);
                    prop_assert_eq!(found.is_some(), can, "{} of {}", wanted, count);
                    if let Some(first) = found {
                        prop_assert!(first + wanted <= count && runs(first));
                        taken.extend(first..first + wanted);
                    }
                }
                Step::Give(number) => {
                    // Also of a place that is free, or that there is not: that changes nothing.
                    let one = taken.iter().nth(number as usize % (taken.len() + 1)).copied();
                    let one = one.unwrap_or(number);
                    places.give(one);
                    taken.remove(&one);
                }
            }
            prop_assert_eq!(places.free(), count - taken.len() as u32);
        }
    }
}

/// A203: what is taken one after another lies so, until the end.
#[test]
fn what_is_taken_one_after_another_lies_so() {
    let mut places = Places::new(100);
    assert_eq!([places.take(10), places.take(10)], [Some(0), Some(10)]);
    (0..10).for_each(|place| places.give(place));
    assert_eq!(places.take(10), Some(20));
    assert_eq!(places.take(70), Some(30));
    assert_eq!(places.take(10), Some(0), "what was given back, when the end is reached");
    assert_eq!(places.take(1), None);
}
