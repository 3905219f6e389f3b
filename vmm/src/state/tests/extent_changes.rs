// SPDX-License-Identifier: BSD-2-Clause
//! Extents with their model: each change is made to both, and what it returns is compared.

use std::vec::Vec;

use page_tables::Geometry;
use untyped_alloc::Frames;

use super::choices::address;
use super::extent_looks::{check_list, look};
use super::extent_model::{Like, Model, Run};
use super::extent_walk::Walk;
use crate::state::extent_neighbours::Unlinked;
use crate::state::extent_node::ExtentNode;
use crate::state::extents::Extents;
use crate::state::space::Space;
use crate::state::window::Window;
use crate::types::mapping::Source;

/// Extents that a history can have at once.
const NODES: usize = 24;

/// Windows that a history can have at once.
const WINDOWS: usize = 3;

/// Extents, a cursor, and the model of both.
pub(super) struct History<'p> {
    pub space: Space<'p>,
    /// Nodes that are in no tree.
    pub free: Vec<&'p ExtentNode<'p>>,
    /// Windows that are in no node.
    pub windows: Vec<&'p Window<'p>>,
    /// How many windows there were so far.
    numbered: usize,
    pub model: Model,
    pub geometry: Geometry,
    /// A line between large pages, in bytes: small pages lie on both sides of it.
    pub middle: usize,
    pub cursor: Option<Walk>,
}

/// The nodes of a history, and windows for them.
#[derive(Default)]
pub(super) struct Nodes<'p> {
    extents: [ExtentNode<'p>; NODES],
    windows: [Window<'p>; WINDOWS],
}

impl<'p> History<'p> {
    /// No extents; small pages are mapped around the address `middle`.
    pub fn begin(nodes: &'p Nodes<'p>, geometry: Geometry, middle: usize) -> History<'p> {
        let (space, free) = (Space::default(), nodes.extents.iter().collect());
        let (windows, model) = (nodes.windows.iter().collect(), Model::default());
        History { space, free, windows, numbered: 0, model, geometry, middle, cursor: None }
    }

    /// Enters an extent for which there is room. In the midst of a window its pages become that's.
    pub fn put(&mut self, run: Run) {
        let node = self.free.pop().unwrap();
        let window = self.model.window_around(run.start());
        let unneeded = self.space.extents_mut().insert(node, run.extent());
        assert_eq!(unneeded.is_some(), window.is_some(), "a window takes no node");
        self.free.extend(unneeded);
        match window {
            None => self.model.insert(run),
            Some(_) => run.frames.iter().for_each(|&frame| {
                let like = Like { strided: false, ..run.like };
                self.model.insert(Run { frames: [frame].into(), like, window });
            }),
        }
    }

    /// Enters one page, which shares a window with those beside it where that can be, and with none
    /// that has pages below `low` or above `high`.
    pub fn scatter_page(&mut self, run: Run, low: usize, high: usize) {
        let (extent, bits) = (run.extent(), run.like.size_bits);
        let beside = self.model.beside(run.start(), bits, low, high);
        let taking = self.space.extents().beside(extent.start).taking(&extent, low, high);
        assert_eq!(taking.is_some(), beside.is_some(), "{extent:?} from {low:#x} to {high:#x}");
        let (Some(node), Some(which)) = (taking, beside) else { return self.put(run) };
        let there = self.model.runs[which].window;
        assert_eq!(node.is_window(), there.is_some());
        let fresh = match there {
            None => self.windows.pop(),
            Some(_) => None,
        };
        if there.is_none() && fresh.is_none() {
            return self.put(run);
        }
        let window = there.unwrap_or_else(|| self.next_window());
        self.space.extents_mut().enter_page(node, fresh, &extent);
        self.model.runs[which].window = Some(window);
        self.model.insert(Run { window: Some(window), ..run });
    }

    /// The number of one more window.
    pub fn next_window(&mut self) -> usize {
        self.numbered += 1;
        self.numbered
    }

    /// A node that came out of the tree, and its window.
    pub fn take_back(&mut self, unlinked: Option<Unlinked<'p>>) {
        let node = unlinked.map(Unlinked::of_closed_block);
        self.windows.extend(node.and_then(ExtentNode::take_window));
        self.free.extend(node);
    }

    /// Whether taking out a page, which the model has no more, frees the node of its window; for
    /// what was in none it does.
    fn frees(&self, run: &Run) -> bool {
        run.window.is_none_or(|number| self.model.window(number).count() == 0)
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
        self.model.runs.remove(which);
        let all = count == run.frames.len() && self.frees(&run);
        assert_eq!(freed.is_some(), all, "all of it frees its node");
        assert_eq!(spare.is_some(), had_spare && !needed, "a spare is used where it is needed");
        self.take_back(freed);
        self.free.extend(spare);
        let part = |frames: &[(usize, usize)]| Run { frames: frames.into(), ..run.clone() };
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
        let begins = joined.as_ref().filter(|_| one_batch).map(|run| run.extent().start);
        assert_eq!(freed.as_ref().map(|&(_, start)| start), begins);
        self.take_back(freed.map(|(unlinked, _)| unlinked));
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
        if run.window.is_some()
            || run.like.source != Source::Owned
            || run.frames.len() == 256
            || !fits
        {
            return;
        }
        let extents = self.space.extents();
        extents.extend(extents.ending_at(address(end)).unwrap(), (1, 1 << bits));
        drop(extents);
        let run = &mut self.model.runs[which];
        let capability = run.frames[run.frames.len() - 1].1 + 1;
        run.frames.push((end, capability));
    }

    /// Takes the lowest extent out.
    pub fn pop_first(&mut self) {
        let popped = self.space.extents_mut().pop();
        let first = (!self.model.runs.is_empty()).then(|| self.model.runs.remove(0));
        let told = popped.as_ref().map(|&(_, extent)| extent);
        assert_eq!(told, first.as_ref().map(Run::extent), "the lowest comes out first");
        let node = popped.and_then(|(node, _)| node);
        if let Some(first) = first {
            assert_eq!(node.is_some(), self.frees(&first));
        }
        self.take_back(node);
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
        assert_eq!(self.windows.len(), WINDOWS, "every window is back");
    }
}
