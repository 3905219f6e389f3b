// SPDX-License-Identifier: BSD-2-Clause
//! Every question that the extents of a space answer, compared with the model.

use std::vec::Vec;

use page_tables::{Geometry, PageRange, Pages};
use untyped_alloc::{CPtr, CachePolicy, Rights};

use super::choices::{address, PAGE};
use super::extent_model::{Like, Model, Run};
use crate::state::extent::Extent;
use crate::state::extent_node::ExtentNode;
use crate::state::extents::Extents;
use crate::types::mapping::Source;

/// How many questions [`look`] knows.
pub(super) const QUESTIONS: usize = 10;

/// Asks question number `question` about the address `at`.
///
/// # Panics
/// When the answer is not the model's.
pub(super) fn look(
    extents: &Extents<'_>,
    model: &Model,
    geometry: &Geometry,
    at: usize,
    question: usize,
) {
    let here = address(at);
    let info = |run: Option<&Run>| run.map(Run::extent);
    match question {
        0..=2 => {
            if let Ok(range) =
                geometry.range(Pages::at(at / PAGE * PAGE).count([1, 3, 1500][question]))
            {
                first_in(extents, model, range);
            }
        }
        3 | 4 => {
            let at = at + [0, PAGE - 1][question - 3];
            let mapped = model.covering(at).filter(|run| run.frame_at(at).is_some());
            assert_eq!(extents.at(address(at)), info(mapped), "at {at:#x}");
        }
        5 => {
            let frame = model.covering(at).and_then(|run| run.frame_at(at));
            assert_eq!(extents.frame_at(here).map(CPtr::bits), frame, "frame at {at:#x}");
        }
        6 => assert_eq!(extents.across(here), info(model.across(at)), "across {at:#x}"),
        7 => {
            let node = extents.ending_at(here);
            let run = model.ending_at(at).filter(|run| run.window.is_none());
            assert_eq!(node.map(ExtentNode::info), info(run), "ending at {at:#x}");
            if let (Some(node), Some(run)) = (node, run) {
                assert_eq!((node.frames(), node.count()), (run.extent().frames, run.frames.len()));
                room_for_more(node, run);
            }
        }
        8 => ending_last(extents, model, at),
        _ => before(extents, model, at, geometry.user_end),
    }
}

fn first_in(extents: &Extents<'_>, model: &Model, range: PageRange) {
    let expected = model.first_in(range.start().bits(), range.end()).map(Run::extent);
    assert_eq!(extents.first_in(range), expected, "first in {range:?}");
}

/// The extent used last may end here or not, but what is told of it holds.
fn ending_last(extents: &Extents<'_>, model: &Model, at: usize) {
    let Some((node, clear_to)) = extents.last_ending_at(address(at)) else { return };
    assert_eq!(Some(node.info()), model.ending_at(at).map(Run::extent), "ends at {at:#x}");
    let behind = model.runs.iter().find(|run| run.start() >= at);
    assert!(behind.is_none_or(|run| clear_to <= run.start()), "clear to {clear_to:#x}");
}

/// The extent before one that starts at `at` and goes on there, or nearly so.
fn before(extents: &Extents<'_>, model: &Model, at: usize, user_end: usize) {
    if model.covering(at).is_some() {
        return;
    }
    let Some(below) = model.runs.iter().rev().find(|run| run.start() < at) else {
        let next = Like::SMALL.extent(at, 1, 1);
        assert!(extents.beside(next.start).continued_by(&next).is_none());
        return;
    };
    let compare = |next: &Run| {
        let expected = below.continues_with(next).then(|| below.extent());
        let found = extents.beside(address(at)).continued_by(&next.extent());
        let found = found.map(ExtentNode::info);
        assert_eq!(found, expected, "before {:?}", next.extent());
    };
    let first = below.frames[below.frames.len() - 1].1 + 1;
    nearly(at, first, below.like, user_end).iter().for_each(compare);
    // As long as the two may be together, and longer by one.
    if below.end() == at {
        let room = 256 - below.frames.len();
        for count in [room, room + 1] {
            if count != 0 && (user_end - at) / below.like.step() >= count {
                compare(&Run::new(at, first, count, below.like));
            }
        }
    }
}

/// A frame, and others that differ from it in one respect; those of them that end in user space.
fn nearly(start: usize, first: usize, like: Like, user_end: usize) -> Vec<Run> {
    let size_bits = if like.size_bits == 12 { 22 } else { 12 };
    let all = [
        (first, like),
        (first + 1, like),
        (first - 1, like),
        (first, Like { size_bits, ..like }),
        (first, Like { rights: like.rights ^ Rights::WRITE, ..like }),
        (first, Like { cow: !like.cow, ..like }),
        (first, Like { strided: !like.strided, ..like }),
        (first, Like { cache: other_cache(like.cache), ..like }),
        (first, Like { source: other_source(like.source), ..like }),
    ];
    let fits = |(_, like): &(usize, Like)| (user_end - start) / like.step() >= 1;
    let run = |(first, like)| Run::new(start, first, 1, like);
    all.into_iter().filter(fits).map(run).collect()
}

fn other_cache(cache: CachePolicy) -> CachePolicy {
    match cache {
        CachePolicy::WriteBack => CachePolicy::Uncached,
        CachePolicy::Uncached => CachePolicy::WriteCombining,
        CachePolicy::WriteCombining => CachePolicy::WriteThrough,
        CachePolicy::WriteThrough => CachePolicy::WriteBack,
    }
}

fn other_source(source: Source) -> Source {
    match source {
        Source::Owned => Source::Physical,
        Source::Physical => Source::Copy,
        Source::Copy => Source::Borrowed,
        Source::Borrowed => Source::Owned,
    }
}

/// By how many fresh frames an extent could become longer, if they were mapped like it or not.
fn room_for_more(node: &ExtentNode<'_>, run: &Run) {
    let like = run.like;
    let own = like.source == Source::Owned && !like.cow;
    let room = own.then(|| 256 - run.frames.len());
    let ask = |rights, cache, bits, strided| node.room_for_more(rights, cache, bits, strided);
    let (rights, cache, bits) = (like.rights, like.cache, like.size_bits);
    assert_eq!(ask(rights, cache, bits, like.strided), room);
    assert_eq!(ask(rights, cache, bits, !like.strided), None);
    assert_eq!(ask(rights, cache, bits + 1, like.strided), None);
    assert_eq!(ask(rights, other_cache(cache), bits, like.strided), None);
    assert_eq!(ask(rights ^ Rights::READ, cache, bits, like.strided), None);
}

/// Compares the list of extents and what is counted in them.
pub(super) fn check_list(extents: &Extents<'_>, model: &Model) {
    let expected: Vec<Extent> = model.runs.iter().map(Run::extent).collect();
    assert_eq!(extents.iter().collect::<Vec<_>>(), expected);
    assert_eq!(extents.check_nodes(), None);
    let counts = (
        extents.totals().owned_bytes(),
        extents.totals().copies(),
        extents.totals().copied_bytes(),
    );
    assert_eq!(counts, model.counts(), "owned bytes, copies, copied bytes");
}
