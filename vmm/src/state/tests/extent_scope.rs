// SPDX-License-Identifier: BSD-2-Clause
//! Small scope: every look-up, then every change, then every look-up, on a few small maps.
//!
//! A look-up leaves a short cut behind, and a change must not make it lie. The histories try such
//! triples at random; here none is left out.

use std::vec::Vec;

use page_tables::Geometry;

use super::choices::PAGE;
use super::extent_changes::{History, Nodes};
use super::extent_looks::{check_list, QUESTIONS};
use super::extent_model::{Like, Run};

/// Pages in which all happens.
const PAGES: usize = 9;

/// A change of the extents.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Insert { page: usize, pages: usize },
    Scatter { page: usize },
    Remove { which: usize, first: usize, count: usize, with_spare: bool },
    Join { which: usize },
    Extend { which: usize },
    Pop,
}

/// How an extent comes into a map.
#[derive(Clone, Copy, PartialEq)]
enum As {
    Extent,
    Strided,
    /// Page by page, in a window where that can be.
    Scattered,
}
use As::{Extent, Scattered, Strided};

/// Maps: the first page, the first capability, and the frames of each extent.
const MAPS: &[&[(usize, usize, usize, As)]] = &[
    &[],
    &[(2, 52, 4, Extent)],
    &[(0, 50, 1, Extent), (3, 53, 2, Extent), (5, 55, 2, Extent)],
    &[(1, 51, 2, Extent), (4, 80, 2, Strided)],
    &[(1, 90, 1, Scattered), (4, 60, 2, Scattered), (7, 80, 1, Scattered)],
    &[(0, 50, 2, Extent), (3, 60, 1, Scattered), (6, 70, 1, Scattered)],
];

/// An extent at each of the places of a map.
fn begin<'p>(nodes: &'p Nodes<'p>, map: &[(usize, usize, usize, As)]) -> History<'p> {
    let mut history = History::begin(nodes, Geometry::IA32, 0);
    for &(page, first, count, how) in map {
        let like = Like { strided: how == Strided, ..Like::SMALL };
        match how {
            Extent | Strided => history.put(Run::new(page * PAGE, first, count, like)),
            Scattered => (page..page + count).zip(first..).for_each(|(page, first)| {
                history.scatter_page(Run::new(page * PAGE, first, 1, like), 0, usize::MAX);
            }),
        }
    }
    history
}

fn changes(map: &[(usize, usize, usize, As)]) -> Vec<Change> {
    let mut changes = Vec::from([Change::Nothing, Change::Pop]);
    for page in 0..PAGES {
        changes.extend([1, 2].map(|pages| Change::Insert { page, pages }));
        changes.push(Change::Scatter { page });
    }
    // Scattered pages are extents of their own.
    let each = |&(_, _, frames, how): &(usize, usize, usize, As)| match how {
        Scattered => std::vec![1; frames],
        Extent | Strided => std::vec![frames],
    };
    for (which, frames) in map.iter().flat_map(each).enumerate() {
        changes.extend([Change::Join { which }, Change::Extend { which }]);
        for first in 0..frames {
            for count in 1..=frames - first {
                let remove = |with_spare| Change::Remove { which, first, count, with_spare };
                changes.extend([false, true].map(remove));
            }
        }
    }
    changes
}

fn apply(history: &mut History<'_>, change: Change) {
    match change {
        Change::Nothing => {}
        Change::Insert { page, pages } => {
            if history.model.is_free(page * PAGE, (page + pages) * PAGE) {
                history.put(Run::new(page * PAGE, 50 + page, pages, Like::SMALL));
            }
        }
        Change::Scatter { page } => {
            if history.model.is_free(page * PAGE, (page + 1) * PAGE) {
                let run = Run::new(page * PAGE, 70 + page, 1, Like::SMALL);
                history.scatter_page(run, 0, usize::MAX);
            }
        }
        Change::Remove { which, first, count, with_spare } => {
            history.remove_range(which, first, count, with_spare);
        }
        Change::Join { which } => history.join_before(history.model.runs[which].start(), true),
        Change::Extend { which } => history.extend_run(which),
        Change::Pop => history.pop_first(),
    }
}

#[test]
fn no_look_up_misleads_a_later_one() {
    let looks = || (0..PAGES).flat_map(|page| (0..QUESTIONS).map(move |asked| (page, asked)));
    for map in MAPS {
        for change in changes(map) {
            for (page, asked) in looks() {
                if cfg!(miri) && (page * QUESTIONS + asked) % 29 != 0 {
                    continue;
                }
                // Each look-up after the change begins with the short cut that the first one left.
                for (later, question) in looks() {
                    let nodes = Nodes::default();
                    let mut history = begin(&nodes, map);
                    history.look(page * PAGE, asked);
                    apply(&mut history, change);
                    history.look(later * PAGE, question);
                    if (later, question) == (0, 0) {
                        check_list(&history.space.extents(), &history.model);
                    }
                }
            }
        }
    }
}
