// SPDX-License-Identifier: BSD-2-Clause
//! Page faults, in several orders.

use roottask::Manager;
use sel4::FrameObjectType;
use vmm::{Access, Backing, PageFault, Pages, RegionOptions, Result};

use super::steps::{descending, nothing, row, shuffled, Head, PAGE};
use crate::bulk::{hoard, map_all};
use crate::faults::{upwards, Toucher, TIMES};
use crate::floor::Floor;
use roottask::measure::Row;

/// Pages of a region that are mapped by a fault.
fn on_demand(around: u8) -> RegionOptions {
    RegionOptions::new(TIMES).backed(Backing::OnDemand { around })
}

/// Memory that nobody had before.
pub fn fresh(vmm: &mut Manager) -> Result {
    let own = vmm.own_space();
    let mut toucher = Toucher::new(vmm)?;
    type Order = fn(usize) -> usize;
    let orders: [(&str, Order); 3] = [
        ("fault_up", upwards),
        ("fault_down", descending::<TIMES>),
        ("fault_random", shuffled::<TIMES>),
    ];
    for (name, order) in orders {
        let start = vmm.reserve(own, &on_demand(1))?.start().bits();
        touch(vmm, &mut toucher, name, start, order, 1)?;
    }
    let stack = vmm.allocate_growing_stack(own, TIMES, 1, "stack")?;
    let start = stack.top() - TIMES * PAGE;
    touch(vmm, &mut toucher, "fault_stack", start, descending::<TIMES>, 1)?;
    let around = [
        ("fault_around_2", 2),
        ("fault_around_4", 4),
        ("fault_around_8", 8),
        ("fault_around_16", 16),
    ];
    for (name, around) in around {
        let options = on_demand(around).aligned(16);
        let start = vmm.reserve(own, &options)?.start().bits();
        touch(vmm, &mut toucher, name, start, upwards, around.into())?;
    }
    cow_last_owner(vmm, &mut toucher)?;
    two_spaces(vmm)
}

/// The touches of all pages of a region, `around` of which are mapped by one fault.
fn touch(
    vmm: &mut Manager,
    toucher: &mut Toucher,
    name: &str,
    start: usize,
    order: fn(usize) -> usize,
    around: usize,
) -> Result {
    let (mut samples, spent) = toucher.managed(vmm, start, order)?;
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    // By hand frames go to places in the order in which places come.
    let mut next = 0;
    let mut raw = toucher.by_hand(floor.address(0), order, |page| {
        (page..page + around)
            .zip(next..)
            .for_each(|(place, frame)| floor.map_next(frame, place, TIMES));
        next += around;
    });
    Row::new(name, "touch", TIMES).print_single(&spent, &mut samples, Some(&mut raw), Some(TIMES));
    Ok(())
}

/// The first write to each page whose other users have copies by now. By hand: its rights change.
fn cow_last_owner(vmm: &mut Manager, toucher: &mut Toucher) -> Result {
    let (own, options) = (vmm.own_space(), RegionOptions::new(TIMES));
    let region = vmm.map(own, &options)?;
    let clone = vmm.clone_region(region, own, options.placement())?;
    toucher.managed(vmm, region.start().bits(), shuffled::<TIMES>)?;
    let order = shuffled::<TIMES>;
    let (mut samples, spent) = toucher.managed(vmm, clone.start().bits(), order)?;
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    map_all(&floor, TIMES);
    (0..TIMES).for_each(|page| floor.unmap_then_map(page));
    let mut raw = toucher.by_hand(floor.address(0), order, |page| floor.unprotect(page));
    let row = Row::new("fault_cow_last_owner", "fault", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    Ok(())
}

/// Faults of two spaces by turns, without their messages.
fn two_spaces(vmm: &mut Manager) -> Result {
    let spaces = [vmm.create_space()?, vmm.create_space()?];
    let starts = [vmm.reserve(spaces[0], &on_demand(1))?, vmm.reserve(spaces[1], &on_demand(1))?];
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    let resolve = |vmm: &mut Manager, turn: usize| {
        let address = starts[turn % 2].start().bits() + turn / 2 * PAGE;
        let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
        vmm.resolve_fault(spaces[turn % 2], &fault).map(|_| ())
    };
    let by_hand = &mut |page| floor.map_fresh(page, TIMES);
    let head = Head::of("fault_two_spaces", "fault", TIMES).for_pages(1);
    row(vmm, head, nothing, resolve, Some(by_hand))
}

/// Memory that was used, where there is no other. By hand each frame has a second mapping that
/// lasts, at which it is zeroed. `rounds` says how often all are touched: the last time counts.
pub fn recycled(vmm: &mut Manager, name: &str, rounds: usize) -> Result {
    let own = vmm.own_space();
    let mut toucher = Toucher::new(vmm)?;
    let start = vmm.reserve(own, &on_demand(1))?.start().bits();
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    map_all(&floor, TIMES);
    let used = vmm.map(own, &RegionOptions::new(TIMES))?;
    let hoard = hoard(vmm)?;
    vmm.release(used)?;
    let order = shuffled::<TIMES>;
    for _ in 1..rounds {
        toucher.managed(vmm, start, order)?;
        vmm.unmap(own, Pages::at(start).count(TIMES))?;
    }
    let (mut samples, spent) = toucher.managed(vmm, start, order)?;
    let second = TIMES / 2;
    (0..TIMES).filter(|&page| page != second).for_each(|page| floor.unmap(page));
    let mut raw = toucher.by_hand(floor.address(0), order, |page| {
        floor.zero(second);
        floor.map(page);
    });
    let row = Row::new(name, "fault", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    hoard.into_iter().flatten().try_for_each(|object| vmm.free(object))
}
