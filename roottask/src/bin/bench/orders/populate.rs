// SPDX-License-Identifier: BSD-2-Clause
//! Fresh pages, one or a few in a call.

use roottask::Manager;
use sel4::FrameObjectType;
use vmm::{Pages, RegionOptions, Result, SpaceId};

use super::steps::{descending, nothing, row, shuffled, Head, PAGE, TIMES};
use crate::floor::Floor;

/// Spaces that are served in turn.
const SPACES: usize = 64;

/// The first thousand single pages of a program: nothing is ready for them yet.
pub fn young(vmm: &mut Manager) -> Result {
    one_region(vmm, "populate_young", |turn| turn)
}

/// All other rows.
pub fn run(vmm: &mut Manager) -> Result {
    one_region(vmm, "populate_random", shuffled::<TIMES>)?;
    one_region(vmm, "populate_descending", descending::<TIMES>)?;
    by_turns(vmm)?;
    many_spaces(vmm)?;
    for (name, pages) in [("populate_2", 2), ("populate_4", 4), ("populate_8", 8)] {
        together(vmm, name, pages)?;
    }
    Ok(())
}

/// A page at each place, each by a call of its own.
fn single(vmm: &mut Manager, name: &str, place: impl Fn(usize) -> (SpaceId, usize)) -> Result {
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    let populate = |vmm: &mut Manager, turn| {
        let (space, address) = place(turn);
        vmm.populate(space, Pages::at(address))
    };
    let by_hand = &mut |page| floor.map_fresh(page, TIMES);
    row(vmm, Head::pages(name).for_pages(1), nothing, populate, Some(by_hand))
}

fn one_region(vmm: &mut Manager, name: &str, order: fn(usize) -> usize) -> Result {
    let own = vmm.own_space();
    let start = reserve(vmm, own, TIMES)?;
    single(vmm, name, |turn| (own, start + order(turn) * PAGE))
}

fn reserve(vmm: &mut Manager, space: SpaceId, pages: usize) -> Result<usize> {
    Ok(vmm.reserve(space, &RegionOptions::new(pages))?.start().bits())
}

/// Two regions of one space, then one region in each of two spaces: each page after the one before
/// in its own region.
fn by_turns(vmm: &mut Manager) -> Result {
    let own = vmm.own_space();
    let starts = [reserve(vmm, own, TIMES / 2)?, reserve(vmm, own, TIMES / 2)?];
    single(vmm, "populate_two_regions", |turn| (own, starts[turn % 2] + turn / 2 * PAGE))?;
    let spaces = [vmm.create_space()?, vmm.create_space()?];
    let starts = [reserve(vmm, spaces[0], TIMES / 2)?, reserve(vmm, spaces[1], TIMES / 2)?];
    let place = |turn: usize| (spaces[turn % 2], starts[turn % 2] + turn / 2 * PAGE);
    single(vmm, "populate_two_spaces", place)
}

/// The same round robin in 64 spaces, which have a page and so a page table already.
fn many_spaces(vmm: &mut Manager) -> Result {
    let mut places = [(vmm.own_space(), 0); SPACES];
    for place in &mut places {
        let space = vmm.create_space()?;
        *place = (space, reserve(vmm, space, 1 + TIMES / SPACES)?);
        vmm.populate(space, Pages::at(place.1))?;
    }
    single(vmm, "populate_64_spaces", |turn| {
        let (space, start) = places[turn % SPACES];
        (space, start + (1 + turn / SPACES) * PAGE)
    })
}

/// A few pages in each call.
fn together(vmm: &mut Manager, name: &str, pages: usize) -> Result {
    let own = vmm.own_space();
    let start = reserve(vmm, own, TIMES)?;
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    let head = Head::of(name, "call", TIMES / pages).for_pages(pages);
    let populate = |vmm: &mut Manager, turn| {
        vmm.populate(own, Pages::at(start + turn * pages * PAGE).count(pages))
    };
    let by_hand = &mut |turn| {
        (turn * pages..(turn + 1) * pages).for_each(|page| floor.map_fresh(page, TIMES))
    };
    row(vmm, head, nothing, populate, Some(by_hand))
}
