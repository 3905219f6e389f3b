// SPDX-License-Identifier: BSD-2-Clause
//! Extents with their model: each change is made to both, and what it returns is compared.

use std::vec::Vec;

use page_tables::Geometry;
use untyped_alloc::Frames;

use super::choices::address;
use super::extent_looks::{check_list, look};
use super::extent_model::{Model, Run};
use super::extent_walk::Walk;
use crate::state::extents::{ExtentNode, Extents};
use crate::state::space::Space;
use crate::types::mapping::Source;

/// Extents that a history can have at once.
const NODES: usize = 24;

/// Extents, a cursor, and the model of both.
pub(super) struct History<'p> {
    pub space: Space<'p>,
    /// Nodes that are in no tree.
    pub free: Vec<&'p ExtentNode<'p>>,
    pub model: Model,
    pub geometry: Geometry,
    /// A line between large pages, in bytes: small pages lie on both sides of it.
    pub middle: usize,
    pub cursor: Option<Walk>,
}

/// The nodes of a history.
pub(super) fn nodes<'p>() -> Vec<ExtentNode<'p>> {
    (0..NODES).map(|_| ExtentNode::default()).collect()
}

impl<'p> History<'p> {
    /// No extents; small pages are mapped around the address `middle`.
    pub fn begin(nodes: &'p [ExtentNode<'p>], geometry: Geometry, middle: usize) -> History<'p> {
        let (space, free) = (Space::default(), nodes.iter().collect());
        History { space, free, model: Model::default(), geometry, middle, cursor: None }
    }

    /// Enters an extent for which there is room.
    pub fn put(&mut self, run: Run) {
        let node = self.free.pop().unwrap();
        self.space.extents_mut().insert(node, run.extent());
        self.model.insert(run);
    }

    /// Takes frames out of an extent, with a spare node for what is left behind them or without.
    pub fn remove_range(&mut self, which: usize, first: usize, count: usize, with_spare: bool) {
        let run = self.model.runs[which].clone();
        let behind = first + count;
        let needed = first != 0 && behind != run.frames.len();
        assert_eq!(Extents::needs_spare(&run.extent(), first, count), needed);
        let mut spare = if with_spare { self.free.pop() } else { None };
        let (had_spare, extent) = (spare.is_some(), run.extent());
        let freed = self.space.extents_mut().remove_range(&extent, first, count, &mut spare);
        assert_eq!(freed.is_some(), count == run.frames.len(), "all of it frees its node");
        assert_eq!(spare.is_some(), had_spare && !needed, "a spare is used where it is needed");
        self.free.extend(freed);
        self.free.extend(spare);
        self.model.runs.remove(which);
        let part = |frames: &[(usize, usize)]| Run { frames: frames.into(), like: run.like };
        if first != 0 {
            self.model.insert(part(&run.frames[..first]));
        }
        // Without a node the frames behind are forgotten.
        if behind != run.frames.len() && (!needed || had_spare) {
            self.model.insert(part(&run.frames[behind..]));
        }
    }

    /// Joins the extent at `start` with the one before it, if `one_batch` and all else allow it.
    pub fn join_before(&mut self, start: usize, one_batch: bool) {
        let which = self.model.starting_at(start);
        let pair = which.filter(|&which| which != 0).map(|which| (which - 1, which));
        let one = pair.filter(|&(low, high)| {
            let (low, high) = (&self.model.runs[low], &self.model.runs[high]);
            low.like.source == Source::Owned && low.continues_with(high)
        });
        let joined = one.map(|(low, high)| {
            let mut run = self.model.runs[low].clone();
            run.frames.extend(&self.model.runs[high].frames);
            run
        });
        let expected = joined.as_ref().map(|run| run.extent().frames);
        let same_batch = |frames: Frames| {
            assert_eq!(Some(frames), expected, "all the frames are asked about");
            one_batch
        };
        let freed = self.space.extents_mut().join_before(address(start), same_batch);
        assert_eq!(freed.is_some(), joined.is_some() && one_batch);
        self.free.extend(freed);
        if let (Some((low, high)), Some(run), true) = (one, joined, one_batch) {
            self.model.runs.remove(high);
            self.model.runs[low] = run;
        }
    }

    /// Makes an extent longer by a frame, if it is the space's own and there is room.
    pub fn extend_run(&mut self, which: usize) {
        let run = &self.model.runs[which];
        let (end, step, bits) = (run.end(), run.like.step(), run.like.size_bits);
        let fits = end + step <= self.geometry.user_end && self.model.is_free(end, end + step);
        if run.like.source != Source::Owned || run.frames.len() == 256 || !fits {
            return;
        }
        let extents = self.space.extents();
        extents.extend(extents.ending_at(address(end)).unwrap(), 1 << bits);
        drop(extents);
        let run = &mut self.model.runs[which];
        let capability = run.frames[run.frames.len() - 1].1 + 1;
        run.frames.push((end, capability));
    }

    /// Takes the lowest extent out.
    pub fn pop_first(&mut self) {
        let popped = self.space.extents_mut().pop();
        let first = (!self.model.runs.is_empty()).then(|| self.model.runs.remove(0));
        let told = popped.map(|(_, extent)| extent);
        assert_eq!(told, first.as_ref().map(Run::extent), "the lowest comes out first");
        self.free.extend(popped.map(|(node, _)| node));
    }

    /// Asks one question about one address.
    pub fn look(&self, at: usize, question: usize) {
        look(&self.space.extents(), &self.model, &self.geometry, at, question);
    }

    /// Takes every extent out.
    pub fn end(&mut self) {
        while !self.model.runs.is_empty() {
            self.pop_first();
        }
        self.pop_first();
        check_list(&self.space.extents(), &self.model);
        assert_eq!(self.free.len(), NODES, "every node is back");
    }
}
