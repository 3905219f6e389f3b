// SPDX-License-Identifier: BSD-2-Clause
//! Areas that grow page by page over the line between two page tables, shrink, and grow again.
//!
//! ```text
//!   a round:   … ■ ■ ■ ■ ■ ■ │ ■ ■ ■ …   behind the line all is unmapped: the table is kept, empty
//!              … ■ ■ ■ ■ ■ ■ │ · · · …   as a rule some pages before it are unmapped, too
//!              … ■ ■ ■ · · · │ · · · …   all come back one by one: upwards, downwards, or anyhow
//! ```
//!
//! Pages come by requests or by faults, and tables that are kept may be given back in the midst. No
//! page is looked up between two that are mapped, because that ends the manager's shortest way.

use alloc::vec::Vec;
use core::ops::Range;
use vmm::Pages;

use roottask::Outcome;

use super::faults::{take_note_of_new_pages, touch};
use super::make::make_area_at;
use crate::engine::lines::pages_below_line;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::Page;

/// The most rounds of one area.
const MAX_ROUNDS: usize = 4;
/// The most pages on either side of the line that are taken and come back.
const MAX_PAGES: usize = 12;

/// A few rounds in an area that lies across a line; makes one where there is none.
pub fn run(stress: &mut Stress) -> Outcome {
    let Some((area, line)) = any_across(stress) else { return make_area_at(stress, true) };
    for _ in 0..stress.random.within(1, MAX_ROUNDS) {
        let pages = stress.expected.pages() + 2 * MAX_PAGES;
        if stress.is_over() || pages > stress.expected.max_pages {
            break;
        }
        round(stress, area, line)?;
    }
    Ok(())
}

/// An area that lies across a line, and how many of its pages lie below it.
fn any_across(stress: &mut Stress) -> Option<(usize, usize)> {
    let areas = stress.expected.areas.iter().enumerate();
    let across = areas.filter_map(|(index, area)| {
        Some((index, pages_below_line(stress, area.first, area.pages.len())?))
    });
    let across: Vec<(usize, usize)> = across.collect();
    stress.random.of(&across)
}

fn round(stress: &mut Stress, area: usize, line: usize) -> Outcome {
    let pages = stress.expected.areas[area].pages.len();
    let before = stress.random.size(MAX_PAGES.min(line));
    let behind = stress.random.size(MAX_PAGES.min(pages - line));
    stress.check_area(area)?;
    unmap(stress, area, line..pages)?;
    if !stress.random.once_in(4) {
        unmap(stress, area, line - before..line)?;
    }
    if stress.random.once_in(4) {
        stress.must(Kind::Trim, |vmm| vmm.trim())?;
    }
    grow(stress, area, line - before..line + behind)?;
    if stress.random.once_in(3) {
        stress.must(Kind::Trim, |vmm| vmm.trim())?;
    }
    stress.check_area(area)?;
    for page in line - before..line + behind {
        if stress.random.once_in(3) {
            stress.write_page(area, page)?;
        }
    }
    Ok(())
}

/// Unmaps what is mapped of a part.
fn unmap(stress: &mut Stress, area: usize, part: Range<usize>) -> Outcome {
    let mut page = part.start;
    while page < part.end {
        let node = &stress.expected.areas[area];
        let end = node.extent_around(page).end.min(part.end);
        if node.pages[page].is_some() {
            let (space, start, pages) = (node.space(), node.address(page), end - page);
            stress.must(Kind::Unmap, |vmm| vmm.unmap(space, Pages::at(start).count(pages)))?;
            stress.expected.areas[area].pages[page..end].fill(None);
        }
        page = end;
    }
    Ok(())
}

/// Maps the pages of a part that are not mapped, one after another in one of three orders.
fn grow(stress: &mut Stress, area: usize, part: Range<usize>) -> Outcome {
    let node = &stress.expected.areas[area];
    let by_faults = node.on_demand && stress.random.once_in(2);
    let mut missing: Vec<usize> = part.filter(|&page| node.pages[page].is_none()).collect();
    match stress.random.below(4) {
        0..=1 => {}
        2 => missing.reverse(),
        _ => stress.random.shuffle(&mut missing),
    }
    for page in missing {
        let node = &stress.expected.areas[area];
        let (space, address, rights) = (node.space(), node.address(page), node.rights);
        let done = match by_faults {
            // Others may come with it, and are asked for when all have been touched.
            true => touch(stress, space, address)?,
            false => stress
                .attempt(Kind::Populate, |vmm| vmm.populate(space, Pages::at(address)))?
                .is_some(),
        };
        if !done {
            break;
        }
        if !by_faults {
            stress.expected.areas[area].pages[page] = Some(Page::clear(rights));
        }
        if stress.random.once_in(16) {
            stress.must(Kind::Trim, |vmm| vmm.trim())?;
        }
    }
    take_note_of_new_pages(stress, area)?;
    Ok(())
}
