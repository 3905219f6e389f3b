// SPDX-License-Identifier: BSD-2-Clause
//! The memory of a storm: some areas, and as a rule their clone.

use alloc::vec::Vec;

use roottask::{check, Outcome};
use vmm::{Backing, Pages, RegionOptions, Rights, SpaceId};

use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;
use crate::threads::touch_areas::{TouchArea, MAX_PAGES};

/// A space, or a part of our own, with areas and the program.
pub struct Place {
    /// The space.
    pub space: SpaceId,
    /// Where the program lies, in bytes.
    pub code: usize,
    /// What is touched.
    pub areas: Vec<TouchArea>,
}

/// The place in `space`, and as a rule its clone.
pub fn make(stress: &mut Stress, space: SpaceId, code: usize) -> Outcome<Vec<Place>> {
    let mut place = Place { space, code, areas: Vec::new() };
    for _ in 0..stress.random.within(1, 4) {
        place.areas.extend(area(stress, space)?);
    }
    let clone = match stress.random.below(3) {
        0 => None,
        _ if space == stress.expected.own() => clone_areas(stress, &place)?,
        _ => clone_space(stress, &place)?,
    };
    Ok([Some(place), clone].into_iter().flatten().collect())
}

/// A region of which some pages are there, and the others come as they are touched.
fn area(stress: &mut Stress, space: SpaceId) -> Outcome<Option<TouchArea>> {
    let pages = stress.random.size(MAX_PAGES);
    // Page by page above all: there the manager has its shortest way.
    let around = if stress.random.once_in(2) { 1 } else { 1 << stress.random.below(5) };
    let made = TouchArea::reserve(stress, space, pages, Backing::OnDemand { around })?;
    let Some(mut area) = made else { return Ok(None) };
    if !stress.random.once_in(4) {
        area.leave_empty_table(stress)?;
    }
    if stress.random.once_in(2) {
        stamp_part(stress, &mut area)?;
    }
    Ok(Some(area))
}

/// Maps some pages of an area, and writes to them.
fn stamp_part(stress: &mut Stress, area: &mut TouchArea) -> Outcome {
    let first = stress.random.below(area.pages.len());
    let count = stress.random.within(1, area.pages.len() - first);
    let (space, start) = (area.id.space(), area.first + first * PAGE);
    let done =
        stress.attempt(Kind::Populate, |vmm| vmm.populate(space, Pages::at(start).count(count)))?;
    if done.is_none() {
        return Ok(());
    }
    if stress.random.once_in(2) {
        // The page tables may be gone, so that each page comes when it is touched.
        for rights in [Rights::READ, Rights::READ_WRITE] {
            let range = Pages::at(start).count(count);
            stress.attempt(Kind::Protect, |vmm| vmm.protect_on_demand(space, range, rights))?;
        }
    }
    for page in first..first + count {
        let (at, stamp) = (area.first + page * PAGE, stress.random.stamp());
        let write =
            stress.attempt(Kind::Write, |vmm| vmm.write(space, at, &stamp.to_le_bytes()))?;
        if write.is_some() {
            area.pages[page][0] = stamp;
        }
    }
    Ok(())
}

/// The areas of our own space once more in it.
fn clone_areas(stress: &mut Stress, place: &Place) -> Outcome<Option<Place>> {
    let (space, options) = (place.space, RegionOptions::new(1));
    let mut clone = Place { space, code: place.code, areas: Vec::new() };
    for area in &place.areas {
        let made = stress.attempt(Kind::CloneRegion, |vmm| {
            vmm.clone_region(area.id, space, options.placement())
        })?;
        let Some(id) = made else { break };
        let (first, pages) = (id.start().bits() + PAGE, area.pages.clone());
        clone.areas.push(TouchArea { id, first, pages, is_paged: false });
    }
    Ok(Some(clone))
}

/// A clone of a space.
fn clone_space(stress: &mut Stress, place: &Place) -> Outcome<Option<Place>> {
    let (from, on_demand) = (place.space, stress.random.once_in(2));
    let made = stress.attempt(Kind::CloneSpace, |vmm| match on_demand {
        true => vmm.clone_space_on_demand(from),
        false => vmm.clone_space(from),
    })?;
    let Some(space) = made else { return Ok(None) };
    let mut clone = Place { space, code: place.code, areas: Vec::new() };
    for area in &place.areas {
        let region = stress.vmm.region_at(space, area.first)?;
        check!(region.is_some());
        let Some(region) = region else { continue };
        let (id, first, pages) = (region.id, area.first, area.pages.clone());
        clone.areas.push(TouchArea { id, first, pages, is_paged: false });
    }
    Ok(Some(clone))
}

/// Reads every page of the places through another mapping.
pub fn check(stress: &mut Stress, places: &[Place]) -> Outcome {
    for area in places.iter().flat_map(|place| &place.areas) {
        match stress.random.once_in(4) {
            true => area.check_by_clone(stress)?,
            false => area.check_by_share(stress)?,
        }
    }
    Ok(())
}

/// Releases the areas of the first place; destroys the spaces of the others.
pub fn give_back(stress: &mut Stress, places: Vec<Place>) -> Outcome {
    let first = places[0].space;
    for place in places {
        match place.space == first {
            true => {
                for area in place.areas {
                    stress.must(Kind::Release, |vmm| vmm.release(area.id))?;
                }
            }
            false => stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(place.space))?,
        }
    }
    Ok(())
}
