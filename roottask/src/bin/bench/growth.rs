//! The same operation beside ever more regions: its cost may grow with their logarithm.

use vmm::{RegionOptions, Result};

use super::measure::{cost, Cost, Row, Samples};
use roottask::Manager;

/// How often each operation is done at each size.
const TIMES: usize = 64;

/// Where the regions are put: page after page, each with a hole behind it.
const BASE: usize = 0x8000_0000;

/// Operations beside 10, 100, 1000 and 10,000 regions.
pub fn regions(vmm: &mut Manager) -> Result {
    let own = vmm.own_space();
    let mut count = 0;
    for target in [10, 100, 1000, 10_000] {
        while count < target {
            vmm.reserve(own, &RegionOptions::new(1).at(BASE + count * 2 * 4096))?;
            count += 1;
        }
        beside_regions(vmm, target)?;
    }
    Ok(())
}

fn beside_regions(vmm: &mut Manager, count: usize) -> Result {
    let own = vmm.own_space();
    let mut samples = Samples::new();
    let pair = RegionOptions::new(1);
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| {
            samples.take(|| {
                let region = vmm.reserve(own, &pair)?;
                vmm.release(region)
            })
        })
    })?;
    print("reserve_release", count, &spent, &mut samples);

    // A page in the midst of them: mapped from memory that was used before, and unmapped.
    let start = BASE + count / 2 * 2 * 4096;
    let (mut mapping, mut unmapping) = (Samples::new(), Samples::new());
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| {
            mapping.take(|| vmm.populate(own, start, 1))?;
            unmapping.take(|| vmm.unmap(own, start, 1))
        })
    })?;
    print("populate", count, &spent, &mut mapping);
    print("unmap", count, &spent, &mut unmapping);

    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| samples.take(|| vmm.region_at(own, start).map(|_| ())))
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
