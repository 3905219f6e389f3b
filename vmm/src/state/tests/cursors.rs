// SPDX-License-Identifier: BSD-2-Clause
//! Cursors over extents: single cases.

use std::vec::Vec;

use page_tables::{Geometry, PageRange, Pages};

use super::choices::PAGE;
use super::extent_changes::{History, Nodes};
use super::extent_model::{Like, Run};
use crate::state::extent_cursor::ExtentCursor;
use crate::state::space::Space;

fn range(start: usize, pages: usize) -> PageRange {
    Geometry::IA32.range(Pages::at(start * PAGE).count(pages)).unwrap()
}

/// The page of each extent's first frame that is visited, and how many are.
fn rest(cursor: &mut ExtentCursor, space: &Space<'_>) -> Vec<(usize, usize)> {
    let visits = core::iter::from_fn(|| cursor.next(space));
    visits.map(|v| (v.extent.address(v.first).bits() / PAGE, v.count)).collect()
}

#[test]
fn extents_are_cut_to_the_range() {
    let nodes = Nodes::default();
    let mut history = History::begin(&nodes, Geometry::IA32, 0);
    for (start, count) in [(2, 4), (8, 2), (12, 6)] {
        history.put(Run::new(start * PAGE, 100 * start, count, Like::SMALL));
    }
    let walk = |start, pages| rest(&mut ExtentCursor::over(range(start, pages)), &history.space);
    assert_eq!(walk(0, 30), [(2, 4), (8, 2), (12, 6)]);
    assert_eq!(walk(4, 10), [(4, 2), (8, 2), (12, 2)]);
    assert_eq!(walk(6, 2), []);
    assert_eq!(walk(14, 1), [(14, 1)]);
    assert_eq!(walk(18, 5), []);
}

#[test]
fn a_large_frame_is_visited_where_a_page_of_it_is() {
    let nodes = Nodes::default();
    let mut history = History::begin(&nodes, Geometry::IA32, 0);
    history.put(Run::new(0, 7, 3, Like { size_bits: 22, ..Like::SMALL }));
    let mut cursor = ExtentCursor::over(range(1500, 600));
    let visited = cursor.next(&history.space).unwrap();
    assert_eq!((visited.first, visited.count), (1, 2), "frames that lie in it in part");
    assert_eq!(visited.part().start.bits(), 1 << 22);
    assert!(cursor.next(&history.space).is_none());
}

#[test]
fn a_gap_is_visited_without_frames() {
    let nodes = Nodes::default();
    let mut history = History::begin(&nodes, Geometry::IA32, 0);
    history.put(Run::new(4 * PAGE, 40, 3, Like { strided: true, ..Like::SMALL }));
    for (start, pages, expected) in [
        (4, 1, (0, 1)),
        (5, 1, (1, 0)),
        (5, 2, (1, 1)),
        (6, 2, (1, 1)),
        (7, 3, (2, 1)),
        (9, 1, (3, 0)),
    ] {
        let visited = ExtentCursor::over(range(start, pages)).next(&history.space).unwrap();
        assert_eq!((visited.first, visited.count), expected, "{pages} pages from {start}");
    }
    assert!(ExtentCursor::over(range(10, 1)).next(&history.space).is_none());
}

#[test]
fn what_changes_behind_the_cursor_is_not_visited_again() {
    let nodes = Nodes::default();
    let mut history = History::begin(&nodes, Geometry::IA32, 0);
    for start in [2, 6, 10] {
        history.put(Run::new(start * PAGE, 100 * start, 2, Like::SMALL));
    }
    let mut cursor = ExtentCursor::over(range(1, 20));
    assert!(cursor.next(&history.space).is_some());
    history.remove_range(0, 0, 2, false);
    history.put(Run::new(PAGE, 9, 3, Like::SMALL));
    // Before it, what was put in its way is visited, and what was taken out of it is not.
    history.put(Run::new(8 * PAGE, 8, 1, Like::SMALL));
    history.remove_range(3, 0, 2, false);
    assert_eq!(rest(&mut cursor, &history.space), [(6, 2), (8, 1)]);
    assert!(cursor.next(&history.space).is_none(), "the end stays the end");
    cursor.go_to(7 * PAGE);
    assert_eq!(rest(&mut cursor, &history.space), [(7, 1), (8, 1)]);
    cursor.go_to(0);
    assert_eq!(rest(&mut cursor, &history.space), [(1, 3), (6, 2), (8, 1)]);
    cursor.go_to(21 * PAGE);
    assert!(cursor.next(&history.space).is_none());
}

#[test]
fn the_last_page_of_user_space_is_visited_once() {
    for geometry in super::choices::GEOMETRIES {
        let nodes = Nodes::default();
        let end = geometry.user_end;
        let mut history = History::begin(&nodes, *geometry, end);
        history.put(Run::new(end - PAGE, 3, 1, Like::SMALL));
        history.put(Run::new(0, 5, 1, Like::SMALL));
        let mut cursor =
            ExtentCursor::over(geometry.range(Pages::at(0).count(end / PAGE)).unwrap());
        let pages = rest(&mut cursor, &history.space);
        assert_eq!(pages, [(0, 1), (end / PAGE - 1, 1)]);
    }
}
