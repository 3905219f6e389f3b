// SPDX-License-Identifier: BSD-2-Clause
//! Sharing: the same frames in several places.

use roottask::Outcome;
use vmm::{Pages, Rights, ShareOptions};

use super::churn;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::{Area, Page, MAX_AREAS};

/// A few dozen steps.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(16, 128, step)
}

fn step(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return churn::make_area(stress) };
    match stress.random.below(8) {
        0..=2 => share(stress, area),
        3..=5 => {
            let pages = stress.expected.areas[area].pages.len();
            let page = stress.random.below(pages);
            stress.write_page(area, page)
        }
        6 => stress.check_area(area),
        _ => stress.release_area(area),
    }
}

/// Shares a part of an area into a space; the copy is an area as any other.
fn share(stress: &mut Stress, area: usize) -> Outcome {
    let Some(part) = stress.part_of(area, true) else { return Ok(()) };
    if stress.expected.areas.len() >= MAX_AREAS || !stress.expected.has_room(part.len()) {
        return churn::release(stress);
    }
    let into = stress.any_space();
    let rights = if stress.random.once_in(4) { Rights::READ } else { Rights::READ_WRITE };
    let options = ShareOptions::new().named("shared").rights(rights);
    let node = &stress.expected.areas[area];
    let (space, start, count) = (node.space(), node.address(part.start), part.len());
    let shared = stress.attempt(Kind::Share, |vmm| {
        vmm.share(space, Pages::at(start).count(count), into, &options)
    })?;
    let Some(id) = shared else { return Ok(()) };
    let alike =
        |page: &Option<Page>| page.as_ref().map(|page| Page { stamp: page.stamp.clone(), rights });
    let pages = stress.expected.areas[area].pages[part].iter().map(alike).collect();
    let first = id.start().bits();
    stress.expected.areas.push(Area { id, first, rights, on_demand: false, pages });
    stress.check_area(stress.expected.areas.len() - 1)
}
