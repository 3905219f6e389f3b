// SPDX-License-Identifier: BSD-2-Clause
//! Extents: single cases, at the edges.

use page_tables::{Geometry, Pages};
use untyped_alloc::{CPtr, CachePolicy, Rights, MAX_BATCH};

use super::choices::{address, GEOMETRIES, PAGE};
use super::extent_changes::{History, Nodes};
use super::extent_looks::check_list;
use super::extent_model::{Like, Run};
use crate::state::extent::{offset, Extent};
use crate::types::mapping::Source;

/// Small pages from address 0 on.
fn history<'p>(nodes: &'p Nodes<'p>) -> History<'p> {
    History::begin(nodes, Geometry::IA32, 0)
}

#[test]
fn every_attribute_survives_in_its_node() {
    let nodes = Nodes::default();
    let mut history = history(&nodes);
    let rights = [Rights::empty(), Rights::READ, Rights::READ_EXECUTE, Rights::READ_WRITE];
    let caches = [
        CachePolicy::WriteBack,
        CachePolicy::WriteThrough,
        CachePolicy::Uncached,
        CachePolicy::WriteCombining,
    ];
    let sources = [Source::Owned, Source::Copy, Source::Borrowed, Source::Physical];
    for rights in rights {
        for cache in caches {
            for source in sources {
                for (cow, strided) in [(false, false), (false, true), (true, false), (true, true)] {
                    let like = Like { size_bits: 22, rights, cow, cache, source, strided };
                    history.put(Run::new(1 << 22, 77, 3, like));
                    check_list(&history.space.extents(), &history.model);
                    history.pop_first();
                }
            }
        }
    }
}

#[test]
fn the_last_frame_is_as_good_as_any() {
    for geometry in GEOMETRIES {
        for strided in [false, true] {
            let nodes = Nodes::default();
            let mut history = History::begin(&nodes, *geometry, geometry.user_end);
            let like = Like { strided, ..Like::SMALL };
            let start = geometry.user_end - MAX_BATCH * like.step();
            history.put(Run::new(start, 9, MAX_BATCH, like));
            let last = address(geometry.user_end - like.step());
            let extents = history.space.extents();
            assert_eq!(extents.frame_at(last), Some(CPtr::new(9 + MAX_BATCH - 1)));
            assert!(extents.at(last).is_some());
            let behind = address(geometry.user_end - 1);
            assert_eq!(extents.at(behind).is_some(), !strided, "the last page is a gap or not");
            assert!(extents.ending_at(address(geometry.user_end)).is_some());
            drop(extents);
            history.remove_range(0, MAX_BATCH - 1, 1, false);
            history.remove_range(0, 0, 1, false);
            history.remove_range(0, 100, 50, true);
            check_list(&history.space.extents(), &history.model);
            history.end();
        }
    }
}

#[test]
fn a_run_of_256_is_joined_and_none_longer() {
    for more in [0, 1] {
        let nodes = Nodes::default();
        let mut history = history(&nodes);
        history.put(Run::new(0, 50, 200, Like::SMALL));
        history.put(Run::new(200 * PAGE, 250, 56 + more, Like::SMALL));
        history.join_before(200 * PAGE, true);
        assert_eq!(history.model.runs.len(), 1 + more);
        check_list(&history.space.extents(), &history.model);
    }
}

#[test]
fn frames_of_two_batches_are_not_joined() {
    let nodes = Nodes::default();
    let mut history = history(&nodes);
    history.put(Run::new(0, 50, 2, Like::SMALL));
    history.put(Run::new(2 * PAGE, 52, 2, Like::SMALL));
    history.join_before(2 * PAGE, false);
    assert_eq!(history.space.extents().iter().count(), 2);
    // Nothing begins at these, and nothing lies before the first.
    history.join_before(PAGE, true);
    history.join_before(0, true);
    assert_eq!(history.space.extents().iter().count(), 2);
    history.join_before(2 * PAGE, true);
    assert_eq!(history.space.extents().iter().count(), 1);
}

#[test]
fn the_run_used_last_is_known_with_what_is_free_behind_it() {
    let nodes = Nodes::default();
    let mut history = history(&nodes);
    history.put(Run::new(2 * PAGE, 50, 2, Like::SMALL));
    history.put(Run::new(9 * PAGE, 90, 1, Like::SMALL));
    let known = |history: &History<'_>, page: usize| {
        let last = history.space.extents().last_ending_at(address(page * PAGE));
        last.map(|(node, clear_to)| (node.info().start.bits() / PAGE, clear_to / PAGE))
    };
    let look = |page: usize, pages: usize| {
        let range = Geometry::IA32.range(Pages::at(page * PAGE).count(pages)).unwrap();
        history.space.extents().first_in(range);
    };
    look(4, 1);
    assert_eq!(known(&history, 4), Some((2, 9)), "free up to the next one");
    look(9, 1);
    assert_eq!((known(&history, 4), known(&history, 10)), (None, Some((9, 10))));
    look(12, 1);
    assert_eq!(known(&history, 10).map(|(start, _)| start), Some(9));
    look(4, 1);
    // An extent behind the one used last takes its place, and the free range stays known.
    history.put(Run::new(4 * PAGE, 70, 1, Like::SMALL));
    assert_eq!((known(&history, 4), known(&history, 5)), (None, Some((4, 9))));
}

#[test]
fn parts_of_an_extent_are_extents() {
    let like = Like { strided: true, cow: true, ..Like::SMALL };
    let extent = like.extent(16 * PAGE, 100, 5);
    assert_eq!((extent.end(), extent.bytes()), (26 * PAGE, 5 * PAGE));
    assert_eq!(extent.part(2, 2), like.extent(20 * PAGE, 102, 2));
    assert_eq!((extent.address(4).bits(), extent.frame(4)), (24 * PAGE, CPtr::new(104)));
    for page in 16..26 {
        let at = address(page * PAGE);
        assert_eq!(extent.index_of(at), (page - 16) / 2);
        assert_eq!(extent.maps(at), page % 2 == 0);
    }
    assert_eq!(extent.mapped_rights(), Rights::READ, "what is copy-on-write is mapped read-only");
    assert_eq!(Extent { cow: false, ..extent }.mapped_rights(), Rights::READ_WRITE);
    let fresh = Extent::fresh(extent.start, extent.frames, Rights::READ, CachePolicy::Uncached);
    let expected = Like { rights: Rights::READ, cache: CachePolicy::Uncached, ..Like::SMALL };
    assert_eq!(fresh, expected.extent(16 * PAGE, 100, 5));
    assert_eq!(offset(address(3), 4), address(7));
    assert_eq!(offset(address(3), usize::MAX), address(3), "no address wraps");
}
