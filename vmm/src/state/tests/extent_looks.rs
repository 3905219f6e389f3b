//! Every question that the extents of a space answer, compared with the model.

use std::vec::Vec;

use page_tables::{Geometry, PageRange};
use untyped_alloc::{CPtr, CachePolicy, Rights};

use super::choices::{address, PAGE};
use super::extent_model::{Like, Model, Run};
use crate::state::extent::Extent;
use crate::state::extents::{ExtentNode, Extents};
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
            if let Ok(range) = geometry.range(at / PAGE * PAGE, [1, 3, 1500][question]) {
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
            let run = model.ending_at(at);
            assert_eq!(node.map(ExtentNode::info), info(run), "ending at {at:#x}");
            if let (Some(node), Some(run)) = (node, run) {
                assert_eq!((node.frames(), node.count()), (run.extent().frames, run.frames.len()));
                room_for_more(node, run);
            }
        }
        8 => ending_last(extents, model, at),
        _ => before(extents, model, at),
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
fn before(extents: &Extents<'_>, model: &Model, at: usize) {
    if model.covering(at).is_some() {
        return;
    }
    for count in [1, 2, 256] {
        let below = model.runs.iter().rev().find(|run| run.start() < at);
        let Some(below) = below else {
            let next = Like::SMALL.extent(at, 1, count);
            assert!(extents.before(&next).is_none());
            continue;
        };
        let like = below.like;
        let alike = Run::new(at, below.frames[below.frames.len() - 1].1 + 1, count, like);
        for next in nearly(&alike) {
            let expected = below.continues_with(&next).then(|| below.extent());
            let found = extents.before(&next.extent()).map(ExtentNode::info);
            assert_eq!(found, expected, "before {:?}", next.extent());
        }
    }
}

/// An extent, and others that differ from it in one respect.
fn nearly(run: &Run) -> Vec<Run> {
    let (start, first, count) = (run.start(), run.frames[0].1, run.frames.len());
    let mut all: Vec<Run> = [first, first + 1, first - 1]
        .into_iter()
        .map(|first| Run::new(start, first, count, run.like))
        .collect();
    let mut like = |like| all.push(Run::new(start, first, count, like));
    let kind = run.like;
    like(Like { rights: kind.rights ^ Rights::WRITE, ..kind });
    like(Like { size_bits: if kind.size_bits == 12 { 22 } else { 12 }, ..kind });
    like(Like { cow: !kind.cow, ..kind });
    like(Like { strided: !kind.strided, ..kind });
    like(Like { cache: other_cache(kind.cache), ..kind });
    like(Like { source: other_source(kind.source), ..kind });
    all
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
    let counts = (extents.owned_pages(), extents.copies(), extents.copied_pages());
    assert_eq!(counts, model.counts(), "owned pages, copies, copied pages");
}
