// SPDX-License-Identifier: BSD-2-Clause
//! Windows with their model: made of extents, changed page by page, made extents again.

use page_tables::Pages;
use std::vec::Vec;

use untyped_alloc::Rights;

use super::choices::{address, Choices};
use super::extent_changes::History;
use super::extent_model::Run;
use crate::state::extent_node::ExtentNode;
use crate::types::mapping::Source;

/// The pages of a block.
const BLOCK: usize = 16;

impl<'p> History<'p> {
    /// Makes those pages of an extent a window that lie in one block, with whatever nodes that
    /// takes.
    pub fn break_up(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some(which) = self.some_run(choices) else { return false };
        let run = self.model.runs[which].clone();
        let frames = run.frames.len();
        if run.window.is_some() || run.like.strided || self.windows.is_empty() {
            return false;
        }
        let block = |(at, _): &(usize, usize)| at / (BLOCK << run.like.size_bits);
        let chosen = block(&run.frames[choices.below(frames)]);
        let first = run.frames.iter().position(|frame| block(frame) == chosen).unwrap();
        let count = run.frames.iter().filter(|frame| block(frame) == chosen).count();
        let behind = frames - first - count;
        let wanted = usize::from(count != frames) + usize::from(first != 0 && behind != 0);
        if self.free.len() < wanted {
            return false;
        }
        let mut nodes = [None; 2];
        nodes[..wanted].iter_mut().for_each(|node| *node = self.free.pop());
        let window = self.windows.pop().unwrap();
        let extent = run.extent();
        let made = self.space.extents_mut().break_up(&extent, (first, count), window, nodes);
        assert!(made.is_some_and(|node| node.is_window()));
        let number = self.next_window();
        self.model.runs.remove(which);
        for part in [0..first, first + count..frames].into_iter().filter(|part| !part.is_empty()) {
            self.model.insert(Run { frames: run.frames[part].into(), ..run.clone() });
        }
        for &frame in &run.frames[first..first + count] {
            let page = Run { frames: [frame].into(), window: Some(number), ..run.clone() };
            self.model.insert(page);
        }
        true
    }

    /// A page of a window, in the model, and its node.
    fn some_page(&self, choices: &mut Choices<'_>) -> Option<(usize, &'p ExtentNode<'p>)> {
        let which = self.some_run(choices)?;
        let run = &self.model.runs[which];
        let node = self.space.extents().window_at(address(run.start()));
        assert_eq!(node.is_some(), run.window.is_some());
        Some((which, node?))
    }

    /// Makes a window an extent if its pages are one.
    pub fn fold(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((which, node)) = self.some_page(choices) else { return false };
        let number = self.model.runs[which].window.unwrap();
        let pages: Vec<Run> = self.model.window(number).cloned().collect();
        let next = |(page, next): (&Run, &Run)| {
            let (page, next) =
                (Run { window: None, ..page.clone() }, Run { window: None, ..next.clone() });
            page.continues_with(&next)
        };
        let one = pages.iter().zip(&pages[1..]).all(next);
        let extent = node.as_extent();
        assert_eq!(extent.is_some(), one, "{pages:?}");
        let Some(extent) = extent else { return false };
        let window = self.space.extents_mut().fold(node, extent);
        self.windows.extend(window);
        self.model.runs.retain(|run| run.window != Some(number));
        let frames = pages.iter().map(|page| page.frames[0]).collect();
        self.model.insert(Run { frames, window: None, ..pages[0].clone() });
        true
    }

    /// Gives a page of a window other rights, or takes it out where others stay.
    pub fn change_in_window(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((which, node)) = self.some_page(choices) else { return false };
        let run = self.model.runs[which].clone();
        let number = run.window.unwrap();
        let index = run.start() >> run.like.size_bits & (BLOCK - 1);
        let pages: Vec<usize> = self.model.window(number).map(Run::start).collect();
        let at = pages.iter().position(|&start| start == run.start()).unwrap();
        assert_eq!(node.is_edge(index), at == 0 || at + 1 == pages.len());
        let page = node.page(index).unwrap();
        assert_eq!(page, run.extent());
        if choices.one_in(2) {
            let rights = choices.pick(&[Rights::READ, Rights::READ_WRITE, Rights::empty()]);
            let page = crate::state::extent::Extent { rights, ..page };
            self.space.extents_mut().set_rights_in(node, index, &page);
            self.model.runs[which].like.rights = rights;
        } else if let Some(frame) = node.plain_frame(index, Source::Owned) {
            assert_eq!((run.like.source, frame), (Source::Owned, page.frames.first));
            let unlinked = self.space.extents_mut().take_out(node, index, page.bytes());
            assert_eq!(unlinked.is_some(), pages.len() == 1);
            self.take_back(unlinked);
            self.model.runs.remove(which);
        } else {
            return false;
        }
        true
    }

    /// Takes those pages of a window out that lie in a range.
    pub fn remove_in_window(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((which, node)) = self.some_page(choices) else { return false };
        let number = self.model.runs[which].window.unwrap();
        let start = self.model.runs[which].start() >> 12 << 12;
        let count = choices.pick(&[1, 2, 5, 16, 3000]);
        let count = count.min((self.geometry.user_end - start) >> 12);
        let range = self.geometry.range(Pages::at(start).count(count)).unwrap();
        let found = self.space.extents().node_in(range);
        assert!(found.is_some_and(|found| core::ptr::eq(found, node)));
        let pages = node.pages_in(start..range.end());
        let unlinked = self.space.extents_mut().remove_pages(node, pages);
        let inside = |run: &Run| {
            run.window == Some(number) && run.start() < range.end() && start < run.end()
        };
        self.model.runs.retain(|run| !inside(run));
        assert_eq!(unlinked.is_some(), self.model.window(number).count() == 0);
        self.take_back(unlinked);
        true
    }
}
