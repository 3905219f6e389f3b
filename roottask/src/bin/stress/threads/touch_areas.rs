// SPDX-License-Identifier: BSD-2-Clause
//! Memory that threads touch, and what must be in it.
//!
//! ```text
//!   a page:   stamp │ word of thread 0 │ word of thread 1 │ …
//! ```
//!
//! The stamp is there before the threads run, and is not written by them. Every thread has a word
//! of its own in each page. As it goes, it checks the stamps and its own words; afterwards every
//! page is read through another mapping.

use alloc::vec;
use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use vmm::{Backing, Pages, RegionId, RegionOptions, Rights, ShareOptions, SpaceId};

use super::worker::{Touch, MAX_TOUCHES};
use crate::engine::contents::word;
use crate::engine::lines::pages_below_line;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// The most threads that touch the same areas.
pub const MAX_THREADS: usize = 6;
/// The most pages of an area.
pub const MAX_PAGES: usize = 64;
/// Words of a page that are looked at: the stamp, and one of each thread.
const WORDS: usize = 1 + MAX_THREADS;

/// What the first words of a page are.
pub type Words = [u32; WORDS];

/// A region that is touched.
pub struct TouchArea {
    /// Its id.
    pub id: RegionId,
    /// Its first address that is no guard, in bytes.
    pub first: usize,
    /// What its pages must hold.
    pub pages: Vec<Words>,
    /// Whether stamps come with the pages, from a pager.
    pub is_paged: bool,
}

impl TouchArea {
    /// Reserves an area of which nothing is there yet; as a rule across a line between two page
    /// tables, where there is room.
    pub fn reserve(
        stress: &mut Stress,
        space: SpaceId,
        pages: usize,
        backing: Backing,
    ) -> Outcome<Option<TouchArea>> {
        let anywhere = RegionOptions::new(pages).named("touched").guarded(1, 1).backed(backing);
        let mut made = None;
        if !stress.random.once_in(3) {
            let across = stress.across_line(anywhere, pages, (1, 1));
            made = stress.attempt(Kind::Reserve, |vmm| vmm.reserve(space, &across))?;
        }
        if made.is_none() {
            made = stress.attempt(Kind::Reserve, |vmm| vmm.reserve(space, &anywhere))?;
        }
        let area = |id: RegionId| TouchArea {
            id,
            first: id.start().bits() + PAGE,
            pages: vec![[0; WORDS]; pages],
            is_paged: matches!(backing, Backing::Pager { .. }),
        };
        Ok(made.map(area))
    }

    /// How many of its pages lie below a line between two page tables, if it lies across one.
    pub fn below_line(&self, stress: &Stress) -> Option<usize> {
        pages_below_line(stress, self.first, self.pages.len())
    }

    /// Maps and unmaps pages behind the line, so that its page table is kept, empty.
    pub fn leave_empty_table(&self, stress: &mut Stress) -> Outcome {
        let Some(below) = self.below_line(stress) else { return Ok(()) };
        let (space, start) = (self.id.space(), self.first + below * PAGE);
        let pages = stress.random.size(self.pages.len() - below);
        let done = stress
            .attempt(Kind::Populate, |vmm| vmm.populate(space, Pages::at(start).count(pages)))?;
        if done.is_some() {
            stress.must(Kind::Unmap, |vmm| vmm.unmap(space, Pages::at(start).count(pages)))?;
        }
        Ok(())
    }

    /// Reads all of an area through a clone of it.
    pub fn check_by_clone(&self, stress: &mut Stress) -> Outcome {
        let (id, own, options) = (self.id, stress.expected.own(), RegionOptions::new(1));
        let clone = stress
            .attempt(Kind::CloneRegion, |vmm| vmm.clone_region(id, own, options.placement()))?;
        let Some(clone) = clone else { return Ok(()) };
        for (page, words) in self.pages.iter().enumerate() {
            let at = clone.start().bits() + (1 + page) * PAGE;
            match stress.vmm.mapping_at(own, at)? {
                Some(_) => check_words(at, words)?,
                None => self.check_absent(page)?,
            }
        }
        stress.must(Kind::Release, |vmm| vmm.release(clone))
    }

