// SPDX-License-Identifier: BSD-2-Clause
//! Extents as a plain list, in which every frame has its address and its capability.

use std::vec::Vec;

use page_tables::PageRange;
use untyped_alloc::{CPtr, CachePolicy, Frames, Rights};

use super::choices::address;
use crate::state::extent::Extent;
use crate::types::mapping::Source;

/// What all frames of an extent have in common.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Like {
    pub size_bits: u8,
    pub rights: Rights,
    pub cow: bool,
    pub cache: CachePolicy,
    pub source: Source,
    pub strided: bool,
}

impl Like {
    /// Small frames of a space's own.
    pub const SMALL: Like = Like {
        size_bits: 12,
        rights: Rights::READ_WRITE,
        cow: false,
        cache: CachePolicy::WriteBack,
        source: Source::Owned,
        strided: false,
    };

    /// Bytes from one frame to the next.
    pub fn step(&self) -> usize {
        let size = 1 << self.size_bits;
        if self.strided {
            2 * size
        } else {
            size
        }
    }

    /// The extent of `count` frames from capability `first` on.
    pub fn extent(&self, start: usize, first: usize, count: usize) -> Extent {
        Extent {
            start: address(start),
            frames: Frames { first: CPtr::new(first), count, size_bits: self.size_bits },
            rights: self.rights,
            cow: self.cow,
            cache: self.cache,
            source: self.source,
            strided: self.strided,
            abandoned: false,
        }
    }
}

/// An extent: for each frame its address in bytes and its capability.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Run {
    pub frames: Vec<(usize, usize)>,
    pub like: Like,
    /// The window that it is in, by number.
    pub window: Option<usize>,
}

impl Run {
    pub fn new(start: usize, first: usize, count: usize, like: Like) -> Run {
        let frames = (0..count).map(|index| (start + index * like.step(), first + index));
        Run { frames: frames.collect(), like, window: None }
    }

    pub fn start(&self) -> usize {
        self.frames[0].0
    }

    /// The address behind its last frame, and behind the gap of that if it has one.
    pub fn end(&self) -> usize {
        self.frames[self.frames.len() - 1].0 + self.like.step()
    }

    pub fn covers(&self, at: usize) -> bool {
        self.start() <= at && at < self.end()
    }

    /// The capability of the frame that is mapped at an address: none in a gap.
    pub fn frame_at(&self, at: usize) -> Option<usize> {
        let size = 1 << self.like.size_bits;
        let frame = self.frames.iter().find(|(start, _)| *start <= at && at - start < size);
        frame.map(|&(_, capability)| capability)
    }

    pub fn extent(&self) -> Extent {
        self.like.extent(self.start(), self.frames[0].1, self.frames.len())
    }

    /// Whether `next` goes on where this one ends, in address, capability and all else.
    pub fn continues_with(&self, next: &Run) -> bool {
        let last = self.frames[self.frames.len() - 1].1;
        (self.window, next.window) == (None, None)
            && self.end() == next.start()
            && next.frames[0].1 == last + 1
            && self.like == next.like
            && self.frames.len() + next.frames.len() <= 256
    }
}

/// The extents of a space, lowest first.
#[derive(Default)]
pub(super) struct Model {
    pub runs: Vec<Run>,
}

impl Model {
    pub fn insert(&mut self, run: Run) {
        self.runs.push(run);
        self.runs.sort_by_key(Run::start);
    }

    /// Whether nothing lies from `start` to `end`.
    pub fn is_free(&self, start: usize, end: usize) -> bool {
        self.runs.iter().all(|run| run.end() <= start || end <= run.start())
    }

    pub fn covering(&self, at: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.covers(at))
    }

    /// The extent that begins before an address and ends behind it.
    pub fn across(&self, at: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.start() < at && at < run.end())
    }

    pub fn ending_at(&self, at: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.end() == at)
    }

    /// The pages of a window.
    pub fn window(&self, number: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.window == Some(number))
    }

    /// The window that has pages before and behind an address, where nothing lies.
    pub fn window_around(&self, at: usize) -> Option<usize> {
        let below = self.runs.iter().rev().find(|run| run.start() < at)?.window;
        let above = self.runs.iter().find(|run| at < run.start())?.window;
        below.filter(|_| below == above)
    }

    /// The extent beside which a page is recorded, where nothing lies: the one before it or the one
    /// behind it, if it is in a window or a page by itself, in the same sixteen pages, of one size,
    /// and all of its window lies from `low` to `high`.
    pub fn beside(&self, at: usize, size_bits: u8, low: usize, high: usize) -> Option<usize> {
        if let Some(number) = self.window_around(at) {
            return self.runs.iter().position(|run| run.window == Some(number));
        }
        let before = self.runs.iter().rposition(|run| run.start() < at);
        let behind = self.runs.iter().position(|run| at < run.start());
        let block = |at: usize| at / (16 << size_bits);
        let near = |&which: &usize| {
            let run = &self.runs[which];
            let inside = |run: &Run| low <= run.start() && run.end() <= high;
            let alone = run.frames.len() == 1 && !run.like.strided && inside(run);
            let fits = run.window.map_or(alone, |number| self.window(number).all(inside));
            run.like.size_bits == size_bits && block(run.start()) == block(at) && fits
        };
        before.filter(near).or(behind.filter(near))
    }

    pub fn starting_at(&self, at: usize) -> Option<usize> {
        self.runs.iter().position(|run| run.start() == at)
    }

    /// The first extent of which a page or a gap lies from `start` to `end`.
    pub fn first_in(&self, start: usize, end: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.start() < end && start < run.end())
    }

    /// The frames of `run` that lie in the range, even in part: the number of the first, and how
    /// many.
    pub fn indices_in(run: &Run, range: PageRange) -> (Option<usize>, usize) {
        let size = 1usize << run.like.size_bits;
        let inside = |start: usize| start < range.end() && range.start().bits() < start + size;
        let first = run.frames.iter().position(|&(start, _)| inside(start));
        (first, run.frames.iter().filter(|&&(start, _)| inside(start)).count())
    }

    /// Pages of its own, copied capabilities, and pages in their frames.
    pub fn counts(&self) -> (usize, usize, usize) {
        let (mut owned, mut copies, mut copied) = (0, 0, 0);
        for run in &self.runs {
            for _ in &run.frames {
                let bytes = 1usize << run.like.size_bits;
                match run.like.source {
                    Source::Owned => owned += bytes,
                    Source::Copy => (copies, copied) = (copies + 1, copied + bytes),
                    Source::Borrowed | Source::Physical => {}
                }
            }
        }
        (owned, copies, copied)
    }
}
