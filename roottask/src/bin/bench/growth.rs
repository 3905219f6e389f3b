// SPDX-License-Identifier: BSD-2-Clause
//! The same operation beside ever more regions: its cost may grow with their logarithm.

use vmm::{Pages, RegionOptions, Result, SpaceId};

use roottask::measure::{cost, Cost, Row, Samples};
use roottask::Manager;

/// How often each operation is done at each size.
const TIMES: usize = 64;

/// Where the regions are put: page after page, each with a hole behind it.
const BASE: usize = 0x8000_0000;

/// As many of them lie below one page table.
const TABLE_REGIONS: usize = 512;

/// The address of a region.
fn place(region: usize) -> usize {
    BASE + region * 2 * 4096
}

/// Operations beside 10, 100, 1000 and 10,000 regions of a space that has no others.
pub fn regions(vmm: &mut Manager) -> Result {
    let space = vmm.create_space()?;
    let mut count = 0;
    for target in [10, 100, 1000, 10_000] {
        while count < target {
            vmm.reserve(space, &RegionOptions::new(1).at(place(count)))?;
            count += 1;
        }
        beside_regions(vmm, space, target)?;
    }
    Ok(())
}

fn beside_regions(vmm: &mut Manager, space: SpaceId, count: usize) -> Result {
    let mut samples = Samples::new();
    let pair = RegionOptions::new(1);
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| {
            samples.take(|| {
                let region = vmm.reserve(space, &pair)?;
                vmm.release(region)
            })
        })
    })?;
    print("reserve_release", count, &spent, &mut samples);

    // Another region each time, so that none is found only for having been used last; of one page
    // table, so that none is made. The memory was used before.
    let first = count / 2 / TABLE_REGIONS * TABLE_REGIONS;
    let near = |turn: usize| place(first + turn * 37 % (count - first).min(TABLE_REGIONS));
    let (mut mapping, mut unmapping) = (Samples::new(), Samples::new());
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|turn| {
            mapping.take(|| vmm.populate(space, Pages::at(near(turn))))?;
            unmapping.take(|| vmm.unmap(space, Pages::at(near(turn))))
        })
    })?;
    print("populate", count, &spent, &mut mapping);
    print("unmap", count, &spent, &mut unmapping);

    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|turn| {
            let address = place(turn * 7919 % count);
            samples.take(|| vmm.region_at(space, address).map(|_| ()))
        })
    })?;
    print("region_at", count, &spent, &mut samples);
    Ok(())
}

fn print(operation: &str, count: usize, spent: &Cost, samples: &mut Samples) {
    Row::new(operation, "call", TIMES).beside(count).print_single(spent, samples, None, None);
}

/// Operations beside 10, 100 and 500 spaces, each with a page mapped in it.
pub fn spaces(vmm: &mut Manager) -> Result {
    let options = RegionOptions::new(1);
    let mut count = 1;
    for target in [10, 100, 500] {
        while count < target {
            let space = vmm.create_space()?;
            vmm.map(space, &options)?;
            count += 1;
        }
        let (mut making, mut using, mut ending) = (Samples::new(), Samples::new(), Samples::new());
        let (_, spent) = cost(vmm, |vmm| {
            (0..TIMES).try_for_each(|_| {
                let space = making.take(|| vmm.create_space())?;
                using.take(|| {
                    let region = vmm.reserve(space, &options)?;
                    vmm.release(region)
                })?;
                ending.take(|| vmm.destroy_space(space))
            })
        })?;
        print("create_space", target, &spent, &mut making);
        print("destroy_space", target, &spent, &mut ending);
        print("space_reserve_release", target, &spent, &mut using);
    }
    Ok(())
}
