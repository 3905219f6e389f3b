// SPDX-License-Identifier: BSD-2-Clause
//! Single pages that are unmapped, protected, or mapped again.

use roottask::arch::LARGE_BITS;
use roottask::Manager;
use sel4::FrameObjectType;
use vmm::{Pages, RegionId, RegionOptions, Result, Rights, SpaceId};

use super::steps::{nothing, row, shuffled, Head, PAGE, TIMES};
use crate::bulk::{hoard, map_all};
use crate::floor::Floor;
use roottask::measure::{cost, Row};

/// All rows but that of memory which was used before.
pub fn run(vmm: &mut Manager) -> Result {
    unmap_single(vmm)?;
    unmap_spans(vmm)?;
    protect(vmm)?;
    region_pages(vmm)?;
    destroy_scattered(vmm)
}

/// A floor whose pages are all mapped.
fn mapped_floor(vmm: &mut Manager, space: SpaceId) -> Result<Floor> {
    let floor = Floor::within(vmm, space, TIMES, FrameObjectType::_4k)?;
    map_all(&floor, TIMES);
    Ok(floor)
}

/// Pages of a region that was mapped by one call.
fn unmap_single(vmm: &mut Manager) -> Result {
    let own = vmm.own_space();
    let floor = mapped_floor(vmm, own)?;
    let region = vmm.map(own, &RegionOptions::new(TIMES))?;
    let start = region.start().bits();
    let unmap =
        |vmm: &mut Manager, turn| vmm.unmap(own, Pages::at(start + shuffled::<TIMES>(turn) * PAGE));
    row(vmm, Head::pages("unmap_single"), nothing, unmap, Some(&mut |page| floor.unmap(page)))
}

/// The one page of each of eight page tables; all are mapped again when all are unmapped.
fn unmap_spans(vmm: &mut Manager) -> Result {
    const SPANS: usize = 8;
    let own = vmm.own_space();
    let floor = mapped_floor(vmm, own)?;
    let options = RegionOptions::new(SPANS << (LARGE_BITS - 12)).aligned(LARGE_BITS as u8);
    let region = vmm.reserve(own, &options)?;
    let place = |turn: usize| region.start().bits() + ((turn % SPANS) << LARGE_BITS);
    let populate = |vmm: &mut Manager, turn: usize| match turn % SPANS {
        0 => (0..SPANS).try_for_each(|span| vmm.populate(own, Pages::at(place(span)))),
        _ => Ok(()),
    };
    let unmap = |vmm: &mut Manager, turn| vmm.unmap(own, Pages::at(place(turn)));
    row(vmm, Head::pages("unmap_8_spans"), populate, unmap, Some(&mut |page| floor.unmap(page)))
}

/// Pages of a region that was mapped by one call, in another space and in the own one. In the own
/// one `Page_Remap` of this kernel would leave the old rights in the TLB.
fn protect(vmm: &mut Manager) -> Result {
    let (own, other) = (vmm.own_space(), vmm.create_space()?);
    for (name, space) in [("protect_other_single", other), ("protect_own_single", own)] {
        let floor = mapped_floor(vmm, space)?;
        let region = vmm.map(space, &RegionOptions::new(TIMES))?;
        let start = region.start().bits();
        let protect = |vmm: &mut Manager, turn| {
            vmm.protect(space, Pages::at(start + shuffled::<TIMES>(turn) * PAGE), Rights::READ)
        };
        let by_hand: &mut dyn FnMut(usize) = match space == own {
            true => &mut |page| floor.unmap_then_map(page),
            false => &mut |page| floor.protect(page),
        };
        row(vmm, Head::pages(name), nothing, protect, Some(by_hand))?;
    }
    Ok(())
}

/// Regions of one page between guards, released in another order than they were mapped.
fn region_pages(vmm: &mut Manager) -> Result {
    let (own, options) = (vmm.own_space(), RegionOptions::new(1).guarded(1, 1));
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    let mut ids: [Option<RegionId>; TIMES] = [None; TIMES];
    let map = |vmm: &mut Manager, turn| {
        ids[turn] = Some(vmm.map(own, &options)?);
        Ok(())
    };
    let by_hand = &mut |page| floor.map_fresh(page, TIMES);
    row(vmm, Head::pages("region_page_map").for_pages(1), nothing, map, Some(by_hand))?;
    let release =
        |vmm: &mut Manager, turn| ids[shuffled::<TIMES>(turn)].map_or(Ok(()), |id| vmm.release(id));
    let by_hand = &mut |page| floor.unmap(page);
    row(vmm, Head::pages("region_page_release"), nothing, release, Some(by_hand))
}

/// A space whose pages came in no order, in two regions by turns.
fn destroy_scattered(vmm: &mut Manager) -> Result {
    let (space, beside) = (vmm.create_space()?, vmm.create_space()?);
    let floor = mapped_floor(vmm, beside)?;
    let half = RegionOptions::new(TIMES / 2);
    let starts = [vmm.reserve(space, &half)?, vmm.reserve(space, &half)?];
    for page in (0..TIMES).map(shuffled::<TIMES>) {
        let start = starts[page % 2].start().bits();
        vmm.populate(space, Pages::at(start + page / 2 * PAGE))?;
    }
    let (_, spent) = cost(vmm, |vmm| vmm.destroy_space(space))?;
    let raw = crate::bulk::instructions(|| (0..TIMES).for_each(|page| floor.unmap(page)));
    Row::new("destroy_scattered", "page", TIMES).print(&spent, Some(raw), None);
    Ok(())
}

/// A page that was used is mapped again where no other memory is left. By hand its frame has a
/// second mapping that lasts, at which it is zeroed. `rounds` says how often all are mapped again:
/// the last time counts.
pub fn recycled(vmm: &mut Manager, name: &str, rounds: usize) -> Result {
    let own = vmm.own_space();
    // A page table that was kept empty would be in the floor's way.
    vmm.trim()?;
    let floor = mapped_floor(vmm, own)?;
    let start = vmm.map(own, &RegionOptions::new(TIMES))?.start().bits();
    let page = |turn| start + shuffled::<TIMES>(turn) * PAGE;
    let unmap = |vmm: &mut Manager, turn| vmm.unmap(own, Pages::at(page(turn)));
    let populate = |vmm: &mut Manager, turn| vmm.populate(own, Pages::at(page(turn)));
    // The last page stays, as the second mapping of whichever is zeroed.
    const SECOND: usize = TIMES - 1;
    for turn in 0..SECOND {
        unmap(vmm, turn)?;
        populate(vmm, turn)?;
    }
    let hoard = hoard(vmm)?;
    (0..SECOND).for_each(|page| floor.unmap(page));
    let by_hand = &mut |page| {
        floor.zero(SECOND);
        floor.map(page);
    };
    for turn in (1..rounds).flat_map(|_| 0..SECOND) {
        unmap(vmm, turn)?;
        populate(vmm, turn)?;
    }
    let head = Head::of(name, "page", SECOND);
    row(vmm, head, unmap, populate, Some(by_hand))?;
    hoard.into_iter().flatten().try_for_each(|object| vmm.free(object))
}
