// SPDX-License-Identifier: BSD-2-Clause
//! Requests that are wrong, or more than is allowed: refused, with nothing changed.

use roottask::arch::LARGE_BITS;
use roottask::{check_eq, Manager, Outcome};
use sel4::ObjectBlueprint;
use vmm::{Error, PageSize, Pages, Quota, RegionOptions, Resource, Rights};

use super::spaces;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// Each of them, on a random area, and a quota.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(4, 24) {
        if stress.is_over() {
            break;
        }
        let had = memory_to_be_had(stress);
        match stress.random.below(7) {
            0 => overlap(stress)?,
            1 => beyond(stress)?,
            2 => ceiling(stress)?,
            3 => twice(stress)?,
            4 => misaligned(stress)?,
            5 => more_than_there_is(stress)?,
            _ => {
                quota(stress)?;
                continue;
            }
        }
        check_eq!(memory_to_be_had(stress), had);
    }
    Ok(())
}

/// Bytes that can be had, with those of CNodes: where many slots are needed for what is refused in
/// the end, the CSpace stays grown until it is trimmed. It has its root since the warm-up.
fn memory_to_be_had(stress: &Stress) -> usize {
    let stats = stress.vmm.stats();
    // One by which the CSpace grows.
    let cnode = ObjectBlueprint::CNode { size_bits: 12 };
    stats.free_bytes() + (stats.allocator.live.cnodes << cnode.physical_size_bits())
}

fn overlap(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (space, first) = (node.space(), node.first);
    let options = RegionOptions::new(1 + stress.random.below(8)).at(first);
    stress.refused(
        Kind::Map,
        |error| matches!(error, Error::Overlap { .. }),
        |vmm| vmm.map(space, &options),
    )
}

fn beyond(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (space, first, pages) = (node.space(), node.first, node.pages.len());
    let out = |error: &Error| matches!(error, Error::OutsideRegion { .. } | Error::Guard { .. });
    stress.refused(Kind::Unmap, out, |vmm| vmm.unmap(space, Pages::at(first).count(pages + 1)))?;
    stress.refused(Kind::Populate, out, |vmm| {
        vmm.populate(space, Pages::at(first).count(pages + 1))
    })?;
    let last = first + pages * PAGE - 1;
    stress.refused(Kind::PopulateFrom, out, |vmm| vmm.populate_from(space, last, b"ab"))
}

fn ceiling(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let node = &stress.expected.areas[area];
    let (space, first) = (node.space(), node.first);
    stress.refused(
        Kind::Protect,
        |error| matches!(error, Error::RightsExceedCeiling { .. }),
        |vmm| vmm.protect(space, Pages::at(first), Rights::all()),
    )
}

/// Maps what is mapped, unmaps what is not.
fn twice(stress: &mut Stress) -> Outcome {
    let Some(area) = stress.any_area() else { return Ok(()) };
    let page = stress.random.below(stress.expected.areas[area].pages.len());
    let node = &stress.expected.areas[area];
    let (space, address) = (node.space(), node.address(page));
    match node.pages[page] {
        Some(_) => {
            let mapped = |error: &Error| matches!(error, Error::AlreadyMapped { .. });
            stress
                .refused(Kind::Populate, mapped, |vmm| vmm.populate(space, Pages::at(address)))?;
            let populate = |vmm: &mut Manager| vmm.populate_from(space, address + 1, b"a");
            stress.refused(Kind::PopulateFrom, mapped, populate)
        }
        None => stress.refused(
            Kind::Unmap,
            |error| matches!(error, Error::NotMapped { .. }),
            |vmm| vmm.unmap(space, Pages::at(address)),
        ),
    }
}

fn misaligned(stress: &mut Stress) -> Outcome {
    let space = stress.any_space();
    let odd = RegionOptions::new(1).at(0x5000_0000 + 4 * stress.random.within(1, 1023));
    let address = |error: &Error| matches!(error, Error::Address(_));
    stress.refused(Kind::Map, address, |vmm| vmm.map(space, &odd))?;
    let short = RegionOptions::new(1000)
        .aligned(LARGE_BITS)
        .page_size(PageSize::Large { bits: LARGE_BITS });
    stress.refused(Kind::MapLarge, address, |vmm| vmm.map(space, &short))
}

fn more_than_there_is(stress: &mut Stress) -> Outcome {
    let space = stress.any_space();
    let options = RegionOptions::new(stress.vmm.stats().free_bytes() / PAGE + 1);
    // Too large for every hole, on a machine with much memory.
    stress.refused(
        Kind::Map,
        |error| error.blame() == vmm::Blame::Resource,
        |vmm| vmm.map(space, &options),
    )
}

/// A space that may have no more than it has.
fn quota(stress: &mut Stress) -> Outcome {
    spaces::create(stress)?;
    let Some(space) = stress.other_space() else { return Ok(()) };
    let usage = stress.vmm.usage(space)?;
    let frames = usage.frames + stress.random.below(8);
    let quota = Quota { frames, ..Quota::UNLIMITED };
    stress.must(Kind::Quota, |vmm| vmm.set_quota(space, quota))?;
    let options = RegionOptions::new(frames - usage.frames + 1);
    stress.refused(
        Kind::Map,
        |error| matches!(error, Error::OutOfQuota { resource: Resource::Frames, .. }),
        |vmm| vmm.map(space, &options),
    )?;
    stress.must(Kind::Quota, |vmm| vmm.set_quota(space, Quota::UNLIMITED))
}
