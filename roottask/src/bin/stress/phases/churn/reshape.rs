// SPDX-License-Identifier: BSD-2-Clause
//! Areas split, merged and moved.

use roottask::{check_eq, Outcome};
use vmm::RegionOptions;

use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::Area;

/// Splits an area in two; returns the number of the upper part.
fn split_at(stress: &mut Stress, area: usize, at: usize) -> Outcome<Option<usize>> {
    let id = stress.expected.areas[area].id;
    let upper = stress.attempt(Kind::Split, |vmm| vmm.split_region(id, at))?;
    let Some(upper) = upper else { return Ok(None) };
    let lower = &mut stress.expected.areas[area];
    let (first, rights, on_demand) = (lower.address(at), lower.rights, lower.on_demand);
    let pages = lower.pages.split_off(at);
    check_eq!(upper.start().bits(), first);
    stress.expected.areas.push(Area { id: upper, first, rights, on_demand, pages });
    Ok(Some(stress.expected.areas.len() - 1))
}

fn place_to_split(stress: &mut Stress) -> Option<(usize, usize)> {
    let area = stress.any_area()?;
    let pages = stress.expected.areas[area].pages.len();
    (pages > 1).then(|| (area, stress.random.within(1, pages - 1)))
}

/// Splits an area in two.
pub fn split(stress: &mut Stress) -> Outcome {
    if !stress.expected.has_room(0) {
        return Ok(());
    }
    if let Some((area, at)) = place_to_split(stress) {
        split_at(stress, area, at)?;
    }
    Ok(())
}

/// Splits an area and makes it one again; the id of the upper part is stale then.
pub fn split_and_merge(stress: &mut Stress) -> Outcome {
    let Some((area, at)) = place_to_split(stress) else { return Ok(()) };
    let Some(upper) = split_at(stress, area, at)? else { return Ok(()) };
    let (low, high) = (stress.expected.areas[area].id, stress.expected.areas[upper].id);
    stress.must(Kind::Merge, |vmm| vmm.merge_regions(low, high))?;
    let mut upper = stress.expected.areas.swap_remove(upper);
    stress.expected.areas[area].pages.append(&mut upper.pages);
    stress.refused(
        Kind::Release,
        |error| matches!(error, vmm::Error::NoSuchRegion(stale) if *stale == high),
        |vmm| vmm.release(high),
    )
}

/// Moves an area to other addresses, with what is in it.
pub fn move_area(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (id, below) = (node.id, node.first - node.id.start().bits());
    let options = RegionOptions::new(1).aligned(12 + stress.random.below(6) as u8);
    let moved = stress.attempt(Kind::Move, |vmm| vmm.move_region(id, options.placement()))?;
    if let Some(moved) = moved {
        stress.expected.areas[area].id = moved;
        stress.expected.areas[area].first = moved.start().bits() + below;
        stress.check_area(area)?;
    }
    Ok(())
}
