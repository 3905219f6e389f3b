// SPDX-License-Identifier: BSD-2-Clause
//! Pages that come because they are touched.

use alloc::vec;
use alloc::vec::Vec;

use roottask::{check, Outcome};
use vmm::{Access, PageFault, Resolution, SpaceId};

use crate::engine::contents::check_page;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::Page;

/// Touches a page that is not there.
pub fn fault(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    if !node.on_demand {
        return Ok(());
    }
    let page = stress.random.below(node.pages.len());
    let node = &stress.expected.areas[area];
    let (space, address) = (node.space(), node.address(page) + 4 * stress.random.below(1024));
    if node.pages[page].is_some() || !stress.expected.has_room(16) {
        return Ok(());
    }
    if !touch(stress, space, address)? {
        return Ok(());
    }
    let new = take_note_of_new_pages(stress, area)?;
    check!((1..=16).contains(&new));
    check!(stress.expected.areas[area].pages[page].is_some());
    stress.write_page(area, page)
}

/// Has the fault resolved that reading an address of a space would be, where memory comes on
/// demand. Says whether there was enough for it.
pub fn touch(stress: &mut Stress, space: SpaceId, address: usize) -> Outcome<bool> {
    let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
    let answer = stress.attempt(Kind::Fault, |vmm| vmm.resolve_fault(space, &fault))?;
    check!(answer.is_none_or(|answer| matches!(answer, Resolution::Resolved(_))));
    Ok(answer.is_some())
}

/// Takes note of the pages that faults have brought, all of them clear; says how many there are.
pub fn take_note_of_new_pages(stress: &mut Stress, area: usize) -> Outcome<usize> {
    let own = stress.expected.own();
    let node = &mut stress.expected.areas[area];
    let mut new: Vec<usize> = vec![];
    for index in 0..node.pages.len() {
        let mapping = stress.vmm.mapping_at(node.space(), node.address(index))?;
        if mapping.is_some() && node.pages[index].is_none() {
            node.pages[index] = Some(Page::clear(node.rights));
            new.push(index);
        }
    }
    let count = new.len();
    if node.space() == own {
        for index in new {
            check_page(node.address(index), 0)?;
        }
    }
    Ok(count)
}
