// SPDX-License-Identifier: BSD-2-Clause
//! Writing: by a thread, or by the manager for one.

use untyped_alloc::{CPtr, Rights};
use vmm::Error;

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::choose::pick;
use super::super::{Contents, Page, Pages, Run};
use crate::support::PAGE;

impl Run<'_> {
    /// A thread writes to one of all the pages that it can write to without a fault.
    pub(super) fn write(&mut self, which: u8, tag: u64) -> Outcome {
        let now =
            |page: &Page| page.rights.contains(Rights::READ_WRITE) && !page.cow && !page.deferred;
        let pages: Vec<(CPtr, usize, usize)> = self
            .state
            .spaces
            .iter()
            .flat_map(|space| space.pages.iter().map(|(&at, page)| (space.root, at, page)))
            .filter(|(_, _, page)| now(page))
            .map(|(root, at, page)| (root, at, page.cell))
            .collect();
        if let Some((root, at, cell)) = pick(&pages, which) {
            let words = tag.to_le_bytes().repeat(PAGE / 8);
            self.host.kernel().write(root, at, &words).expect("the page can be written");
            self.state.cells[cell] = Contents::Filled(tag);
        }
        Ok(())
    }

    /// The manager writes a word, which breaks copy-on-write. It need not be aligned, and may go on
    /// into the next page.
    pub(super) fn write_byte(&mut self, space: u8, pages: Pages, off: u16, value: u8) -> Outcome {
        let (id, start, _) = self.state.pages_by(space, pages);
        let address = start.saturating_add(usize::from(off));
        let first = address & !(PAGE - 1);
        let end = (address as u128 + 8).div_ceil(PAGE as u128) * PAGE as u128;
        let pages = (end - first as u128) as usize / PAGE;
        let expect = |run: &Self| {
            let space = match run.space(id) {
                Ok(space) => space,
                Err(expected) => return expected,
            };
            let wraps = address.checked_add(8).is_none();
            let wraps = wraps.then_some(Refusal::Named("OutsideRegion"));
            match run.state.pages_of(space, first, pages) {
                Err(error) => Expected::unless(wraps).or(loosely(error)),
                Ok(_) => {
                    let hole = space.hole(first, pages).into_iter().flat_map(loosely);
                    let large = run.has_large(id, first, pages);
                    let expected =
                        Expected::unless(wraps).or(hole).or(run.not_managed(space, first, pages));
                    // In the manager's own space all of it may lie in one that can be written.
                    match id == run.host.own() {
                        true => expected.perhaps(large.map(|_| "LargePage")),
                        false => expected.or(large),
                    }
                }
            }
        };
        let range = first..first.saturating_add(pages * PAGE);
        let need = Need::pages(self.own_copies(id, first, pages));
        let answer = self.call(need, expect, |vmm| match value {
            0 => vmm.zero(id, address, 8),
            _ => vmm.write(id, address, &[value; 8]),
        });
        match answer {
            Ok(()) => {
                let word = u64::from_le_bytes([value; 8]);
                for (_, page) in self.state.break_range(id, range) {
                    let holds = &mut self.state.cells[page.cell];
                    // Elsewhere than in its first word it is not looked at, or not known any more.
                    *holds = match (address.is_multiple_of(PAGE), &holds) {
                        (true, Contents::Filled(last) | Contents::Ends([_, last])) => {
                            Contents::Ends([word, *last])
                        }
                        _ => Contents::Unknown,
                    };
                }
            }
            // It may be written nevertheless.
            Err(halt) if halt.is_in_its_midst() && self.state.space(id).is_some() => {
                let pages = self.state.space_mut(id).pages.range(range);
                let cells: Vec<_> = pages.map(|(_, page)| page.cell).collect();
                cells.into_iter().for_each(|cell| self.state.cells[cell] = Contents::Unknown);
            }
            Err(_) => {}
        }
        answer
    }
}

/// The refusal of a range, whichever of its pages it names.
pub(super) fn loosely(error: Error) -> Vec<Refusal> {
    let names: &[&'static str] = match error {
        Error::Address(_) => &["Address"],
        // A range that leaves a region ends in a guard or beyond.
        Error::Guard { .. } | Error::OutsideRegion { .. } => &["Guard", "OutsideRegion"],
        Error::WrongKind { .. } => &["WrongKind"],
        Error::NotMapped { .. } => &["NotMapped"],
        other => return vec![other.into()],
    };
    names.iter().map(|&name| Refusal::Named(name)).collect()
}
