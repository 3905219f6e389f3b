// SPDX-License-Identifier: BSD-2-Clause
//! Maps, unmaps and protects of all sizes, in all spaces.
//!
//! ```text
//!   make.rs      areas made and released
//!   reshape.rs   areas split, merged, moved
//!   faults.rs    pages that come because they are touched
//!   regrow.rs    areas grown over a page table's line, again and again
//! ```

mod faults;
mod make;
mod regrow;
mod reshape;

use alloc::vec::Vec;
use core::ops::Range;

use roottask::{check_eq, Manager, Outcome};
use vmm::{Pages, RegionId, Rights};

use crate::engine::{stamped_pages, Stress};
use crate::measure::Kind;
use crate::model::{Page, PAGE};
use faults::fault;
use make::stamp_some;
pub use make::{make_area, release};
use reshape::{move_area, split, split_and_merge};

/// The most pages that are mapped with contents at once.
const MAX_FILLED: usize = 16;

/// A hundred or so steps.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(32, 256, step)
}

fn step(stress: &mut Stress) -> Outcome {
    match stress.random.below(28) {
        0..=4 => make_area(stress),
        5..=7 => populate(stress),
        8..=10 => unmap(stress),
        11..=13 => protect(stress),
        14 => split(stress),
        15 => split_and_merge(stress),
        16 => move_area(stress),
        17..=18 => fault(stress),
        19 => look(stress),
        20..=21 => check_some(stress),
        22..=23 => regrow::run(stress),
        24..=25 => decommit(stress),
        _ => release(stress),
    }
}

fn populate(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return make_area(stress) };
    let Some(part) = stress.part_of(area, false) else { return Ok(()) };
    if stress.expected.pages() + part.len() > stress.expected.max_pages {
        return Ok(());
    }
    let node = &stress.expected.areas[area];
    let (space, start, rights) = (node.space(), node.address(part.start), node.rights);
    let pages = part.len();
    if pages <= MAX_FILLED && stress.random.once_in(3) {
        return populate_from(stress, area, part);
    }
    let done =
        stress.attempt(Kind::Populate, |vmm| vmm.populate(space, Pages::at(start).count(pages)))?;
    if done.is_some() {
        for page in part {
            stress.expected.areas[area].pages[page] = Some(Page::clear(rights));
        }
        stamp_some(stress, area)?;
    }
    Ok(())
}

/// Maps pages of an area that come with a stamp each, or without.
fn populate_from(stress: &mut Stress, area: usize, part: Range<usize>) -> Outcome {
    let node = &stress.expected.areas[area];
    let (space, start, rights) = (node.space(), node.address(part.start), node.rights);
    let random = &mut stress.random;
    let stamp = |_| if random.once_in(4) { 0 } else { random.stamp() };
    let stamps: Vec<u32> = part.clone().map(stamp).collect();
    let bytes = stamped_pages(&stamps);
    // What is clear at the beginning and at the end need not be said.
    let skipped = bytes.iter().take(PAGE - 1).take_while(|&&byte| byte == 0).count();
    let cut = bytes.iter().rev().take(PAGE - 1).take_while(|&&byte| byte == 0).count();
    let said = skipped..(bytes.len() - cut).max(skipped + 1);
    let populate =
        |vmm: &mut Manager| vmm.populate_from(space, start + said.start, &bytes[said.clone()]);
    if stress.attempt(Kind::PopulateFrom, populate)?.is_some() {
        for (page, stamp) in part.clone().zip(stamps) {
            let clear = Page::clear(rights);
            clear.stamp.set(stamp);
            stress.expected.areas[area].pages[page] = Some(clear);
        }
        stress.check_part(area, part)?;
    }
    Ok(())
}

fn unmap(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let Some(part) = stress.part_of(area, true) else { return Ok(()) };
    if stress.random.once_in(4) {
        stress.check_part(area, part.clone())?;
    }
    let node = &stress.expected.areas[area];
    let (space, start, pages) = (node.space(), node.address(part.start), part.len());
    stress.must(Kind::Unmap, |vmm| vmm.unmap(space, Pages::at(start).count(pages)))?;
    stress.expected.areas[area].pages[part].fill(None);
    Ok(())
}

/// Gives back any part of an area, holes included.
fn decommit(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let first = stress.random.below(node.pages.len());
    let part = first..first + stress.random.within(1, node.pages.len() - first);
    let (space, start, pages) = (node.space(), node.address(part.start), part.len());
    stress.must(Kind::Decommit, |vmm| vmm.decommit(space, Pages::at(start).count(pages)))?;
    stress.expected.areas[area].pages[part].fill(None);
    Ok(())
}

fn protect(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let Some(part) = stress.part_of(area, true) else { return Ok(()) };
    let choices = [Rights::READ, Rights::READ_WRITE, Rights::READ_WRITE, Rights::empty()];
    let rights = choices[stress.random.below(choices.len())];
    let node = &stress.expected.areas[area];
    let (space, start, pages) = (node.space(), node.address(part.start), part.len());
    let (range, on_demand) = (Pages::at(start).count(pages), stress.random.once_in(2));
    let done = stress.attempt(Kind::Protect, |vmm| match on_demand {
        true => vmm.protect_on_demand(space, range, rights),
        false => vmm.protect(space, range, rights),
    })?;
    if done.is_some() {
        for page in stress.expected.areas[area].pages[part.clone()].iter_mut().flatten() {
            page.rights = rights;
        }
        stress.write_page(area, part.start)?;
    }
    Ok(())
}

/// Compares what the manager says of a page with what must be there.
fn look(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let pages = stress.expected.areas[area].pages.len();
    let index = stress.random.below(pages);
    let node = &stress.expected.areas[area];
    let (space, address, id) = (node.space(), node.address(index), node.id);
    let mapping = stress.must(Kind::Query, |vmm| vmm.mapping_at(space, address))?;
    let expected = stress.expected.areas[area].pages[index].as_ref().map(|page| page.rights);
    check_eq!(mapping.map(|mapping| mapping.rights), expected);
    let found: Option<RegionId> =
        stress.must(Kind::Query, |vmm| vmm.region_at(space, address))?.map(|region| region.id);
    check_eq!(found, Some(id));
    Ok(())
}

fn check_some(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    match stress.part_of(area, true) {
        Some(part) => stress.check_part(area, part),
        None => Ok(()),
    }
}
