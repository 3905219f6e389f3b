// SPDX-License-Identifier: BSD-2-Clause
//! The append cursor, against a list of the pages that may be appended.

use std::vec::Vec;

use page_tables::{Geometry, Table};
use untyped_alloc::{CachePolicy, Rights};

use super::choices::{Choices, PAGE};
use super::extent_model::Like;
use super::properties::play;
use super::region_model::spec;
use crate::state::append_cursor::AppendCursor;
use crate::state::extent_node::ExtentNode;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::quota::Quota;
use crate::types::region::Kind;

/// Records that a cursor can be at. No batch: what is taken of one is not the cursor's to know.
#[derive(Default)]
struct World {
    space: Space<'static>,
    region: Region<'static>,
    extent: ExtentNode<'static>,
    table: Table<'static>,
}

impl World {
    /// A world whose space has one region and one extent; it stays, as its records refer to it.
    fn new() -> &'static World {
        let world: &'static World = std::boxed::Box::leak(std::boxed::Box::default());
        let end = Geometry::IA32.user_end;
        world.space.regions_mut().start(&world.region, spec(9, 0, Kind::Memory), end, 12);
        let _ = world.space.extents_mut().insert(&world.extent, Like::SMALL.extent(PAGE, 1, 1));
        world
    }

    fn cursor(&'static self, at: usize, step: usize, end: usize) -> AppendCursor<'static, ()> {
        self.space.watch();
        AppendCursor {
            space: &self.space,
            region: &self.region,
            extent: &self.extent,
            batch: (),
            table: &self.table,
            step,
            at,
            end,
            rights: Rights::READ_WRITE,
            cache: CachePolicy::WriteBack,
            class: None,
        }
    }
}

/// The pages that may be appended, one by one: `room` frames are to be had for them, and each
/// begins before every limit.
fn pages(at: usize, step: usize, room: usize, limits: [usize; 2]) -> Vec<usize> {
    let mut pages = Vec::new();
    let mut next = Some(at);
    while let Some(page) = next.filter(|page| limits.iter().all(|limit| page < limit)) {
        if pages.len() == room {
            break;
        }
        pages.push(page);
        next = page.checked_add(step);
    }
    pages
}

/// The pages that a cursor goes over when nothing else happens.
fn visited(world: &'static World, at: usize, step: usize, end: usize) -> Vec<usize> {
    let mut cursor = world.cursor(at, step, end);
    let mut pages = Vec::new();
    while cursor.is_valid() {
        pages.push(cursor.at);
        cursor.advance(1);
    }
    pages
}

#[test]
fn a_cursor_goes_over_the_pages_that_may_be_appended() {
    let world = World::new();
    for step in [PAGE, 2 * PAGE] {
        for room in 0..5 {
            for (clear_to, table_end) in (2..9).flat_map(|a| (2..9).map(move |b| (a, b))) {
                let (at, limits) = (3 * PAGE, [clear_to * PAGE, table_end * PAGE]);
                let end = AppendCursor::<()>::end(at, step, room, limits);
                let expected = pages(at, step, room, limits);
                assert_eq!(visited(world, at, step, end), expected, "{step} {room} {limits:?}");
            }
        }
    }
}

#[test]
fn as_many_frames_as_can_be_counted_end_at_the_limits() {
    let (at, limits) = (5 * PAGE, [9 * PAGE, 8 * PAGE]);
    for room in [usize::MAX, usize::MAX / PAGE, usize::MAX / PAGE + 1] {
        assert_eq!(AppendCursor::<()>::end(at, PAGE, room, limits), 8 * PAGE);
    }
}

#[test]
fn any_history_of_a_cursor_is_that_of_the_list() {
    play(300, 60, |data| {
        let mut choices = Choices::new(data);
        let world = World::new();
        let (step, room) = (choices.pick(&[PAGE, 2 * PAGE]), choices.below(12));
        let at = choices.below(6) * PAGE;
        let limits = [choices.below(20) * PAGE, choices.below(20) * PAGE];
        let mut left = pages(at, step, room, limits);
        left.reverse();
        let end = AppendCursor::<()>::end(at, step, room, limits);
        let mut cursor = world.cursor(at, step, end);
        while !choices.is_empty() {
            match choices.below(12) {
                change @ 0..4 => {
                    match change {
                        0 => drop(world.space.regions_mut()),
                        1 => drop(world.space.extents_mut()),
                        2 => world.space.set_quota(world.space.quota()),
                        _ => world.space.set_quota(Quota { frames: 1, ..Quota::UNLIMITED }),
                    }
                    // Whatever it was: nothing is foreseen any more.
                    left.clear();
                }
                4 => drop((world.space.regions(), world.space.extents(), world.space.quota())),
                _ => {
                    let Some(page) = left.pop() else { continue };
                    assert_eq!(cursor.at, page, "where the next page goes");
                    world.space.extents().extend(&world.extent, (1, PAGE));
                    cursor.advance(1);
                }
            }
            assert_eq!(cursor.is_valid(), !left.is_empty());
        }
    });
}
