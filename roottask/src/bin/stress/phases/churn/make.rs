// SPDX-License-Identifier: BSD-2-Clause
//! Areas of random shapes, made and released.

use roottask::Outcome;
use vmm::{Backing, RegionOptions, Rights};

use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::{Area, Page, PAGE};

/// The most pages of an area.
const MAX_PAGES: usize = 128;

/// Makes an area of a random shape, mapped or not.
pub fn make_area(stress: &mut Stress) -> Outcome {
    let lies_across = stress.random.once_in(4);
    make_area_at(stress, lies_across)
}

/// Makes an area; across a line between two page tables where `lies_across` says so.
pub fn make_area_at(stress: &mut Stress, lies_across: bool) -> Outcome {
    let pages = stress.random.size(MAX_PAGES);
    if !stress.expected.has_room(pages) {
        return release(stress);
    }
    let space = stress.any_space();
    let rights = if stress.random.once_in(5) { Rights::READ } else { Rights::READ_WRITE };
    let (below, above) = (stress.random.below(3) as u16, stress.random.below(3) as u16);
    let mut options = RegionOptions::new(pages)
        .named("area")
        .rights(rights)
        .ceiling(Rights::READ_WRITE)
        .guarded(below, above);
    match stress.random.below(6) {
        _ if lies_across => {
            let guards = (usize::from(below), usize::from(above));
            options = stress.across_line(options, pages, guards);
        }
        0 => options = options.aligned(stress.random.within(13, 22) as u8),
        1 => {
            let from = (1 + stress.random.below(0x300)) << 20;
            options = options.within(0x4000_0000 + from..0xe000_0000);
        }
        _ => {}
    }
    let on_demand = stress.random.once_in(4);
    if on_demand {
        // Page by page above all: there the manager has its shortest way.
        let around = if stress.random.once_in(2) { 1 } else { 1 << stress.random.below(5) };
        options = options.backed(Backing::OnDemand { around });
    }
    let is_mapped = !on_demand && !stress.random.once_in(6);
    let made = match is_mapped {
        true => stress.attempt(Kind::Map, |vmm| vmm.map(space, &options))?,
        false => stress.attempt(Kind::Reserve, |vmm| vmm.reserve(space, &options))?,
    };
    let Some(id) = made else { return Ok(()) };
    let first = id.start().bits() + usize::from(below) * PAGE;
    let page = || is_mapped.then(|| Page::clear(rights));
    let pages = (0..pages).map(|_| page()).collect();
    stress.expected.areas.push(Area { id, first, rights, on_demand, pages });
    let area = stress.expected.areas.len() - 1;
    if is_mapped && stress.random.once_in(2) {
        stress.check_area(area)?;
    }
    stamp_some(stress, area)
}

/// Writes to a few pages of an area.
pub fn stamp_some(stress: &mut Stress, area: usize) -> Outcome {
    let pages = stress.expected.areas[area].pages.len();
    for _ in 0..stress.random.size(8.min(pages)) {
        let page = stress.random.below(pages);
        stress.write_page(area, page)?;
    }
    Ok(())
}

/// Releases an area.
pub fn release(stress: &mut Stress) -> Outcome {
    match stress.any_area() {
        Some(area) => stress.release_area(area),
        None => Ok(()),
    }
}
