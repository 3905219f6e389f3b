// SPDX-License-Identifier: BSD-2-Clause
//! Histories of extents and of a cursor over them, each step compared with the model.

use page_tables::Pages;
use std::vec::Vec;

use untyped_alloc::{CachePolicy, Rights};

use super::choices::{address, Choices, GEOMETRIES, PAGE};
use super::extent_changes::{History, Nodes};
use super::extent_looks::{check_list, QUESTIONS};
use super::extent_model::{Like, Run};
use super::extent_walk::Walk;
use crate::types::mapping::Source;

/// Small pages below the middle of the window, and as many above it.
const HALF: usize = 14;

/// Plays the history that `data` says.
pub(super) fn run(data: &[u8]) {
    let nodes = Nodes::default();
    let mut choices = Choices::new(data);
    let geometry = choices.pick(GEOMETRIES);
    let large = 1 << geometry.larger_frame(12).unwrap();
    // The window is in the midst of user space, begins with it, or ends with it.
    let middle = match choices.below(3) {
        0 => 4 * large,
        1 => 0,
        _ => geometry.user_end,
    };
    let mut history = History::begin(&nodes, geometry, middle);
    while !choices.is_empty() {
        history.step(&mut choices);
    }
    history.end();
}

impl History<'_> {
    /// One look-up, which may leave a short cut behind; one operation; one look-up that may be
    /// misled by it; and a comparison.
    pub fn step(&mut self, choices: &mut Choices<'_>) {
        let asked = self.some_address(choices);
        self.look(asked, choices.below(QUESTIONS));
        self.space.watch();
        let changed = match choices.below(30) {
            0..=4 => self.insert(choices),
            5..=8 => self.remove(choices),
            9 | 10 => self.split(choices),
            11 | 12 => self.join(choices),
            13 | 14 => self.extend(choices),
            15 => self.set_attributes(choices),
            16 => self.pop(choices),
            17 => self.start_cursor(choices),
            18 => self.move_cursor(choices),
            19..=22 => self.scatter(choices),
            23 | 24 => self.break_up(choices),
            25 => self.fold(choices),
            26 | 27 => self.change_in_window(choices),
            28 => self.remove_in_window(choices),
            _ => self.next_of_cursor(),
        };
        assert_eq!(!self.space.is_unchanged(), changed, "what may change something is seen");
        self.check(choices);
    }

    /// An address of a page: in the window, or where an extent begins or ends.
    fn some_address(&self, choices: &mut Choices<'_>) -> usize {
        let addresses = self.addresses();
        addresses[choices.below(addresses.len())]
    }

    fn addresses(&self) -> Vec<usize> {
        let low = self.middle.saturating_sub(HALF * PAGE);
        let mut addresses: Vec<usize> = (0..2 * HALF).map(|page| low + page * PAGE).collect();
        for run in &self.model.runs {
            let (start, end) = (run.start(), run.end());
            addresses.extend([start, end - PAGE, end, (start + (end - start) / 2) / PAGE * PAGE]);
        }
        addresses.retain(|&at| at < self.geometry.user_end);
        addresses
    }

    fn some_like(&self, choices: &mut Choices<'_>) -> Like {
        if choices.below(4) < 2 {
            // Most are alike, so that there is something to join.
            return Like { source: choices.pick(&[Source::Owned, Source::Copy]), ..Like::SMALL };
        }
        let large = self.geometry.larger_frame(12).unwrap();
        Like {
            size_bits: choices.pick(&[12, 12, large]),
            rights: choices.pick(&[Rights::READ_WRITE, Rights::READ, Rights::empty()]),
            cow: choices.one_in(3),
            cache: choices.pick(&[
                CachePolicy::WriteBack,
                CachePolicy::WriteThrough,
                CachePolicy::Uncached,
                CachePolicy::WriteCombining,
            ]),
            source: choices.pick(&[
                Source::Owned,
                Source::Copy,
                Source::Borrowed,
                Source::Physical,
            ]),
            strided: choices.one_in(2),
        }
    }

    fn insert(&mut self, choices: &mut Choices<'_>) -> bool {
        let start = self.some_address(choices);
        let below = self.model.ending_at(start).filter(|_| !choices.one_in(3));
        let like = below.map_or_else(|| self.some_like(choices), |below| below.like);
        let start = start >> like.size_bits << like.size_bits;
        // Capabilities that go on, or that do not.
        let skipped = choices.pick(&[0, 0, 0, 1]);
        let first = match below {
            Some(below) => below.frames[below.frames.len() - 1].1 + 1 + skipped,
            None => 5000 + (start >> 12) % 4096 + skipped,
        };
        let count = choices.pick(&[1, 1, 2, 3, 4, 6, 128, 255, 256]);
        // As many of them as there is room for.
        let fits = |count: &usize| {
            let left = (self.geometry.user_end - start) / like.step();
            *count <= left && self.model.is_free(start, start + count * like.step())
        };
        let Some(count) = [count, 3, 2, 1].into_iter().find(fits) else { return false };
        if self.free.is_empty() {
            return false;
        }
        self.put(Run::new(start, first, count, like));
        true
    }

    /// A page by itself, as often as not beside others of its kind.
    fn scatter(&mut self, choices: &mut Choices<'_>) -> bool {
        let at = self.some_address(choices);
        let like = Like { strided: false, ..self.some_like(choices) };
        let start = at >> like.size_bits << like.size_bits;
        let room = (self.geometry.user_end - start) / like.step();
        if room == 0 || !self.model.is_free(start, start + like.step()) || self.free.is_empty() {
            return false;
        }
        // Its region is all of the window, begins a little below it, or ends a little above it.
        let (low, high) = match choices.below(4) {
            0 => (start.saturating_sub(2 * PAGE), self.geometry.user_end),
            1 => (0, start + like.step() + PAGE),
            _ => (0, self.geometry.user_end),
        };
        let first = 3000 + choices.below(900);
        self.scatter_page(Run::new(start, first, 1, like), low, high);
        true
    }

    pub fn some_run(&self, choices: &mut Choices<'_>) -> Option<usize> {
        let count = self.model.runs.len();
        (count != 0).then(|| choices.below(count))
    }

    fn remove(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some(which) = self.some_run(choices) else { return false };
        let frames = self.model.runs[which].frames.len();
        // Near either end as often as in the midst.
        let first = match choices.below(3) {
            0 => 0,
            1 => choices.below(frames),
            _ => frames - 1 - choices.below(frames.min(3)),
        };
        let left = frames - first;
        let count = if choices.one_in(2) { left } else { 1 + choices.below(left) };
        self.remove_range(which, first, count, !choices.one_in(4));
        true
    }

    /// Cuts an extent in two: the upper part is taken out and entered again.
    fn split(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some(which) = self.some_run(choices) else { return false };
        let run = self.model.runs[which].clone();
        let frames = run.frames.len();
        if frames < 2 || self.free.is_empty() {
            return false;
        }
        let first = 1 + choices.below(frames - 1);
        self.remove_range(which, first, frames - first, false);
        self.put(Run { frames: run.frames[first..].into(), ..run });
        true
    }

    fn join(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some(which) = self.some_run(choices) else { return false };
        let start = self.model.runs[which].start();
        self.join_before(start, !choices.one_in(4));
        true
    }

    fn extend(&mut self, choices: &mut Choices<'_>) -> bool {
        if let Some(which) = self.some_run(choices) {
            self.extend_run(which);
        }
        // An append cursor foresees it, so it counts as no change.
        false
    }

    fn set_attributes(&mut self, choices: &mut Choices<'_>) -> bool {
        let at = self.some_address(choices);
        let rights = choices.pick(&[Rights::READ, Rights::READ_WRITE, Rights::empty()]);
        let cow = choices.one_in(2);
        self.space.extents_mut().set_rights(address(at), rights);
        self.space.extents_mut().set_cow(address(at), cow);
        if let Some(which) = self.model.starting_at(at) {
            let like = &mut self.model.runs[which].like;
            (like.rights, like.cow) = (rights, cow);
        }
        true
    }

    fn pop(&mut self, choices: &mut Choices<'_>) -> bool {
        if !choices.one_in(3) {
            return false;
        }
        self.pop_first();
        true
    }

    fn start_cursor(&mut self, choices: &mut Choices<'_>) -> bool {
        let start = self.some_address(choices);
        let pages = choices.pick(&[1, 2, 5, 12, 30, 3000]);
        let left = (self.geometry.user_end - start) / PAGE;
        let range = self.geometry.range(Pages::at(start).count(pages.min(left))).unwrap();
        self.cursor = Some(Walk::over(range));
        false
    }

    /// Moves the cursor, forth or back, to an address of its range.
    fn move_cursor(&mut self, choices: &mut Choices<'_>) -> bool {
        let to = self.some_address(choices);
        if let Some(walk) = self.cursor.as_mut() {
            walk.go_to(to);
        }
        false
    }

    fn next_of_cursor(&mut self) -> bool {
        if let Some(walk) = self.cursor.as_mut() {
            walk.next(&self.space, &self.model);
        }
        false
    }

    /// Compares all that can be seen, in an order that the choices say.
    fn check(&mut self, choices: &mut Choices<'_>) {
        self.space.watch();
        let addresses = self.addresses();
        let asked = if choices.one_in(4) { addresses.len() } else { 6 };
        let first = choices.below(QUESTIONS);
        for index in choices.order(addresses.len()).take(asked) {
            for question in 0..QUESTIONS {
                self.look(addresses[index], (first + question) % QUESTIONS);
            }
        }
        check_list(&self.space.extents(), &self.model);
        assert!(self.space.is_unchanged(), "looking is no change");
    }
}
