//! Maps, unmaps and protects of all sizes, in all spaces.

use alloc::vec;
use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use vmm::{Access, Backing, PageFault, RegionId, RegionOptions, Resolution, Rights};

use crate::engine::contents::check_page;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::{Area, Page, PAGE};

/// The most pages of an area.
const MAX_PAGES: usize = 128;

/// A hundred or so steps.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(32, 256) {
        if stress.is_over() {
            break;
        }
        step(stress)?;
    }
    Ok(())
}

fn step(stress: &mut Stress) -> Outcome {
    match stress.random.below(24) {
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
        _ => release(stress),
    }
}

/// Makes an area of a random shape, mapped or not.
pub fn make_area(stress: &mut Stress) -> Outcome {
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
        0 => options = options.aligned(stress.random.within(13, 22) as u8),
        1 => {
            let from = (1 + stress.random.below(0x300)) << 20;
            options = options.within(0x4000_0000 + from, 0xe000_0000);
        }
        _ => {}
    }
    let on_demand = stress.random.once_in(4);
    if on_demand {
        let around = 1 << stress.random.below(5);
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
fn stamp_some(stress: &mut Stress, area: usize) -> Outcome {
    let pages = stress.expected.areas[area].pages.len();
    for _ in 0..stress.random.size(8.min(pages)) {
        let page = stress.random.below(pages);
        stress.write_page(area, page)?;
    }
    Ok(())
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
    let done = stress.attempt(Kind::Populate, |vmm| vmm.populate(space, start, pages))?;
    if done.is_some() {
        for page in part {
            stress.expected.areas[area].pages[page] = Some(Page::clear(rights));
        }
        stamp_some(stress, area)?;
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
    stress.must(Kind::Unmap, |vmm| vmm.unmap(space, start, pages))?;
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
    let done = stress.attempt(Kind::Protect, |vmm| vmm.protect(space, start, pages, rights))?;
    if done.is_some() {
        for page in stress.expected.areas[area].pages[part.clone()].iter_mut().flatten() {
            page.rights = rights;
        }
        stress.write_page(area, part.start)?;
    }
    Ok(())
}

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

fn split(stress: &mut Stress) -> Outcome {
    if !stress.expected.has_room(0) {
        return Ok(());
    }
    if let Some((area, at)) = place_to_split(stress) {
        split_at(stress, area, at)?;
    }
    Ok(())
}

fn split_and_merge(stress: &mut Stress) -> Outcome {
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

fn move_area(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (id, below) = (node.id, node.first - node.id.start().bits());
    let options = RegionOptions::new(1).aligned(12 + stress.random.below(6) as u8);
    let moved = stress.attempt(Kind::Move, |vmm| vmm.move_region(id, &options))?;
    if let Some(moved) = moved {
        stress.expected.areas[area].id = moved;
        stress.expected.areas[area].first = moved.start().bits() + below;
        stress.check_area(area)?;
    }
    Ok(())
}

/// Touches a page that is not there.
fn fault(stress: &mut Stress) -> Outcome {
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
    let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
    let answer = stress.attempt(Kind::Fault, |vmm| vmm.resolve_fault(space, &fault))?;
    let Some(answer) = answer else { return Ok(()) };
    check!(matches!(answer, Resolution::Resolved(_)));
    take_note_of_new_pages(stress, area)?;
    check!(stress.expected.areas[area].pages[page].is_some());
    stress.write_page(area, page)
}

/// Pages that a fault brought: up to 15 beside the one that was touched, all clear.
fn take_note_of_new_pages(stress: &mut Stress, area: usize) -> Outcome {
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
    check!((1..=16).contains(&new.len()));
    if node.space() == own {
        for index in new {
            check_page(node.address(index), 0)?;
        }
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

/// Releases an area.
pub fn release(stress: &mut Stress) -> Outcome {
    match stress.any_area() {
        Some(area) => stress.release_area(area),
        None => Ok(()),
    }
}
