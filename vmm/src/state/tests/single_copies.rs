// SPDX-License-Identifier: BSD-2-Clause
//! Copies that are made one by one: any history is that of a map (I48).

use std::collections::BTreeMap;
use std::vec::Vec;

use untyped_alloc::CPtr;

use super::choices::Choices;
use super::properties::play;
use crate::state::single_copies::{SingleCopies, Singles, TOGETHER};

/// Copies, and their model: of what each was copied, and whether it is in quarantine.
struct History<'p> {
    singles: Singles<'p>,
    free: Vec<(&'p SingleCopies<'p>, usize)>,
    copies: BTreeMap<usize, (usize, bool)>,
    nodes: usize,
}

impl History<'_> {
    fn copy(&mut self, origin: usize) {
        let copy = match self.singles.take(CPtr::new(origin)) {
            Some(copy) => copy,
            None => {
                let used = (self.nodes - self.free.len()) * TOGETHER;
                assert_eq!(self.copies.len(), used, "all slots are taken first");
                let Some((node, first)) = self.free.pop() else { return };
                self.singles.insert(node, CPtr::new(first));
                self.singles.take(CPtr::new(origin)).expect("a node has room")
            }
        };
        let before = self.copies.insert(copy.bits(), (origin, false));
        assert_eq!(before, None, "a slot is taken once");
    }

    fn delete(&mut self, copy: usize) {
        let node = self.singles.of(CPtr::new(copy)).expect("it is there");
        self.copies.remove(&copy);
        let first = node.first().bits();
        let empty = self.copies.range(first..first + TOGETHER).next().is_none();
        let given = self.singles.give_back(node, CPtr::new(copy));
        assert_eq!(given.is_some(), empty, "the slots go back together");
        if let Some(given) = given {
            assert!(core::ptr::eq(given, node));
            self.free.push((given, first));
        }
    }

    fn check(&self) {
        let found = self.singles.check(|_| true, |_| 1);
        assert_eq!(found.map(|(_, rule)| rule), None);
        for slot in 0..(self.nodes + 2) * 2 * TOGETHER {
            let copy = CPtr::new(slot);
            let origin = self.singles.of(copy).map(|node| node.origin(copy).bits());
            assert_eq!(origin, self.copies.get(&slot).map(|(origin, _)| *origin), "at {slot}");
        }
        let stuck = || self.copies.iter().filter(|(_, (_, stuck))| *stuck);
        assert_eq!(self.singles.totals(), (self.copies.len(), stuck().count()));
        let first = stuck().next().map(|(copy, _)| CPtr::new(*copy));
        assert_eq!(self.singles.first_quarantined(), first);
    }
}

#[test]
fn any_history_is_that_of_a_map() {
    play(200, 300, |data| {
        let mut choices = Choices::new(data);
        let nodes: Vec<SingleCopies<'_>> = (0..3).map(|_| SingleCopies::default()).collect();
        // Between their slots lie as many that are others'.
        let free = nodes.iter().zip((1..).map(|nth| nth * 2 * TOGETHER)).collect();
        let copies = BTreeMap::new();
        let mut history = History { singles: Singles::new(), free, copies, nodes: nodes.len() };
        while !choices.is_empty() {
            let copies: Vec<usize> = history.copies.keys().copied().collect();
            match choices.below(8) {
                0..=2 => {
                    let count = choices.pick(&[1, 2, TOGETHER - 1, TOGETHER]);
                    (0..count).for_each(|nth| history.copy(1000 + nth));
                }
                3..=5 if !copies.is_empty() => history.delete(choices.pick(&copies)),
                6 if !copies.is_empty() => {
                    for copy in copies.into_iter().step_by(choices.pick(&[1, 2, 5])) {
                        history.delete(copy);
                    }
                }
                7 if !copies.is_empty() => {
                    let copy = choices.pick(&copies);
                    assert!(history.singles.quarantine(CPtr::new(copy)));
                    history.copies.get_mut(&copy).unwrap().1 = true;
                    assert!(!history.singles.quarantine(CPtr::new(1)), "there is none");
                }
                _ => {}
            }
            history.check();
        }
        for copy in history.copies.keys().copied().collect::<Vec<_>>() {
            history.delete(copy);
        }
        history.check();
        assert_eq!(history.free.len(), nodes.len(), "every node is back");
    });
}