    /// Reads all of an area by sharing what is mapped of it.
    pub fn check_by_share(&self, stress: &mut Stress) -> Outcome {
        let (space, own) = (self.id.space(), stress.expected.own());
        let is_mapped = |stress: &Stress, page: usize| -> Outcome<bool> {
            Ok(stress.vmm.mapping_at(space, self.first + page * PAGE)?.is_some())
        };
        let mut page = 0;
        while page < self.pages.len() {
            if !is_mapped(stress, page)? {
                self.check_absent(page)?;
                page += 1;
                continue;
            }
            let mut end = page + 1;
            while end < self.pages.len() && is_mapped(stress, end)? {
                end += 1;
            }
            let (start, count) = (self.first + page * PAGE, end - page);
            let options = ShareOptions::new().named("look").rights(Rights::READ);
            let shared = stress.attempt(Kind::Share, |vmm| {
                vmm.share(space, Pages::at(start).count(count), own, &options)
            })?;
            if let Some(shared) = shared {
                for (index, words) in self.pages[page..end].iter().enumerate() {
                    check_words(shared.start().bits() + index * PAGE, words)?;
                }
                stress.must(Kind::Release, |vmm| vmm.release(shared))?;
            }
            page = end;
        }
        Ok(())
    }

    /// A page that is not there holds nothing that a thread has written.
    fn check_absent(&self, page: usize) -> Outcome {
        let [stamp, ref words @ ..] = self.pages[page];
        check_eq!(*words, [0; MAX_THREADS]);
        check!(stamp == 0 || self.is_paged);
        Ok(())
    }
}

fn check_words(at: usize, words: &Words) -> Outcome {
    let found: Words = core::array::from_fn(|index| word(at + 4 * index));
    check_eq!(found, *words);
    Ok(())
}

/// What thread `number` is to do: it reads first words, and reads and writes its own ones; page by
/// page upwards or downwards, or anywhere.
pub fn list(stress: &mut Stress, areas: &[TouchArea], number: usize) -> Vec<Touch> {
    let mut list = Vec::new();
    let mut now: Vec<Vec<Words>> = areas.iter().map(|area| area.pages.clone()).collect();
    let most = stress.random.size(MAX_TOUCHES);
    while list.len() < most && !areas.is_empty() {
        let index = stress.random.below(areas.len());
        let (area, pages) = (&areas[index], areas[index].pages.len());
        let (mut way, mut from) = (stress.random.below(3), stress.random.below(pages));
        let mut steps = stress.random.size(pages);
        // As a rule upwards over the line, where there is one.
        if let (Some(below), false) = (area.below_line(stress), stress.random.once_in(3)) {
            let before = stress.random.size(below);
            (way, from, steps) = (0, below - before, before + stress.random.size(pages - below));
        }
        for step in 0..steps.min(most - list.len()) {
            let page = match way {
                0 => (from + step) % pages,
                1 => (from + pages - step) % pages,
                _ => stress.random.below(pages),
            };
            let what = stress.random.below(4);
            let write = what > 1;
            let place = if what == 0 { 0 } else { 1 + number };
            if write {
                now[index][page][place] = stress.random.stamp();
            }
            let (address, value) = (area.first + page * PAGE + 4 * place, now[index][page][place]);
            list.push(Touch { address, value, write });
        }
    }
    list
}

/// Takes note of what a thread has written that has done so much of its list.
pub fn take_note(areas: &mut [TouchArea], done: &[Touch]) {
    for touch in done.iter().filter(|touch| touch.write) {
        for area in areas.iter_mut() {
            let offset = touch.address.wrapping_sub(area.first);
            if let Some(words) = area.pages.get_mut(offset / PAGE) {
                words[offset % PAGE / 4] = touch.value;
            }
        }
    }
}
