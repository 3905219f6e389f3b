// SPDX-License-Identifier: BSD-2-Clause
//! Clones of regions and spaces, and writes to both sides.
//!
//! Only what lies in other spaces is cloned: our own has nobody to answer its faults.

use alloc::rc::Rc;
use core::cell::Cell;

use roottask::{check, Outcome};
use vmm::{Access, Error, FaultClass, PageFault, RegionOptions, Resolution, Rights, SpaceId};

use super::{churn, spaces};
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::{Area, Page, MAX_AREAS, MAX_SPACES};

/// A few dozen steps.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(16, 128, step)
}

fn step(stress: &mut Stress) -> Outcome {
    let Some(area) = other_area(stress) else {
        spaces::create(stress)?;
        return churn::make_area(stress);
    };
    match stress.random.below(12) {
        0..=1 => clone_region(stress, area),
        2 => clone_space(stress, area),
        3..=5 => write_fault(stress, area),
        6..=8 => {
            let pages = stress.expected.areas[area].pages.len();
            let page = stress.random.below(pages);
            stress.write_page(area, page)
        }
        9 => {
            let id = stress.expected.areas[area].id;
            stress.attempt(Kind::RestoreWriteAccess, |vmm| vmm.restore_write_access(id)).map(|_| ())
        }
        10 => stress.check_area(area),
        _ => stress.release_area(area),
    }
}

fn other_area(stress: &mut Stress) -> Option<usize> {
    let own = stress.expected.own();
    (0..4)
        .find_map(|_| stress.any_area().filter(|&area| stress.expected.areas[area].space() != own))
}

/// The same pages with the same contents, and a life of their own.
fn copy(pages: &[Option<Page>]) -> alloc::vec::Vec<Option<Page>> {
    let copy =
        |page: &Page| Page { stamp: Rc::new(Cell::new(page.stamp.get())), rights: page.rights };
    pages.iter().map(|page| page.as_ref().map(copy)).collect()
}

fn clone_region(stress: &mut Stress, area: usize) -> Outcome {
    let Some(into) = stress.other_space() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (id, options) = (node.id, RegionOptions::new(1));
    if node.is_shared() {
        return stress.refused(
            Kind::CloneRegion,
            |error| matches!(error, Error::Shared { .. }),
            |vmm| vmm.clone_region(id, into, options.placement()),
        );
    }
    if stress.expected.areas.len() >= MAX_AREAS || !stress.expected.has_room(node.pages.len()) {
        return churn::release(stress);
    }
    let on_demand = stress.random.once_in(2);
    let clone = stress.attempt(Kind::CloneRegion, |vmm| match on_demand {
        true => vmm.clone_region_on_demand(id, into, options.placement()),
        false => vmm.clone_region(id, into, options.placement()),
    })?;
    let Some(clone) = clone else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let first = clone.start().bits() + (node.first - id.start().bits());
    let (rights, on_demand, pages) = (node.rights, node.on_demand, copy(&node.pages));
    stress.expected.areas.push(Area { id: clone, first, rights, on_demand, pages });
    Ok(())
}

fn clone_space(stress: &mut Stress, area: usize) -> Outcome {
    let space = stress.expected.areas[area].space();
    if stress.expected.spaces.len() >= MAX_SPACES {
        return spaces::destroy(stress);
    }
    let mine = |area: &&Area| area.space() == space;
    let count = stress.expected.areas.iter().filter(mine).count();
    let pages = stress.expected.areas.iter().filter(mine).map(|area| area.pages.len()).sum();
    if stress.expected.areas.iter().filter(mine).any(Area::is_shared) {
        return stress.refused(
            Kind::CloneSpace,
            |error| matches!(error, Error::Shared { .. }),
            |vmm| vmm.clone_space(space),
        );
    }
    if stress.expected.areas.len() + count > MAX_AREAS || !stress.expected.has_room(pages) {
        return stress.release_area(area);
    }
    let on_demand = stress.random.once_in(2);
    let clone = stress.attempt(Kind::CloneSpace, |vmm| match on_demand {
        true => vmm.clone_space_on_demand(space),
        false => vmm.clone_space(space),
    })?;
    match clone {
        Some(clone) => take_note_of_clone(stress, space, clone),
        None => Ok(()),
    }
}

/// Each area of a space has its like at the same address of the clone.
fn take_note_of_clone(stress: &mut Stress, space: SpaceId, clone: SpaceId) -> Outcome {
    stress.expected.spaces.push(clone);
    for index in 0..stress.expected.areas.len() {
        let node = &stress.expected.areas[index];
        if node.space() != space {
            continue;
        }
        let found = stress.vmm.region_at(clone, node.first)?;
        check!(found.is_some());
        let Some(found) = found else { continue };
        let (first, rights, on_demand) = (node.first, node.rights, node.on_demand);
        let pages = copy(&node.pages);
        stress.expected.areas.push(Area { id: found.id, first, rights, on_demand, pages });
    }
    Ok(())
}

/// Answers the fault that a write to a page would be.
fn write_fault(stress: &mut Stress, area: usize) -> Outcome {
    let Some(part) = stress.part_of(area, true) else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (space, address) = (node.space(), node.address(part.start));
    let may_write =
        node.pages[part.start].as_ref().is_some_and(|page| page.rights.contains(Rights::WRITE));
    let is_cow = stress.vmm.mapping_at(space, address)?.is_some_and(|page| page.copy_on_write);
    let fault = PageFault { address, access: Access::Write, present: true, ip: 0 };
    let answer = stress.attempt(Kind::Fault, |vmm| vmm.resolve_fault(space, &fault))?;
    let Some(answer) = answer else { return Ok(()) };
    let expected = match (may_write, is_cow) {
        (false, _) => Resolution::Unresolved(FaultClass::BeyondRights),
        (true, true) => Resolution::Resolved(FaultClass::CopyOnWrite),
        (true, false) => Resolution::Resolved(FaultClass::Recorded),
    };
    check!(answer == expected);
    if may_write {
        let page = stress.vmm.mapping_at(space, address)?;
        check!(page.is_some_and(|page| !page.copy_on_write));
    }
    stress.check_part(area, part)
}
