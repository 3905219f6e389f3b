// SPDX-License-Identifier: BSD-2-Clause
//! Parts of mappings, reservations and clones of many pages, on the kernel's own pages; and what it
//! costs that the service does such things in pieces.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::{Pages, Placement, RegionId, RegionOptions};
use vmm_service::objects::protocol::{Amounts, MAX_PAGES, PAGE_BYTES};
use vmm_service::server::End;

use super::images;
use super::world::{ticks, Part, World};

const AMOUNTS: Amounts = Amounts([600, 400, 1200, 40, 16, 400, 400, 0]);
/// Pages of what is done in pieces.
const MANY: usize = 1024;
/// What the pieces may cost, in hundredths of the whole.
const MAX: u64 = 110;

/// A221 to A224, A231: so many times; and A234.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let shaper = Part { name: "shaper", file: images::SHAPER, amounts: AMOUNTS, argument: rounds };
    world.run(&[(shaper, End::Exited(0))])?;
    world.check_empty()?;
    pieces(world)
}

/// A234: as many pages at once, and in pieces of one request each.
fn pieces(world: &mut World) -> Outcome {
    let piece = MAX_PAGES as usize;
    // The first time takes memory that is clear, and leaves some that is not.
    course(world, MANY)?;
    let (all, parts) = (course(world, MANY)?, course(world, piece)?);
    for ((name, all), (_, parts)) in all.into_iter().zip(parts) {
        debug_println!("  {name}: {all} at once, {parts} in pieces of {piece} pages");
        check!(parts * 100 <= all * MAX);
    }
    Ok(())
}

type Costs = [(&'static str, u64); 5];

/// What it costs to bring, protect, unmap, clone and give back pages, so many at a time, each where
/// the service does that: they lie in a store, and are mapped in a program's space.
fn course(world: &mut World, most: usize) -> Outcome<Costs> {
    let vmm = &mut world.vmm;
    let (store, space) = (vmm.create_store()?, vmm.create_space()?);
    let region = vmm.reserve(store, &RegionOptions::new(MANY))?;
    let view = vmm.reserve(space, &RegionOptions::new(MANY))?;
    let at = |region: RegionId, page: usize| region.start().bits() + page * PAGE_BYTES;
    let part = |region: RegionId, page: usize| Pages::at(at(region, page)).count(most);
    let each = || (0..MANY).step_by(most);
    // Zeroed before, in either case: that is not what is compared.
    vmm.populate(store, Pages::at(at(region, 0)).count(MANY))?;
    vmm.decommit(store, Pages::at(at(region, 0)).count(MANY))?;
    let brought = ticks(|| {
        each().try_for_each(|page| {
            vmm.populate(store, part(region, page))?;
            vmm.share_into(store, part(region, page), view, page)
        })
    })?;
    let read = vmm::Rights::READ;
    let protected =
        ticks(|| each().try_for_each(|page| vmm.protect(space, part(view, page), read)))?;
    let all = |region| Pages::at(at(region, 0)).count(MANY);
    let unmapped =
        ticks(|| each().try_for_each(|_| vmm.decommit_some(space, all(view), most).map(|_| ())))?;
    check_eq!(vmm.space_summary(space)?.mapped_pages, 0);
    let clone = vmm.reserve_like(region, store, Placement::anywhere())?;
    let cloned = ticks(|| {
        each().try_for_each(|page| vmm.clone_pages(region, page, clone, most).map(|_| ()))
    })?;
    check_eq!(vmm.space_summary(store)?.mapped_pages, 2 * MANY);
    let given =
        ticks(|| each().try_for_each(|_| vmm.decommit_some(store, all(clone), most).map(|_| ())))?;
    check_eq!(vmm.space_summary(store)?.mapped_pages, MANY);
    vmm.destroy_space(space)?;
    vmm.destroy_space(store)?;
    Ok([
        ("brought", brought),
        ("protected", protected),
        ("unmapped", unmapped),
        ("cloned", cloned),
        ("given back", given),
    ])
}
