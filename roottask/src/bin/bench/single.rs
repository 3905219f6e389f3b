// SPDX-License-Identifier: BSD-2-Clause
//! One page, buffer or stack in a call: the cost of each call noted by itself.

use sel4::FrameObjectType;
use vmm::{Blueprint, CPtr, Pages, RegionId, RegionOptions, Result, Rights};

use super::floor::{Floor, BATCH};
use roottask::measure::{cost, Cost, Row, Samples};
use roottask::Manager;

/// How often each operation is done.
const TIMES: usize = 1024;

/// One fresh page at a time on the floor: a batch of frames when there is none left.
fn fresh_floor(vmm: &mut Manager, samples: &mut Samples) -> Result<Floor> {
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    for page in 0..TIMES {
        samples.take(|| floor.map_fresh(page, TIMES));
    }
    Ok(floor)
}

/// Regions of one page each, and as many pages on the floor.
pub struct Regions {
    ids: [Option<RegionId>; TIMES],
    floor: Floor,
}

fn row(name: &str, cost: &Cost, samples: &mut Samples, raw: &mut Samples, pages: Option<usize>) {
    Row::new(name, "page", TIMES).print_single(cost, samples, Some(raw), pages);
}

/// Regions of one fresh page, each mapped and then protected by a call of its own.
pub fn fresh(vmm: &mut Manager) -> Result<Regions> {
    let (own, options) = (vmm.own_space(), RegionOptions::new(1));
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let mut ids = [None; TIMES];
    let (_, mapped) = cost(vmm, |vmm| {
        ids.iter_mut().try_for_each(|id| {
            *id = Some(samples.take(|| vmm.map(own, &options))?);
            Ok(())
        })
    })?;
    let floor = fresh_floor(vmm, &mut raw)?;
    row("map_region_4k", &mapped, &mut samples, &mut raw, Some(TIMES));

    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, protected) = cost(vmm, |vmm| {
        ids.iter().flatten().try_for_each(|id| {
            let start = id.start().bits();
            samples.take(|| vmm.protect(own, Pages::at(start), Rights::READ))
        })
    })?;
    (0..TIMES).for_each(|page| raw.take(|| floor.unmap_then_map(page)));
    row("protect_single_4k", &protected, &mut samples, &mut raw, None);
    Ok(Regions { ids, floor })
}

/// The same regions, each released by a call of its own.
pub fn used(vmm: &mut Manager, Regions { ids, floor }: Regions) -> Result {
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, released) =
        cost(vmm, |vmm| ids.iter().flatten().try_for_each(|id| samples.take(|| vmm.release(*id))))?;
    (0..TIMES).for_each(|page| raw.take(|| floor.unmap(page)));
    row("unmap_free_single_4k", &released, &mut samples, &mut raw, None);
    Ok(())
}

/// Pages of a reserved region, one call each: one after the other, or every second one.
///
/// The floor does not look for addresses either, so the first of these is what it is the floor of;
/// `map_region_4k` does, and makes a region, for each page.
pub fn populated(vmm: &mut Manager, name: &str, step: usize) -> Result {
    let own = vmm.own_space();
    let region = vmm.reserve(own, &RegionOptions::new(step * TIMES))?;
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, mapped) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|page| {
            let start = region.start().bits() + step * page * 4096;
            samples.take(|| vmm.populate(own, Pages::at(start)))
        })
    })?;
    fresh_floor(vmm, &mut raw)?;
    row(name, &mapped, &mut samples, &mut raw, Some(TIMES));
    Ok(())
}

/// IPC buffers: made, and set on a thread.
pub fn ipc_buffers(vmm: &mut Manager) -> Result {
    let tcb = vmm.allocate(Blueprint::Tcb)?.slot();
    ipc_buffers_on(vmm, "ipc_buffer", &[tcb; BUFFERS])
}

/// How many IPC buffers a row is of.
pub const BUFFERS: usize = 512;

/// IPC buffers: made, and each set on the thread that has its number.
pub fn ipc_buffers_on(vmm: &mut Manager, name: &str, tcbs: &[CPtr; BUFFERS]) -> Result {
    let own = vmm.own_space();
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, made) = cost(vmm, |vmm| {
        tcbs.iter().try_for_each(|&tcb| {
            samples.take(|| {
                let buffer = vmm.allocate_ipc_buffer(own)?;
                vmm.set_ipc_buffer(tcb, buffer)
            })
        })
    })?;
    let floor = Floor::new(vmm, BUFFERS, FrameObjectType::_4k)?;
    for (page, tcb) in tcbs.iter().enumerate() {
        raw.take(|| {
            floor.map_fresh(page, BUFFERS);
            floor.set_ipc_buffer(tcb.cap(), page);
        });
    }
    Row::new(name, "buffer", BUFFERS).print_single(
        &made,
        &mut samples,
        Some(&mut raw),
        Some(BUFFERS),
    );
    Ok(())
}

/// Stacks of 64 KiB with guard pages.
pub fn stacks(vmm: &mut Manager) -> Result {
    const STACKS: usize = 64;
    const PAGES: usize = 16;
    let own = vmm.own_space();
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, made) = cost(vmm, |vmm| {
        (0..STACKS)
            .try_for_each(|_| samples.take(|| vmm.allocate_stack(own, PAGES, "stack")).map(|_| ()))
    })?;
    let floor = Floor::new(vmm, STACKS * PAGES, FrameObjectType::_4k)?;
    for stack in 0..STACKS {
        raw.take(|| {
            let first = stack * PAGES;
            if stack == 0 {
                floor.make_tables(STACKS * PAGES);
            }
            if first % BATCH == 0 {
                floor.make_frames(first / BATCH, BATCH);
            }
            (first..first + PAGES).for_each(|page| floor.map(page));
        });
    }
    Row::new("stack_64k", "stack", STACKS).print_single(
        &made,
        &mut samples,
        Some(&mut raw),
        Some(STACKS * PAGES),
    );
    Ok(())
}

/// Addresses reserved and given back: no kernel call, so there is no floor.
pub fn reserve_release(vmm: &mut Manager) -> Result {
    let (own, options) = (vmm.own_space(), RegionOptions::new(16));
    let mut samples = Samples::new();
    let (_, made) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| {
            samples.take(|| {
                let region: RegionId = vmm.reserve(own, &options)?;
                vmm.release(region)
            })
        })
    })?;
    Row::new("reserve_release", "pair", TIMES).print_single(&made, &mut samples, None, None);
    Ok(())
}
